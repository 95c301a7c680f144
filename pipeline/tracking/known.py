"""What is known to be in MLflow of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.tracking.database import ATTEMPT
from pipeline.tracking.record import REPLAY, RunRecord
from pipeline.tracking.relocation import local_folder


@dataclass
class Known:
    """A run in MLflow. `ended_at`: milliseconds. `folder`: of its artifacts, where that is on this machine;
    `back`: whether it came out of the trash with its experiment.
    `tags`, `params`: known to be there.

    `points`: how many points of its record are known to be there. `described`: whether its parameters
    and its data set are.
    """

    run_id: str
    attempt: int
    status: str
    ended_at: int | None
    deleted: bool
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: int = 0
    described: bool = False
    folder: Path | None = None
    back: bool = False

    @classmethod
    def found(cls, run: Any, here: bool, back: bool) -> "Known":
        """An MLflow `run` that was found. `here`: whether its artifacts may lie on this machine."""
        return cls(
            run.info.run_id,
            attempt=int(run.data.tags.get(ATTEMPT, 1)),
            status=run.info.status,
            ended_at=run.info.end_time,
            deleted=run.info.lifecycle_stage == "deleted",
            tags=run.data.tags,
            params=run.data.params,
            folder=local_folder(run.info.artifact_uri) if here else None,
            back=back,
        )

    @property
    def ended(self) -> bool:
        """Whether MLflow shows its end."""
        return self.status != "RUNNING"

    def shows(self, record: RunRecord) -> bool:
        """Whether it ended as `record` did, which is written last, and has the latest certificate.

        Unless its files were removed since.
        """
        ended_at = self.ended_at if record.ended_at is None else milliseconds(record.ended_at)
        certified = record.tags.get(REPLAY) in (None, self.tags.get(REPLAY))
        same = (self.status, self.ended_at) == (record.status, ended_at)
        return record.ended and same and certified and all(map(self.has, record.texts))

    def has(self, path: str) -> bool:
        """Whether its artifact `path` is there; one that lies elsewhere is taken to be."""
        return self.folder is None or (self.folder / path).exists()


def milliseconds(seconds: float) -> int:
    """A time as MLflow takes it, from Unix seconds."""
    return round(seconds * 1000)
