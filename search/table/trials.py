"""The trial table: the only truth about a study's trials, kept in Optuna's storage for both engines."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pipeline.command.errors import ConfigError
from pipeline.command.redact import redact
from pipeline.command.section import did_you_mean
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, RunResult
from pipeline.tracking.record import Status
from search.study.dimension import Dimension, Range, Stored, as_float, at_step, encode
from search.study.endings import STOPPED, Ending, of_finished
from search.study.identity import difference, identity, words_of_space
from search.study.space import Space, kinds_of
from search.study.vocabulary import About, Attempts, Entry, Study, Suggestion, Trial, TrialState
from search.table.postgres import Storage
from search.table.storage import errors_named, existing_storage, find_storage, open_storage, reopen

_IDENTITY = "identity"
_UID = "uid"
_ABOUT = "about"
_START = "start"
_END = "end"
_NOTES = "notes"
_PLAN = "plan"
_PUBLISHED = "published"
_USED_UP = "used_up"
_ENDING = "ending"
_RETRIED = "retried"
_SQLITE = "sqlite:///"
TO_OPTUNA: dict[TrialState, optuna.trial.TrialState] = {
    "running": optuna.trial.TrialState.RUNNING,
    "complete": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
}
_FROM_OPTUNA = {optunas: ours for ours, optunas in TO_OPTUNA.items()}


class TrialTable:
    """The trials of one study. It has one writer, so what it holds is read from the database once."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(name)
        self._attrs = storage.get_study_user_attrs(self._study_id)
        self.uid: str = self._attrs[_UID]
        self._ids: dict[int, int] = {}
        self._entries: dict[int, Entry] = {}
        for frozen in storage.get_all_trials(self._study_id, deepcopy=False):
            self._ids[frozen.number] = frozen._trial_id
            self._entries[frozen.number] = self._entry(frozen)

    @classmethod
    def open(cls, where: str | Storage, study: Study) -> "TrialTable":
        """The table of `study` at a URL or in the storage that a lock gave, created where there is none.

        Raises ConfigError, showing the difference, where the study exists with another space,
        objective, data or fixed parameters: its trials could not be compared with new ones.
        """
        storage = open_storage(where) if isinstance(where, str) else where
        name = study.config.name
        found = optuna.create_study(
            study_name=name,
            storage=storage,
            direction=study.base.objective.direction,
            load_if_exists=True,
        )
        if _IDENTITY not in found.user_attrs:
            if found.get_trials(deepcopy=False):
                raise ConfigError(
                    f"study.name: {name!r} in this storage was not made by Plumbline "
                    "(give the study another study.name)"
                )
            found.set_user_attr(_UID, uuid.uuid4().hex)
            found.set_user_attr(_IDENTITY, identity(study))
        table = cls(storage, name)
        table.check(study)
        return table

    @classmethod
    def names(cls, url: str) -> list[str]:
        """The Plumbline studies in the storage at `url`, which must be there."""
        studies = existing_storage(url).get_all_studies()
        return sorted(study.study_name for study in studies if _ABOUT in study.user_attrs)

    @classmethod
    def load(cls, url: str, name: str | None) -> "TrialTable":
        """The table of the study `name`, or of the only one if that is None. Nothing is created.

        Raises ConfigError, with the studies that there are, where it can't be told which is meant.
        """
        storage = existing_storage(url)
        if name is None and len(names := cls.names(url)) == 1:
            name = names[0]
        try:
            return cls(storage, name or "")
        except KeyError:
            names = cls.names(url)
            wrong = "is missing" if name is None else f"there is no study {name!r}"
            hint = did_you_mean(name or "", names)
            there = ", ".join(names) or "none"
            raise ConfigError(
                f"study.name: {wrong}{hint}; in {redact(url)} there are: {there}"
            ) from None

    @classmethod
    def find(cls, url: str, name: str) -> "TrialTable | None":
        """The table of a study that a launch before has described; nothing is created."""
        storage = find_storage(url)
        if storage is None:
            return None
        with errors_named(url):
            for study in storage.get_all_studies():
                if study.study_name == name and _ABOUT in study.user_attrs:
                    return cls(storage, name)
        return None

    def check(self, study: Study) -> None:
        """Raise ConfigError, showing the difference, where `study` has other settings than the table's."""
        if changed := difference(self._attrs[_IDENTITY], identity(study)):
            raise ConfigError(
                f"study.name: {self.name!r} exists with other settings:\n{changed}\n"
                "Give the new study another name (study.name=...), or set these back."
            )

    def describe(self, about: About) -> None:
        """Record what people read of the study that is launched now; of the space, only the first time.

        MLflow takes no other value for a parameter.
        """
        about = replace(about, space=words_of_space(self._attrs[_IDENTITY]))
        self._set(_ABOUT, about.to_json())
        self._set(_ENDING, None)

    def about(self) -> About:
        """What the latest launch said of the study."""
        return About.from_json(self._attrs[_ABOUT])

    def is_finished(
        self, target: int, suggests: Mapping[str, Any] | None = None, retry: bool = False
    ) -> bool:
        """Whether nothing is left to be tried: `target` trials ended, or there was no more to suggest.

        `suggests`: what would suggest the next one (None: what suggested the last one). Another one, or
        another number of trials, may find more. `retry`: trials that failed are to be tried again.
        """
        states = {entry.state for entry in self._entries.values()}
        if "running" in states or (retry and "failed" in states):
            return False
        if len(self._entries) >= target:
            return True
        said = self._attrs.get(_USED_UP)
        return (
            said is not None
            and said["trials"] == len(self._entries)
            and suggests in (None, said["suggests"])
        )

    def use_up(self, suggests: Mapping[str, Any]) -> None:
        """Record that `suggests` has nothing more to suggest, after the trials that there are."""
        self._set(_USED_UP, {"trials": len(self._entries), "suggests": dict(suggests)})

    def end(self, ending: Ending) -> None:
        """Record how this launch ended."""
        self._set(_ENDING, ending.to_json())

    def ending(self) -> Ending:
        """How the study stands when no launch is running: finished, or as the latest one left it."""
        target = self.about().trials
        if self.is_finished(target):
            return of_finished(self.entries(), target)
        left = self._attrs.get(_ENDING)
        return STOPPED if left is None else Ending(**left)

    def keep(self) -> None:
        """To be called now and then: what was lost of the storage is noticed, and taken up again."""
        self._storage.keep()

    def mark_published(self, uri: str, status: Status) -> None:
        """Remember that the tracker at `uri` has all that ended, and the study itself as `status`."""
        self._set(_PUBLISHED, self._published(uri, status))

    def is_published(self, uri: str, status: Status) -> bool:
        """Whether `mark_published` was last called with the same, and no trial has ended since."""
        mark = self._published(uri, status)
        return mark["to"] is not None and mark == self._attrs.get(_PUBLISHED)

    def _published(self, uri: str, status: Status) -> dict[str, Any]:
        to: str | None = redact(uri)
        if uri.startswith(
            _SQLITE
        ):  # relative to the folder one is in; and it may have been deleted
            file = Path(uri.removeprefix(_SQLITE).partition("?")[0]).absolute()
            to = str(file) if file.exists() else None
        ended = sum(entry.state != "running" for entry in self._entries.values())
        return {"to": to, "trials": ended, "status": status}

    def entries(self) -> list[Entry]:
        """All trials by number, the running ones too."""
        return list(self._entries.values())

    def interrupted(self) -> list[Trial]:
        """Trials left running by a coordinator that died: to be run again as they are."""
        return [_trial(entry) for entry in self._entries.values() if entry.state == "running"]

    def retry_failed(self) -> list[int]:
        """Have the trials that failed run again, under their numbers, with their parameters; which ones."""
        failed = [entry for entry in self._entries.values() if entry.state == "failed"]
        ends = [entry.ended_at for entry in failed if entry.ended_at is not None]
        self._set(_RETRIED, [*self.retried, *ends])
        self._set(_PUBLISHED, None)
        reopen(self._storage, [self._ids[entry.number] for entry in failed], _END)
        for entry in failed:
            trial_id = self._ids[entry.number]
            if entry.attempt:
                anew = Attempts(made=entry.attempt, excused=entry.attempt)
                start = _start(anew, entry.started_at, entry.run)
                self._storage.set_trial_user_attr(trial_id, _START, start)
            self._entries[entry.number] = self._entry(self._storage.get_trial(trial_id))
        return [entry.number for entry in failed]

    @property
    def retried(self) -> Sequence[float]:
        """When trials failed that were tried again since, in Unix seconds."""
        return tuple(self._attrs.get(_RETRIED, ()))

    def create(self, suggestion: Suggestion, space: Space) -> Trial:
        """A new trial with what an engine suggested, written at once and whole."""
        number = len(self._entries)
        frozen = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params={path: space.canonical(path, v) for path, v in suggestion.params.items()},
            distributions={
                path: _distribution(space.dimensions[path]) for path in suggestion.params
            },
            user_attrs={
                _PLAN: {"epochs": suggestion.epochs, "continues": suggestion.continues},
                _NOTES: dict(suggestion.notes),
            },
        )
        self._ids[number] = self._storage.create_new_trial(self._study_id, frozen)
        frozen.number = number
        entry = self._entries[number] = self._entry(frozen)
        return _trial(entry)

    def start(self, trial: Trial, run: RunConfig) -> float:
        """Record that an attempt at `trial` begins now, with this `run`; when that is."""
        now = time.time()
        self._write_start(trial, now, run.parameters())
        return now

    def count(self, trial: Trial) -> None:
        """Record how the attempts at a trial went that has not ended."""
        entry = self._entries[trial.number]
        if trial.attempts.made > 0:
            self._write_start(trial, entry.started_at, entry.run)

    def _write_start(self, trial: Trial, at: float, run: Mapping[str, str]) -> None:
        start = _start(trial.attempts, at, run)
        self._storage.set_trial_user_attr(self._ids[trial.number], _START, start)
        entry = self._entries[trial.number]
        self._entries[trial.number] = replace(entry, **_started(start))

    def complete(
        self,
        trial: Trial,
        result: RunResult,
        worker: Mapping[str, str],
        notes: Mapping[str, Any],
    ) -> Entry:
        """Record a trial that ran to its end, or was pruned. `notes`: the engine's, if they grew."""
        facts = {"result": asdict(result), "worker": dict(worker), "notes": dict(notes)}
        return self._end(trial, "pruned" if result.stop == "pruned" else "complete", facts)

    def fail(
        self,
        trial: Trial,
        reason: str,
        history: Sequence[EpochMetrics],
        notes: Mapping[str, Any] | None = None,
        worker: Mapping[str, str] | None = None,
    ) -> Entry:
        """Record a trial that failed, with the epochs that it got to. `notes`: as in `complete`."""
        facts = {
            "reason": redact(reason),
            "history": [asdict(epoch) for epoch in history],
            "notes": dict(notes or {}),
            "worker": dict(worker or {}),
        }
        return self._end(trial, "failed", facts)

    def _set(self, key: str, value: Any) -> None:
        self._attrs[key] = value
        self._storage.set_study_user_attr(self._study_id, key, value)

    def _end(self, trial: Trial, state: TrialState, facts: dict[str, Any]) -> Entry:
        end = {"at": time.time(), **facts}
        before = self._entries[trial.number]
        notes = {**before.notes, **end["notes"]}
        entry = replace(before, state=state, **(_ended(end) | {"notes": notes}))
        trial_id = self._ids[trial.number]
        # The facts before the state: a trial that shows as finished is recorded whole.
        self._storage.set_trial_user_attr(trial_id, _END, end)
        values = None if entry.value is None else [entry.value]
        self._storage.set_trial_state_values(trial_id, TO_OPTUNA[state], values)
        self._entries[trial.number] = entry
        return entry

    def _entry(self, frozen: optuna.trial.FrozenTrial) -> Entry:
        state = _FROM_OPTUNA[frozen.state]
        started_at = frozen.datetime_start.timestamp() if frozen.datetime_start else 0.0
        facts: dict[str, Any] = {"attempt": 0, "losses": 0, "started_at": started_at, "run": {}}
        if (start := frozen.user_attrs.get(_START)) is not None:
            facts |= _started(start)
        if state != "running":
            facts |= _ended(frozen.user_attrs[_END])
        notes = {**frozen.user_attrs.get(_NOTES, {}), **facts.pop("notes", {})}
        return Entry(
            number=frozen.number,
            uid=f"{self.uid}-{frozen.number}",
            state=state,
            params={path: _canonical(frozen, path) for path in frozen.params},
            notes=notes,
            **frozen.user_attrs[_PLAN],
            **facts,
        )


