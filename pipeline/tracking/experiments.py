"""A study's experiment in MLflow as a whole: the ids of its runs, its name, its end."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pipeline.command.deadline import bounded
from pipeline.command.errors import UnavailableError
from pipeline.command.redact import redact
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import UID, database_of, experiment_in, runs_in
from pipeline.tracking.record import RunRecord

if TYPE_CHECKING:
    from pipeline.tracking.mlflow import MlflowTracker

T = TypeVar("T")

_SECONDS = 300.0  # for thousands of runs on a server
_MOMENT = 10.0  # for one answer that nothing hangs on


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


def experiment_id(tracking: TrackingConfig, name: str) -> str | None:
    """What MLflow calls the experiment `name`; None where there is none. Nothing is created.

    Raises UnavailableError where the tracker does not say so at once.
    """
    if not is_there(tracking):
        return None
    if (file := database_of(str(tracking.uri))) is not None:
        try:
            return experiment_in(file, name)
        except sqlite3.Error as error:
            raise UnavailableError(f"tracking.uri: {file.absolute()}: {error}") from None

    def found(tracker: "MlflowTracker") -> str | None:
        there = tracker.client.get_experiment_by_name(name)
        return None if there is None else str(there.experiment_id)

    return _ask(tracking, found, _MOMENT)


def run_pages(tracking: TrackingConfig, experiment: str) -> dict[str, str]:
    """The addresses of the pages of all runs in `experiment`, by uid; none where no server shows them.

    Raises UnavailableError where the tracker can't be asked.
    """
    if (server := tracking.server) is None or not (runs := run_ids(tracking, experiment)):
        return {}
    base = f"{server}/#/experiments/{experiment_id(tracking, experiment)}/runs"
    return {uid: f"{base}/{run}" for uid, run in runs.items()}


def is_taken(tracking: TrackingConfig, name: str) -> bool:
    """Whether MLflow has an experiment or a registered model of that name, in its trash perhaps."""

    def found(tracker: "MlflowTracker") -> bool:
        client = tracker.client
        models = client.search_registered_models(f"name = '{name}'")
        return client.get_experiment_by_name(name) is not None or bool(models)

    return is_there(tracking) and _ask(tracking, found)


class Renamed(NamedTuple):
    """What became of a study's names. `left`: what keeps the old one; `told`: whether it has a run."""

    left: Sequence[str] = ()
    told: bool = False


def rename(
    tracking: TrackingConfig, before: str, after: str, uids: Sequence[str], stale: str
) -> Renamed:
    """Have the experiment and the registered model of a study carry its new name.

    `uids`: what the uids of its runs begin with, that of its own run first, which is open from then on:
    publishing it again tells it anew, and `stale` is its tag that says what its report is made of. Where
    others share the experiment, the study's runs go into MLflow's trash, and publishing makes them
    under the new name. Doing it twice changes nothing.
    """

    def moved(tracker: "MlflowTracker") -> Renamed:
        left = _move_runs(tracker, before, after, uids) + _move_model(tracker, before, after, uids)
        now = tracker.client.get_experiment_by_name(after)
        runs = [] if now is None else tracker.runs_of(now.experiment_id)
        own = next((run for run in runs if run.data.tags.get(UID) == uids[0]), None)
        if own is not None:
            tracker.client.set_tag(own.info.run_id, stale, "")
            tracker.client.update_run(own.info.run_id, status="RUNNING", name=after)
        return Renamed(left, own is not None)

    return _ask(tracking, moved) if is_there(tracking) else Renamed()


def _move_runs(tracker: "MlflowTracker", before: str, after: str, uids: Sequence[str]) -> list[str]:
    there = tracker.client.get_experiment_by_name(before)
    if there is None or there.lifecycle_stage != "active":
        return []
    runs = list(tracker.runs_of(there.experiment_id))
    ours = [run for run in runs if _is_of(run.data.tags, uids)]
    if len(ours) == len(runs):
        tracker.client.rename_experiment(there.experiment_id, after)
        return []
    for run in ours:
        tracker.client.delete_run(run.info.run_id)
    return [f"MLflow's experiment {before!r}, which has runs of others, without the study's,"]


def _move_model(
    tracker: "MlflowTracker", before: str, after: str, uids: Sequence[str]
) -> list[str]:
    client, named = tracker.client, f"name = '{before}'"
    model = next(iter(client.search_registered_models(named)), None)
    if model is None:
        return []
    if not all(_is_of(version.tags, uids) for version in client.search_model_versions(named)):
        return [f"the registered model {before!r}, which has versions of others,"]
    client.rename_registered_model(before, after)
    client.update_registered_model(after, (model.description or "").replace(before, after))
    return []


def delete(tracking: TrackingConfig, name: str, uids: Sequence[str]) -> int:
    """Put a study's runs into MLflow's trash, its experiment too if no others are in it; how many runs.

    There the experiment has another name, so that a new study of this one gets none of them back.
    """
    gone = f"{name}-deleted-{uids[0][:8]}"

    def trashed(tracker: "MlflowTracker") -> int:
        client, count = tracker.client, 0
        for each in (name, gone):
            there = client.get_experiment_by_name(each)
            if there is None or there.lifecycle_stage != "active":
                continue
            runs = list(tracker.runs_of(there.experiment_id, trash=True))
            ours = [run for run in runs if _is_of(run.data.tags, uids)]
            for run in ours:
                if run.info.lifecycle_stage == "active":
                    client.delete_run(run.info.run_id)
                    count += 1
            if ours and len(ours) == len(runs):
                client.rename_experiment(there.experiment_id, gone)
                client.delete_experiment(there.experiment_id)
        return count

    return _ask(tracking, trashed) if is_there(tracking) else 0


def publish(tracking: TrackingConfig, record: RunRecord) -> None:
    """Publish one record, now. Raises UnavailableError."""
    if is_there(tracking):
        _ask(tracking, lambda tracker: tracker.publish(record))


def _is_of(tags: Mapping[str, str], uids: Sequence[str]) -> bool:
    uid = tags.get(UID, "")
    return uid in uids or uid.startswith(tuple(f"{each}-" for each in uids))


def _ask(
    tracking: TrackingConfig, what: "Callable[[MlflowTracker], T]", seconds: float = _SECONDS
) -> T:
    """What the tracker answers, within bounds. Raises UnavailableError where it does not."""
    from pipeline.tracking.mlflow import MlflowTracker, TrackingError

    uri = str(tracking.uri)
    try:
        return bounded(seconds)(lambda: what(MlflowTracker(uri)))()
    except (TrackingError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnavailableError(
            f"tracking.uri: {redact(uri)}: {redact(first)} (when it is back, the same command goes on)"
        ) from error
