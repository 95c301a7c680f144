"""What is known to be in MLflow of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.tracking.record import REPLAY, RunRecord


@dataclass
class Known:
    """A run in MLflow. `ended_at`: milliseconds. `tags`, `params`: known to be there.

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

    @property
    def ended(self) -> bool:
        """Whether MLflow shows its end."""
        return self.status != "RUNNING"

    def shows(self, record: RunRecord) -> bool:
        """Whether it ended as `record` did, which is written last, and has the latest certificate."""
        ended_at = self.ended_at if record.ended_at is None else milliseconds(record.ended_at)
        certified = record.tags.get(REPLAY) in (None, self.tags.get(REPLAY))
        same = (self.status, self.ended_at) == (record.status, ended_at)
        return record.ended and same and certified


def milliseconds(seconds: float) -> int:
    """A time as MLflow takes it, from Unix seconds."""
    return round(seconds * 1000)