def _trial(entry: Entry) -> Trial:
    return Trial(
        entry.number,
        entry.uid,
        entry.params,
        entry.epochs,
        entry.continues,
        Attempts(entry.attempt, entry.losses, entry.excused),
    )


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    return {path: _distribution(dimension) for path, dimension in space.dimensions.items()}


def _canonical(frozen: optuna.trial.FrozenTrial, path: str) -> Stored:
    """A parameter as its space has it: the version before wrote 0.1 + 0.2 for 0.3, and 0 for 0.0."""
    value, distribution = frozen.params[path], frozen.distributions[path]
    if float in kinds_of(path):
        value = as_float(value)
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        low, step = distribution.low, distribution.step
        return at_step(low, step, round((value - low) / step))
    stored: Stored = value
    return stored


def _distribution(dimension: Dimension) -> BaseDistribution:
    if not isinstance(dimension, Range):
        return CategoricalDistribution([encode(option) for option in dimension.options])
    if dimension.integer:
        return IntDistribution(
            int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)


def _start(attempts: Attempts, at: float, run: Mapping[str, str]) -> dict[str, Any]:
    return {
        "attempt": attempts.made,
        "losses": attempts.losses,
        "excused": attempts.excused,
        "at": at,
        "run": dict(run),
    }


def _started(start: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attempt": start["attempt"],
        "losses": start["losses"],
        # The version before did not count them: whatever ended a launch then is held against no trial.
        "excused": start.get("excused", start["attempt"] - start["losses"]),
        "started_at": start["at"],
        "run": start["run"],
    }


def _ended(end: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"ended_at": end["at"], "worker": end.get("worker", {})}
    if "result" in end:
        result = RunResult.from_json(end["result"])
        facts |= {"result": result, "value": result.value, "history": result.history}
    else:
        history = tuple(EpochMetrics(**epoch) for epoch in end["history"])
        facts |= {"reason": end["reason"], "history": history}
    if end.get("notes"):
        facts |= {"notes": end["notes"]}
    return facts
