"""The configuration of tracking, the publisher that it opens, and what is missing there."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.command.collector import imports_only
from pipeline.command.redact import redact
from pipeline.command.section import PositiveInt, Section, unambiguous
from pipeline.tracking.database import database_of, ended_in
from pipeline.tracking.publisher import Publisher
from pipeline.tracking.uri import fault, shown_at


class TrackingConfig(Section):
    """Where runs are published. `uri`: an MLflow tracking URI.

    `ui`: the address at which a browser sees them, where that is not `uri`; the report links to it.
    `report`: whether a study's figures are made and published. `report_seconds`: how often while it
    runs; None: at its end only.
    `keep_models`: of how many of the best trials the weights are kept. `system_metrics`: whether a
    trial shows how busy its GPU was.
    """

    name: Literal["mlflow", "none"]
    uri: Annotated[Annotated[str, Field(min_length=1)] | None, unambiguous("tracking.uri")]
    report_seconds: Annotated[float, Field(gt=0)] | None
    keep_models: PositiveInt
    report: bool = True
    system_metrics: bool = True
    ui: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _mlflow_has_a_uri(self) -> "TrackingConfig":
        if self.name == "mlflow" and self.uri is None:
            raise ValueError("tracking.uri: is missing (for example sqlite:///mlflow.db)")
        if self.name == "mlflow" and self.uri is not None and (wrong := fault(self.uri)):
            raise ValueError(wrong)
        if self.ui is not None and shown_at(self.ui) is None:
            raise ValueError(
                "tracking.ui: expected the address of a server, http://HOST:PORT, got "
                f"{redact(self.ui)}"
            )
        return self

    @property
    def server(self) -> str | None:
        """Where a browser sees the runs, without user and password; None where no server is known."""
        return None if self.name == "none" else shown_at(self.ui or self.uri or "")


_INTERVAL_SECONDS = 5.0
"""How far what people see may lag: a request costs the same for one epoch as for ten."""


def open_publisher(tracking: TrackingConfig, note: Callable[[str], None]) -> Publisher | None:
    """A publisher to MLflow, or None where tracking is off. `note` is told of problems."""

    def make_tracker() -> Any:
        with imports_only():
            from pipeline.tracking.mlflow import MlflowTracker

        return MlflowTracker(str(tracking.uri))

    def warn(problem: str) -> None:
        note(f"tracking: {problem} (trying again; nothing is lost)")

    if tracking.name == "none":
        return None
    return Publisher(make_tracker, warn, _INTERVAL_SECONDS)


def missing(tracking: TrackingConfig, experiment: str, attempts: Mapping[str, int]) -> set[str]:
    """The uids of those runs that the tracker does not show as ended; all, where it can't be asked.

    `attempts`: which attempt of each is meant, by uid.
    It is asked now, whatever it was told before: it may have been deleted, restored or made anew.
    """
    uri = str(tracking.uri)
    file, found = database_of(uri), set[tuple[str, int]]()
    if file is not None:
        with suppress(sqlite3.Error):
            found = ended_in(file, experiment)
    else:
        from pipeline.tracking.mlflow import MlflowTracker, TrackingError

        with suppress(TrackingError, OSError):
            found = MlflowTracker(uri).ended(experiment)
    return {uid for uid, _ in attempts.items() - found}
