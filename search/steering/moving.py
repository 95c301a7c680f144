"""A study is renamed or deleted as a whole: what was cut short, the same command completes.

First the table notes what is to be done, so that nobody else takes the study; last, in one transaction, it is
done there. Between stands what can be done twice: MLflow, and the weights.
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.command.compose import from_yaml, to_yaml
from pipeline.command.errors import ConfigError, StoppedError, UnavailableError
from pipeline.command.overrides import key
from pipeline.command.section import as_override
from pipeline.tracking import experiments
from pipeline.tracking.config import TrackingConfig
from search.analysis.facts import MADE_OF
from search.study.address import of_finalists
from search.telling.runs import Records
from search.trial_table.lock import HALF, LockedError, study_lock
from search.trial_table.storage import (
    StorageConfig,
    attribute,
    chosen_in,
    damage_named,
    errors_named,
    rename_study,
    studies_in,
)
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.trial_table.writing import Storage


@contextmanager
def whole(url: str, name: str, completes: str | None = None) -> Iterator[Storage]:
    """Hold the study `name`, which no launch has now. Raises StoppedError where one has it."""
    try:
        with errors_named(url), study_lock(url, name, wait=False, completes=completes) as storage:
            yield storage
    except LockedError:
        raise StoppedError(
            f"{name}: a launch of this study is running (python -m search.studies stop {name} ends it, then "
            "the same command)"
        ) from None


def delete(
    config: StorageConfig, tracking: TrackingConfig, name: str, with_runs: bool, summary: Path
) -> list[str]:
    """Delete the trials of the study `name`, their weights, and `with_runs` its runs in MLflow; in words."""
    with whole(config.url, name, completes="delete") as storage:
        begun = attribute(storage, name, HALF)
        with_runs = with_runs or (begun is not None and begun["with_runs"])
        words = ["python", "-m", "search.studies", "delete", name, "yes=true"]
        command = shlex.join([*words, *(["tracking=true"] if with_runs else [])])
        _note(storage, name, {"do": "delete", "with_runs": with_runs, "command": command})
        uids = _uids(storage, name)
        runs = experiments.delete(tracking, name, uids) if with_runs else 0
        kept = [WeightStore.of(config.weights, name, uid).remove() for uid in uids]
        _forget(summary, name)
        for each in (of_finalists(uids[0]), name):
            if each in studies_in(storage):
                storage.delete_study(storage.get_study_id_from_name(each))
    weights = ", and the weights of its best" if any(kept) else ""
    trash = "its runs are in MLflow's trash, where `mlflow gc` removes them for good"
    said = [f"{name}: its trials are deleted{weights}."]
    return [*said, f"{name}: {runs} of {trash}."] if with_runs else said


def rename(
    config: StorageConfig, tracking: TrackingConfig, before: str, after: str, summary: Path
) -> list[str]:
    """Have the study `before` be called `after`, in the table, on disk and in MLflow; what was done."""
    if before == after:
        raise ConfigError(f"studies.to: expected another name, {after} is its name already")
    with whole(config.url, before, "rename") as storage, whole(config.url, after):
        begun = attribute(storage, before, HALF)
        if begun is not None and begun["to"] != after:
            raise ConfigError(f"studies.to: complete first what was begun: {begun['command']}")
        if after in studies_in(storage):
            raise ConfigError(f"studies.to: there is a study {after!r} already (choose another)")
        if begun is None and experiments.is_taken(tracking, after):
            raise ConfigError(
                f"studies.to: MLflow has an experiment or a registered model {after!r} already, in its trash "
                "perhaps (choose another name)"
            )
        TrialTable(storage, chosen_in(storage, before))  # it is there, whole, or nothing is begun
        command = shlex.join(["python", "-m", "search.studies", "rename", before, after])
        _note(storage, before, {"do": "rename", "to": after, "command": command})
        uids = _uids(storage, before)
        moved = experiments.rename(tracking, before, after, uids, MADE_OF)
        for uid in uids:
            WeightStore.of(config.weights, before, uid).move(after)
        _forget(summary, before)
        _rename_in_table(storage, before, after)
        table = TrialTable(storage, after)
    said = [f"{before} is {after} now.", *(f"{each} keeps its name." for each in moved.left)]
    if tracking.name == "none":
        said.append(f"MLflow was not asked: an experiment {before!r} there keeps its name.")
    return [*said, *(_told(table, tracking) if moved.told else [])]


def _told(table: TrialTable, tracking: TrackingConfig) -> list[str]:
    """Have the run of a study that was renamed tell of it anew; what is still to be done."""
    ended = [entry for entry in table.entries() if entry.state != "running"]
    record = Records(table.about(), table.uid, table.retried).of_study(ended, table.ending())
    again = f"python -m search.publish study.name={as_override(table.name)}"
    try:
        experiments.publish(tracking, record)
    except UnavailableError as error:
        raise UnavailableError(
            f"{table.name}: is renamed, but its run in MLflow does not say so yet: {error} ({again})"
        ) from error
    anew = f"Its report in MLflow still has the old name: {again} makes it anew."
    return [anew] if tracking.report else []


def _forget(summary: Path, name: str) -> None:
    """Remove the summary of a study that is no longer of that name; its next launch writes another."""
    try:
        if json.loads(summary.read_text(encoding="utf-8"))["study"] == name:
            summary.unlink()
    except (OSError, ValueError, LookupError, TypeError):
        return  # it is somebody else's file, or none


def _uids(storage: Storage, name: str) -> Sequence[str]:
    """What the uids of its runs begin with: its own, and that of the study of its finalists."""
    uid = str(attribute(storage, name, "uid"))
    beside = attribute(storage, of_finalists(uid), "uid")
    return [uid] if beside is None else [uid, str(beside)]


def _note(storage: Storage, name: str, half: dict[str, Any]) -> None:
    study = chosen_in(storage, name)  # nobody deleted it before it was held
    storage.set_study_user_attr(storage.get_study_id_from_name(study), HALF, half)


def _rename_in_table(storage: Storage, before: str, after: str) -> None:
    """Rename it, wherever the table has its name; nothing is half done any more."""
    study_id = storage.get_study_id_from_name(before)
    attributes = storage.get_study_user_attrs(study_id)
    with damage_named(storage.url, f"the study {before!r}"):
        about = attributes["about"]
        config = from_yaml(about["config"])
        config["study"] = {**config["study"], "name": after}
        words = [word for word in shlex.split(about["command"]) if key(word) != "study.name"]
        command = shlex.join([*words, f"study.name={as_override(after)}"])
        changed = {"name": after, "config": to_yaml(config), "command": command}
    rename_study(storage, study_id, after, {**about, **changed})
