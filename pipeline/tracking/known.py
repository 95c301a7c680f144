"""What is known to be in MLflow of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.tracking.database import ATTEMPT
from pipeline.tracking.record import REPLAY, RunRecord
from pipeline.tracking.relocation import local_folder

NAME = "mlflow.runName"
"""Tag that MLflow keeps a run's name in."""


@dataclass
class Known:
    """A run in MLflow. `ended_at`: milliseconds. `folder`: of its artifacts, where that is on this machine;
    `back`: whether it came out of the trash with its experiment.
    `tags`, `params`, `metrics`: known to be there.

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
    metrics: set[str] = field(default_factory=set)
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
            metrics=set(run.data.metrics),
            folder=local_folder(run.info.artifact_uri) if here else None,
            back=back,
        )

    @property
    def ended(self) -> bool:
        """Whether MLflow shows its end."""
        return self.status != "RUNNING"

    def shows(self, record: RunRecord) -> bool:
        """Whether it ended as `record` did, which is written last, and has the latest certificate.

        Unless its files were removed since, or a version before called its metrics otherwise.
        """
        at = self.ended_at if record.ended_at is None else ended_at(record)
        certified = record.tags.get(REPLAY) in (None, self.tags.get(REPLAY))
        same = (self.status, self.ended_at) == (record.status, at)
        named = {point.metric for point in record.points} <= self.metrics
        return record.ended and same and certified and named and all(map(self.has, record.texts))

    def logged(self, record: RunRecord) -> None:
        """MLflow has all that `record` says of it, but its end."""
        self.described, self.points = True, len(record.points)
        self.metrics.update(point.metric for point in record.points)

    def end(self, record: RunRecord) -> None:
        """It ended in MLflow as `record` did."""
        self.status, self.ended_at = record.status, ended_at(record)
        self.tags = {**self.tags, **record.tags, NAME: record.name}

    def has(self, path: str) -> bool:
        """Whether its artifact `path` is there; one that lies elsewhere is taken to be."""
        return self.folder is None or (self.folder / path).exists()


def ended_at(record: RunRecord) -> int | None:
    """When a record's run ended, as MLflow takes it."""
    return None if record.ended_at is None else milliseconds(record.ended_at)


def milliseconds(seconds: float) -> int:
    """A time as MLflow takes it, from Unix seconds."""
    return round(seconds * 1000)
