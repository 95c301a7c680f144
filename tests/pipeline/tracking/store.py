"""An MLflow database for tests, and records to publish there."""

from dataclasses import replace
from typing import Any

from mlflow.entities import Metric, Run, ViewType
from mlflow.tracking import MlflowClient

from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import Point, RunRecord

DIGEST = "0123456789abcdef" * 4


class Store:
    """A database file with one experiment of the test's own."""

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.experiment = experiment
        self.client = MlflowClient(tracking_uri=uri)

    def tracker(self) -> MlflowTracker:
        return MlflowTracker(self.uri)

    def runs(self, view: Any = ViewType.ACTIVE_ONLY) -> list[Run]:
        experiment = self.client.get_experiment_by_name(self.experiment)
        assert experiment is not None
        return list(self.client.search_runs([experiment.experiment_id], run_view_type=view))

    def run(self) -> Run:
        (run,) = self.runs()
        return run

    def run_of(self, uid: str) -> Run:
        (run,) = (run for run in self.runs() if run.data.tags.get("uid") == uid)
        return run

    def curve(self, metric: str) -> list[Metric]:
        return self.client.get_metric_history(self.run().info.run_id, metric)


def points(epochs: int) -> tuple[Point, ...]:
    return tuple(
        Point(metric, epoch / 10, epoch, 1000.5 + epoch)
        for epoch in range(1, epochs + 1)
        for metric in ("loss", "val_loss")
    )


def finished(record: RunRecord, **changes: Any) -> RunRecord:
    final = (*points(3), Point("objective", 0.25, 0, 1010.0))
    return replace(
        record,
        **{
            "status": "FINISHED",
            "ended_at": 1010.25,
            "points": final,
            "texts": {"model_summary.txt": "a table"},
            **changes,
        },
    )
