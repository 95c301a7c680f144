"""A study without training: the real coordinator, engine and table, on workers that replay a record."""

import functools
import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.run.config import RunConfig
from pipeline.run.fingerprint import default_rate
from pipeline.run.result import EpochMetrics, RunResult, State, Stop, Weights
from search.coordination.coordinator import Coordinator
from search.setup.read import Setup
from search.simulate.launcher import Script, SimulatedClock, SimulatedLauncher
from search.simulate.record import OPTIMIZER, RATE, Floats, Record
from search.simulate.surrogate import Surrogate
from search.study.space import Stored, encode
from search.study.vocabulary import Entry, Study
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.trial_table.writing import Storage
from search.workers.messages import Epoch, Finished, Started, Task
from search.workers.stopping import Stopper

MOST_TRIALS = 2000
"""Of one simulated study, however quick its trials are."""


@dataclass(frozen=True)
class Course:
    """How a study went, trial by trial as they ended.

    `times`: seconds. `values`: what the network that is the best by then is worth, without the luck of its
    seed; NaN while there is none. `pruned`: how many trials were.
    """

    times: Floats
    values: Floats
    pruned: int

    def at(self, seconds: float) -> float:
        """The value after so many seconds; NaN where no trial was complete."""
        place = int(np.searchsorted(self.times, seconds, side="right"))
        return float(self.values[place - 1]) if place else math.nan

    def after(self, trials: int) -> float:
        """The value after so many trials; NaN where there are not so many."""
        return float(self.values[trials - 1]) if 0 < trials <= len(self.values) else math.nan


def play(
    setup: Setup, record: Record, surrogate: Surrogate, workers: int, seconds: float, seed: int
) -> Course:
    """A study for so many simulated seconds, or until nothing is left to try. `seed`: of all its chances."""
    entries = trials(setup, record, surrogate, workers, seconds, seed)
    values, best, worth = [], None, math.nan
    for entry in entries:
        if entry.value is not None and entry.run is not None and entry.state == "complete":
            if entry.run.objective.better(entry.value, best):
                best = entry.value
                shown = surrogate.show([settings(entry.run, record.space.dimensions)])
                worth = _value_of(shown.curves[0], entry.run)
        values.append(worth)
    return Course(
        np.array([entry.ended_at or 0.0 for entry in entries]),
        np.array(values),
        sum(entry.state == "pruned" for entry in entries),
    )


def trials(
    setup: Setup, record: Record, surrogate: Surrogate, workers: int, seconds: float, seed: int
) -> list[Entry]:
    """The trials of such a study that ended, in that order, as its table has them."""
    setup = replace(setup, seed=seed)
    study = Study(setup.study, setup.run, setup.space, record.dataset, setup.search)
    clock = SimulatedClock()
    replay = _Replay(record, surrogate, seed)
    watcher = _Watcher()
    coordinator = Coordinator(
        study,
        TrialTable.open(Storage("sqlite://"), study, clock),  # in memory, and its own
        setup.make_engine((), workers, setup.training_rows_of(record.dataset.train_shape[0])),
        SimulatedLauncher(workers, replay.script, clock),
        _NoWeights(Path()),
        attempts=1,
        watcher=watcher,
        stopper=Stopper(
            0, lambda _: None, asked=lambda: "now" if clock() >= seconds else None, clock=clock
        ),
    )
    coordinator.run(MOST_TRIALS)
    return watcher.entries


def settings(
    run: RunConfig, paths: Collection[str], drawn: Mapping[str, Stored] | None = None
) -> dict[str, Stored]:
    """The settings of `run` at `paths`, as a table stores them, less those that are `drawn`.

    A learning rate of null is there as Keras's own of the optimizer.
    """
    found = {path: encode(functools.reduce(getattr, path.split("."), run)) for path in paths}
    found |= {path: value for path, value in (drawn or {}).items() if path in found}
    if RATE in found and found[RATE] is None:
        found[RATE] = default_rate(str(found.get(OPTIMIZER, run.train.optimizer)))
    return found


class _Replay:
    """What workers send: a network has one curve in a study, from wherever it is trained on."""

    def __init__(self, record: Record, surrogate: Surrogate, seed: int) -> None:
        self._paths = tuple(record.space.dimensions)
        self._surrogate = surrogate
        self._seed = seed

    def script(self, task: Task) -> Script:
        """The script of a worker."""
        run = task.run
        shown = self._surrogate.show([settings(run, self._paths)])
        curve = self._surrogate.draw(shown.curves[0], self._lot(run))
        begin, seconds = float(shown.begin[0]), float(shown.epoch[0])
        done = 0 if task.start is None else task.start.epoch
        history: list[EpochMetrics] = []
        stop: Stop = "completed"
        yield 0.0, Started(task.number, {"device": "simulated"})
        for number in range(done + 1, run.train.epochs + 1):
            metrics = {self._surrogate.metric: float(curve[number - 1])}
            history.append(EpochMetrics(number, metrics, seconds, 0.0))
            took = seconds + (begin if number == done + 1 else 0.0)
            if (yield took, Epoch(task.number, history[-1])):
                stop = "pruned"
                break
        values = {epoch.epoch: epoch.metrics[self._surrogate.metric] for epoch in history}
        best = run.objective.select_epoch(values)
        result = RunResult(
            history=tuple(history),
            stop=stop,
            value=values[best],
            best_epoch=best,
            test={},
            timings={},
            examples_per_second=0.0,
            parameters=0,
            model_summary="",
            device="simulated",
            loop="simulated",
        )
        yield 0.0, Finished(task.number, result, [], None)

    def _lot(self, run: RunConfig) -> float:
        """A number in [0, 1): the luck of this network, with this seed, in this study."""
        text = f"{self._seed} {run.train.seed} {settings(run, self._paths)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


class _Watcher:
    """Keeps what ended."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def running(self, trials: Mapping[int, Entry], last: bool) -> None:
        """Nobody looks."""

    def ended(self, entry: Entry) -> None:
        """Keep a trial."""
        self.entries.append(entry)


def _value_of(curve: Floats, run: RunConfig) -> float:
    """The objective of a network that shows `curve`, by the epochs that `run` trains."""
    values = dict(enumerate(map(float, curve[: run.train.epochs]), start=1))
    return values[run.objective.select_epoch(values)]


class _NoWeights(WeightStore):
    """Keeps nothing: a trial that goes on from another one has the same curve."""

    def save_state(self, number: int, state: State) -> None: ...

    def state(self, number: int) -> State | None: ...

    def save(self, number: int, weights: Weights) -> None: ...

    def keep_only(self, numbers: Collection[int]) -> None: ...

    def remove_states(self) -> None: ...
