"""Recorded trials trained again, each from the end of the one that it went on from."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.run.comparison import Training
from pipeline.run.result import EpochMetrics, State, Weights
from search.study.vocabulary import Entry
from search.trial_table.lineage import lineage
from search.workers.messages import Epoch, Failed, Finished, Task
from search.workers.pool import Again, Began, Happened, Pool


@dataclass(frozen=True)
class Replayed:
    """A trial that was trained again. `weights`: those of its objective, where it has a result."""

    training: Training
    weights: Weights | None = None


class Replays:
    """Trains the trials `wanted`, and those of `entries` on the way to them, each of them once.

    A trial that was pruned is pruned after the same epoch. Nothing is recorded.
    """

    def __init__(self, wanted: Sequence[Entry], entries: Sequence[Entry]) -> None:
        self._wanted = {entry.number for entry in wanted}
        self._steps: dict[int, Entry] = {}
        for entry in wanted:
            self._steps |= {step.number: step for step in lineage(entry, entries)}
        self._waiting = dict(self._steps)
        self._followers = Counter(step.continues for step in self._steps.values())
        self._states: dict[int, State] = {}
        self._lost: set[int] = set()  # that have no end to go on from
        self._workers: dict[int, Mapping[str, str]] = {}
        self._histories: dict[int, list[EpochMetrics]] = {}

    @property
    def missing(self) -> int:
        """How many of those wanted have not ended."""
        return len(self._wanted)

    def train(
        self,
        pool: Pool,
        ended: Callable[[Entry, Replayed], None],
        began: Callable[[Entry, Mapping[str, str]], None] = lambda *_: None,
    ) -> None:
        """Train all; `began` hears of each with what trains it, before it does, `ended` of those wanted.

        Where the pool's stopper says so it returns earlier, and some are `missing`. Raises
        PlumblineError where no worker can train.
        """
        for happened in pool.run(self._next):
            for event in happened:
                self._handle(event, pool, ended, began)
            self._give_up(ended)

    def _next(self) -> Task | None:
        """The next trial whose start is known; None where none is, or none is left."""
        for number, step in self._waiting.items():
            if step.continues is None or step.continues in self._states:
                del self._waiting[number]
                assert step.run is not None, "it has a result"
                start = None if step.continues is None else self._start(step.continues)
                return Task(number, step.run, start, keep_state=number in self._followers)
        return None

    def _start(self, number: int) -> State:
        """The end of trial `number`, which is kept for those that still wait for it."""
        self._followers[number] -= 1
        return self._states[number] if self._followers[number] else self._states.pop(number)

    def _handle(
        self,
        event: Happened,
        pool: Pool,
        ended: Callable[[Entry, Replayed], None],
        began: Callable[[Entry, Mapping[str, str]], None],
    ) -> None:
        if isinstance(event, Again):
            return
        if isinstance(event, Began):
            number = event.task.number
            self._workers[number], self._histories[number] = event.worker, []
            began(self._steps[number], event.worker)
            return
        number, step = event.number, self._steps[event.number]
        if isinstance(event, Epoch):
            self._histories[number].append(event.metrics)
            pruned = step.result is not None and step.result.stop == "pruned"
            pool.reply(number, pruned and event.metrics.epoch == step.history[-1].epoch)
        elif isinstance(event, Finished):
            if event.state is not None:
                self._states[number] = event.state
            training = Training(self._workers[number], event.result.history, event.result)
            self._end(step, Replayed(training, event.weights), ended)
        elif isinstance(event, Failed):
            history = tuple(self._histories.get(number, ()))
            training = Training(self._workers.get(number, {}), history, None, event.reason)
            self._end(step, Replayed(training), ended)

    def _end(
        self, step: Entry, replayed: Replayed, ended: Callable[[Entry, Replayed], None]
    ) -> None:
        if replayed.weights is None:
            self._lost.add(step.number)
        if step.number in self._wanted:
            self._wanted.remove(step.number)
            ended(step, replayed)

    def _give_up(self, ended: Callable[[Entry, Replayed], None]) -> None:
        """End those that wait for a trial which failed."""
        while stuck := [step for step in self._waiting.values() if step.continues in self._lost]:
            for step in stuck:
                del self._waiting[step.number]
                reason = f"trial {step.continues}, which it went on from, has failed"
                self._end(step, Replayed(Training({}, (), None, reason)), ended)


@contextmanager
def backend_of(worker: Mapping[str, str]) -> Iterator[None]:
    """Have the workers that start in the block use the backend of `worker`; of an old row, what is usual."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = worker.get("backend") or before or "tensorflow"
    try:
        yield
    finally:
        os.environ.pop("KERAS_BACKEND")
        if before is not None:
            os.environ["KERAS_BACKEND"] = before


def threads_of(worker: Mapping[str, str]) -> int:
    """How many CPU threads `worker` had: their number decides the order of additions."""
    return int(worker.get("threads", 1))


def lanes_of(worker: Mapping[str, str]) -> int:
    """How many lanes the programs of `worker` had: their number decides its numbers, too."""
    return int(worker.get("lanes", 1))


def recorded(entry: Entry) -> Training:
    """The training that is on record."""
    return Training(entry.worker, entry.history, entry.result, entry.reason)
