"""The trial table: the only truth about a study's trials, kept in Optuna's storage for both engines."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna

from pipeline.command.errors import ConfigError, StorageError
from pipeline.command.redact import redact
from pipeline.run.config import RunConfig
from pipeline.run.result import RunResult
from pipeline.tracking.record import Status
from search.study.endings import STOPPED, Ending, of_finished
from search.study.identity import difference, identity, words_of_space
from search.study.space import Space
from search.study.vocabulary import About, Attempts, Entry, Study, Suggestion, TrialState
from search.trial_table.attributes import Attributes, WarmStart, tracker_of
from search.trial_table.rows import END, START, end_of, plan_of, row_of, start_of
from search.trial_table.storage import (
    chosen_in,
    damage_named,
    described_in,
    existing_storage,
    find_storage,
    open_storage,
    place,
    studies_in,
)
from search.trial_table.terms import TO_OPTUNA, directions, distribution, values
from search.trial_table.writing import Storage

_FOREIGN = "study.name: {!r} in this storage was not made by Plumbline (take another study.name)"


class TrialTable:
    """The trials of one study. It has one writer, so what it holds is read from the database once."""

    def __init__(self, storage: Storage, name: str, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.clock = clock  # of the Unix times in its rows
        self._storage = storage
        self._ids: dict[int, int] = {}
        self._entries: dict[int, Entry] = {}
        with damage_named(storage.url, f"the study {name!r}"):
            self._study_id = storage.get_study_id_from_name(name)
            attributes = storage.get_study_user_attrs(self._study_id)
            if not attributes.keys() & Attributes.model_fields.keys():
                raise ConfigError(_FOREIGN.format(name))
            self._attrs = Attributes.model_validate(attributes)
            trials = storage.get_all_trials(self._study_id, deepcopy=False)
        for frozen in trials:
            self._ids[frozen.number] = frozen._trial_id
            self._entries[frozen.number] = self._read(frozen)

    @property
    def uid(self) -> str:
        """Of the study's run, and the first part of its trials' uids."""
        return self._attrs.uid

    @property
    def url(self) -> str:
        """Of the database."""
        return self._storage.url

    @classmethod
    def open(
        cls, where: str | Storage, study: Study, clock: Callable[[], float] = time.time
    ) -> "TrialTable":
        """The table of `study` at a URL or in the storage that a lock gave, created where there is none.

        Raises ConfigError, showing the difference, where the study exists with another space,
        objective, data or fixed parameters: its trials could not be compared with new ones.
        """
        storage = open_storage(where) if isinstance(where, str) else where
        name, ways = study.config.name, directions(study.base.objective)
        found = optuna.create_study(
            study_name=name, storage=storage, directions=ways, load_if_exists=True
        )
        if "identity" not in found.user_attrs:
            if found.get_trials(deepcopy=False):
                raise ConfigError(_FOREIGN.format(name))
            found.set_user_attr("uid", uuid.uuid4().hex)
            found.set_user_attr("identity", identity(study))
        table = cls(storage, name, clock)
        table.check(study)
        return table

    @classmethod
    def names(cls, url: str) -> list[str]:
        """The Plumbline studies in the storage at `url`, which must be there."""
        return described_in(existing_storage(url))

    @classmethod
    def load(cls, url: str, name: str | None) -> "TrialTable":
        """The table of the study `name`, or of the only one if that is None. Nothing is created.

        Raises ConfigError, with the studies that there are, where it can't be told which is meant.
        """
        storage = existing_storage(url)
        return cls(storage, chosen_in(storage, name))

    @classmethod
    def find(cls, url: str, name: str) -> "TrialTable | None":
        """The table of a study that a launch before has described; nothing is created."""
        storage = find_storage(url)
        return cls(storage, name) if storage and name in described_in(storage) else None

    def check(self, study: Study) -> None:
        """Raise ConfigError, showing the difference, where `study` has other settings than the table's."""
        if changed := difference(self._attrs.identity, identity(study)):
            raise ConfigError(
                f"study.name: {self.name!r} exists with other settings:\n{changed}\n"
                "Give the new study another name (study.name=...), or set these back."
            )

    def describe(self, about: About) -> None:
        """Record what people read of the study that is launched now; of the space, only the first time.

        MLflow takes no other value for a parameter.
        """
        about = replace(about, space=words_of_space(self._attrs.identity))
        self._set(about=about, ending=None)

    def about(self) -> About:
        """What the latest launch said of the study."""
        assert self._attrs.about is not None, "a launch has described it"
        return self._attrs.about

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
        said = self._attrs.used_up
        return (
            said is not None
            and said["trials"] == len(self._entries)
            and suggests in (None, said["suggests"])
        )

    def use_up(self, suggests: Mapping[str, Any]) -> None:
        """Record that `suggests` has nothing more to suggest, after the trials that there are."""
        self._set(used_up={"trials": len(self._entries), "suggests": dict(suggests)})

    def end(self, ending: Ending) -> None:
        """Record how this launch ended."""
        self._set(ending=ending)

    def ending(self) -> Ending:
        """How the study stands when no launch is running: finished, or as the latest one left it."""
        done = self.is_finished(target := self.about().trials)
        return of_finished(self.entries(), target) if done else self._attrs.ending or STOPPED

    def keep(self) -> None:
        """To be called now and then: what was lost of the storage is noticed, and taken up again."""
        self._storage.keep()

    def mark_published(self, uri: str, status: Status) -> None:
        """Remember that the tracker at `uri` has all that ended, and the study itself as `status`."""
        self._set(published=self._published(uri, status))

    def is_published(self, uri: str, status: Status) -> bool:
        """Whether `mark_published` was last called with the same; no trial ended, or was replayed, since."""
        mark = self._published(uri, status)
        return mark["to"] is not None and mark == self._attrs.published

    def _published(self, uri: str, status: Status) -> dict[str, Any]:
        ended = [entry for entry in self._entries.values() if entry.state != "running"]
        replays = {str(e.number): e.certificate.replay for e in ended if e.certificate is not None}
        return {"to": tracker_of(uri), "trials": len(ended), "status": status, "replays": replays}

    @property
    def finalists(self) -> dict[str, Any] | None:
        """What was last asked of the study's finalists, by `search.analysis.finalists`."""
        return self._attrs.finalists

    def ask_finalists(self, asked: dict[str, Any]) -> None:
        """Record what is asked of the study's finalists, for whoever reads the verdict."""
        self._set(finalists=asked)

    @property
    def warm_start(self) -> WarmStart:
        """What the study learnt from others when it began."""
        return self._attrs.warm_start

    def learn(self, warm_start: WarmStart) -> None:
        """Record what the study learns from others, which its first trial settles."""
        if not self._entries and warm_start != self._attrs.warm_start:
            self._set(warm_start=warm_start)

    def beside(self, name: str) -> "TrialTable | None":
        """Another study's table in the same storage; None where there is none."""
        return TrialTable(self._storage, name) if name in studies_in(self._storage) else None

    def entries(self) -> list[Entry]:
        """All trials by number, the running ones too."""
        return list(self._entries.values())

    def interrupted(self) -> list[Entry]:
        """Trials left running by a coordinator that died: to be run again as they are."""
        return [entry for entry in self._entries.values() if entry.state == "running"]

    def retry_failed(self) -> list[int]:
        """Have the trials that failed run again, under their numbers, with their parameters; which ones."""
        failed = [entry for entry in self._entries.values() if entry.state == "failed"]
        ends = [entry.ended_at for entry in failed if entry.ended_at is not None]
        self._set(retried=(*self.retried, *ends), published=None)
        self._storage.reopen([self._ids[entry.number] for entry in failed], END)
        for entry in failed:
            trial_id = self._ids[entry.number]
            if entry.run is not None:
                excused = Attempts(entry.attempts.made, excused=entry.attempts.made)
                begun = start_of(excused, entry.started_at, entry.run)
                self._storage.annotate(trial_id, {START: begun})
            self._entries[entry.number] = self._read(self._storage.get_trial(trial_id))
        return [entry.number for entry in failed]

    @property
    def retried(self) -> Sequence[float]:
        """When trials failed that were tried again since, in Unix seconds."""
        return self._attrs.retried

    def create(self, suggestion: Suggestion, space: Space) -> Entry:
        """A new trial with what an engine suggested, written at once and whole."""
        number = len(self._entries)
        frozen = optuna.trial.create_trial(
            state=TO_OPTUNA["running"],
            params={path: space.canonical(path, v) for path, v in suggestion.params.items()},
            distributions={p: distribution(space.dimensions[p]) for p in suggestion.params},
            user_attrs=plan_of(suggestion),
        )
        with self._one_writer():
            self._ids[number] = self._storage.create(self._study_id, number, frozen)
        frozen.number = number
        self._entries[number] = self._read(frozen)
        return self._entries[number]

    def start(self, number: int, run: RunConfig, attempts: Attempts) -> Entry:
        """Record that an attempt at a trial begins now, with this `run`."""
        return self._write_start(number, self.clock(), run, attempts)

    def count(self, number: int, attempts: Attempts) -> None:
        """Record how the attempts at a trial went that has not ended."""
        entry = self._entries[number]
        if entry.run is not None:
            self._write_start(number, entry.started_at, entry.run, attempts)

    def _write_start(self, number: int, at: float, run: RunConfig, attempts: Attempts) -> Entry:
        self._storage.annotate(self._ids[number], {START: start_of(attempts, at, run)})
        entry = replace(self._entries[number], started_at=at, run=run, attempts=attempts)
        self._entries[number] = entry
        return entry

    def complete(self, entry: Entry, result: RunResult, notes: Mapping[str, Any]) -> Entry:
        """Record a trial that ran to its end, or was pruned. `notes`: the engine's, if they grew."""
        state: TrialState = "pruned" if result.stop == "pruned" else "complete"
        ended = replace(
            entry, state=state, result=result, value=result.value, history=result.history
        )
        return self._end(ended, notes)

    def fail(self, entry: Entry, reason: str, notes: Mapping[str, Any] | None = None) -> Entry:
        """Record a trial that failed, with the epochs that it got to. `notes`: as in `complete`."""
        return self._end(replace(entry, state="failed", reason=redact(reason)), notes)

    def _end(self, entry: Entry, notes: Mapping[str, Any] | None) -> Entry:
        entry = replace(entry, ended_at=self.clock(), notes={**entry.notes, **(notes or {})})
        state = TO_OPTUNA[entry.state], values(entry.value, entry.cost)
        with self._one_writer():
            self._storage.end(self._ids[entry.number], *state, {END: end_of(entry)}, entry.curve)
        self._entries[entry.number] = entry
        return entry

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        try:
            yield
        except StorageError as error:
            raise StorageError(f"{place(self._storage.url)}: {self.name}: {error}") from None

    def _set(self, **changes: Any) -> None:
        self._attrs = self._attrs.model_copy(update=changes)
        for name in changes:
            self._storage.set_study_user_attr(self._study_id, name, self._attrs.stored(name))

    def _read(self, frozen: optuna.trial.FrozenTrial) -> Entry:
        with damage_named(self._storage.url, f"trial {frozen.number} of {self.name!r}"):
            return row_of(frozen, self.uid)
