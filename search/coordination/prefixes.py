"""Runs that differ in their epochs alone: the shorter one is the beginning of the longer."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from pipeline.run.comparison import changes
from pipeline.run.config import RunConfig
from pipeline.run.digests import history_digest
from pipeline.run.fingerprint import fingerprint
from pipeline.run.result import RunResult, State
from search.study.space import Space
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore

_EPOCHS = "train.epochs"
_MOST_MILESTONES = 10  # each costs a pass over the test set and the validation rows
_ENDLESS = 10**9


class Known(NamedTuple):
    """A result that is on record, that of trial `number`, or a part of its own. `same`: which of the two."""

    number: int
    result: RunResult
    worker: Mapping[str, str]
    same: bool

    def begun(self, table: TrialTable, entry: Entry, run: RunConfig) -> Entry:
        """The row of a trial that is begun and, as the result is there, about to end."""
        begun = table.start(entry.number, run, entry.attempts)
        if self.same:
            return replace(begun, worker=self.worker, same_as=self.number)
        return replace(begun, worker=self.worker, prefix_of=self.number)


def epochs_in(space: Space) -> tuple[int, ...]:
    """How long runs of `space` may train that differ in nothing else; none where there are no two such.

    Where a dimension has infinitely many values, no configuration comes twice.
    """
    if _EPOCHS not in space.dimensions or any(
        dimension.count is None for dimension in space.dimensions.values()
    ):
        return ()
    return tuple(int(str(value)) for value in space.dimensions[_EPOCHS].grid() or ())


class Prefixes:
    """The complete runs of a table, for those that begin or continue as they do.

    Only for studies that prune nothing: how a run is read off or goes on changes no number of it, but a
    pruner would be asked less often. Of another environment than the latest worker's no run is taken.
    `epochs`: how long the runs may train that are compared; None: nothing is taken from another run.
    """

    def __init__(self, epochs: Collection[int] | None, entries: Iterable[Entry] = ()) -> None:
        self._epochs = sorted(set(epochs or ()))
        self._takes = epochs is not None
        self._runs: dict[str, list[Entry]] = {}
        self._worker: Mapping[str, str] | None = None
        for entry in entries:
            self.add(entry)

    @property
    def keep_states(self) -> bool:
        """Whether a longer run may go on from where another ends."""
        return len(self._epochs) > 1

    def milestones(self, run: RunConfig) -> tuple[int, ...]:
        """After how many epochs of `run` a shorter one would end, where that one is its beginning."""
        if run.train.plans_ahead:
            return ()
        found = tuple(each for each in self._epochs if each < run.train.epochs)
        return found if len(found) <= _MOST_MILESTONES else ()

    def began(self, worker: Mapping[str, str]) -> None:
        """Hear of the worker that trains."""
        self._worker = worker

    def add(self, entry: Entry) -> None:
        """Take in a run that ended."""
        if not self._takes or entry.run is None:
            return
        if entry.state == "complete" and entry.history[0].epoch == 1:
            self._runs.setdefault(key_of(entry.run), []).append(entry)

    def known(self, run: RunConfig) -> Known | None:
        """What `run` comes to, where a run on record shows that."""
        for entry in self._like(run):
            result = entry.result and _cut(entry.result, run)
            if result is not None:
                same = entry.run is not None and entry.run.train.epochs == run.train.epochs
                return Known(entry.number, result, entry.worker, same)
        return None

    def start(self, run: RunConfig, weights: WeightStore) -> tuple[int, State] | None:
        """The longest run on record that `run` goes on from, by number, and where that ended."""
        for entry in sorted(self._like(run), key=lambda each: len(each.history), reverse=True):
            result, last = entry.result, entry.history[-1].epoch
            if result is None or result.stop != "completed" or last >= run.train.epochs:
                continue
            state = weights.state(entry.number)
            is_whole = run.objective.select == "last" or result.best_epoch == last
            if state is not None and (is_whole or state.best is not None):
                return entry.number, replace(state, history=result.history)
        return None

    def _like(self, run: RunConfig) -> list[Entry]:
        if self._worker is None or not self._runs:
            return []
        alike = self._runs.get(key_of(run), [])
        return [entry for entry in alike if not list(changes(entry.worker, self._worker))]


def key_of(run: RunConfig) -> str:
    """Text that is equal for two runs exactly where they differ in their epochs alone.

    Where the learning rate falls over all epochs they differ in that, too.
    """
    endless = {"epochs": _ENDLESS, "schedule_epochs": run.train.schedule_length}
    return fingerprint(run.model_copy(update={"train": run.train.model_copy(update=endless)}))


def _cut(result: RunResult, run: RunConfig) -> RunResult | None:
    """What `run` comes to that differs in its epochs from one with this `result`; None: it doesn't show.

    It cost nothing.
    """
    epochs, last = run.train.epochs, result.history[-1].epoch
    if epochs in result.shorter:
        found = result.shorter[epochs]
    elif result.stop == "early_stopped" and epochs > last:
        found = result
    elif epochs == last:
        found = replace(result, stop="completed")
    elif epochs < last and run.objective.select == "best" and result.best_epoch <= epochs:
        history = result.history[:epochs]
        digest = history_digest(history)
        found = replace(result, history=history, stop="completed", history_digest=digest)
    else:
        return None
    shorter = {count: each for count, each in result.shorter.items() if count < epochs}
    return replace(found, timings=dict.fromkeys(found.timings, 0.0), shorter=shorter)
