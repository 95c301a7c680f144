"""A study's experiment in MLflow as a whole: the ids of its runs."""

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pipeline.command.deadline import bounded
from pipeline.command.errors import UnavailableError
from pipeline.command.redact import redact
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import UID, database_of, runs_in

if TYPE_CHECKING:
    from pipeline.tracking.mlflow import MlflowTracker

T = TypeVar("T")

_SECONDS = 300.0  # for thousands of runs on a server


def is_there(tracking: TrackingConfig) -> bool:
    """Whether there is a tracker to be asked: it is not off, and its database file exists."""
    file = None if tracking.name == "none" else database_of(str(tracking.uri))
    return tracking.name != "none" and (file is None or file.exists())


def run_ids(tracking: TrackingConfig, experiment: str) -> dict[str, str]:
    """The runs in `experiment` that are not in the trash: their ids by uid. Nothing is created.

    Raises UnavailableError where the tracker can't be asked.
    """
    if not is_there(tracking):
        return {}
    if (file := database_of(str(tracking.uri))) is not None:
        try:
            return runs_in(file, experiment)
        except sqlite3.Error as error:
            raise UnavailableError(f"tracking.uri: {file.absolute()}: {error}") from None

    def found(tracker: "MlflowTracker") -> dict[str, str]:
        there = tracker.client.get_experiment_by_name(experiment)
        if there is None or there.lifecycle_stage == "deleted":
            return {}
        runs = tracker.runs_of(there.experiment_id)
        return {run.data.tags[UID]: run.info.run_id for run in runs if UID in run.data.tags}

    return _ask(tracking, found)


def _ask(tracking: TrackingConfig, what: "Callable[[MlflowTracker], T]") -> T:
    """What the tracker answers, within bounds. Raises UnavailableError where it does not."""
    from pipeline.tracking.mlflow import MlflowTracker, TrackingError

    uri = str(tracking.uri)
    try:
        return bounded(_SECONDS)(lambda: what(MlflowTracker(uri)))()
    except (TrackingError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnavailableError(f"tracking.uri: {redact(uri)}: {redact(first)}") from error
