"""A study played through without training: which trials its engine suggests, and how far each goes."""

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from pipeline.run.ending import ending
from search.study.space import Space
from search.study.vocabulary import Engine, Entry, Exhausted, Suggestion, Suggestions, Told, Wait

_RISE = 0.03
"""How much lower a made-up curve is after one epoch than where it ends; after n it is one nth of that."""

_QUALITY = 0.005
"""By how much made-up trials differ in what they come to, as a standard deviation."""

_DEARER_IS_BETTER = 0.5
"""The correlation of that with the logarithm of what an epoch takes: larger networks are pruned less."""

_WOBBLE = 0.001
"""By how much an epoch of a made-up curve is off."""

MOST_TRIALS = 100
"""The most trials that are played; a longer study goes on as it did until there."""


@dataclass(frozen=True)
class Planned:
    """A trial to come, up to `epochs`: the first `behind` are those of the trial at the place `after`."""

    run: RunConfig
    epochs: int
    behind: int = 0
    after: int | None = None


@dataclass(frozen=True)
class Asked:
    """What of a study is still to be done: up to `target` trials, of which there are `asked`.

    `interrupted`: those of them that are to run again. `curves`: of those that ended.
    """

    base: RunConfig
    space: Space
    target: int
    asked: int
    interrupted: Sequence[Entry] = ()
    curves: Sequence[Mapping[int, float]] = ()
    ends: Mapping[int, int] = field(default_factory=dict)  # last epoch of a trial, by its number


class Play:
    """One way in which the rest of a study may go, drawn by `seed`.

    Its `engine` is the study's own, and hears of made-up curves: each trial is as good as another
    whatever its parameters, and better than another at one epoch as at the next, but for a wobble. Where
    trials ended before, those to come do as one of them. `prunes`: whether the engine is asked after each
    epoch. `seconds`: of a run's epoch, for the order in which trials end; `rank`: how dear it is among
    those of the space, in standard deviations from their mean.
    """

    def __init__(
        self,
        asked: Asked,
        engine: Engine,
        workers: int,
        prunes: bool,
        seconds: Callable[[RunConfig], float],
        rank: Callable[[RunConfig], float],
        seed: int,
    ) -> None:
        self._asked = asked
        self._engine = engine
        self._prunes = prunes
        self._seconds = seconds
        self._rank = rank
        self._free = workers
        self._rng = np.random.default_rng(seed)
        self._due: list[tuple[float, int, int]] = []
        self._order = itertools.count()
        self._runs: dict[int, RunConfig] = {}
        self._curves: dict[int, dict[int, float]] = {}
        self._made_up: dict[int, Callable[[int], float]] = {}
        self._ends = dict(asked.ends)
        self._places: dict[int, int] = {}
        self._each: dict[int, float] = {}
        self._trials: dict[int, Planned] = {}

    def through(self) -> list[Planned]:
        """The trials to come, in the order in which they begin."""
        self._number = self._asked.asked
        waiting = [
            (e.number, Suggestion(e.params, e.epochs, e.continues)) for e in self._asked.interrupted
        ]
        now, ended = 0.0, False
        while True:
            while self._free and not ended:
                if not waiting:
                    answer = self._ask()
                    ended = isinstance(answer, Exhausted)
                    if not isinstance(answer, Suggestions):
                        break
                    for suggestion in answer.trials:
                        waiting.append((self._number, suggestion))
                        self._number += 1
                self._begin(*waiting.pop(0), now)
            if not self._due:
                return [self._trials[number] for number in self._places]
            now, _, number = heapq.heappop(self._due)
            self._epoch(number, now)

    def _ask(self) -> Suggestions | Wait | Exhausted:
        most = min(self._asked.target, self._asked.asked + MOST_TRIALS)
        if self._number >= most:
            return Exhausted()
        return self._engine.ask(min(self._free, most - self._number))

    def _begin(self, number: int, suggestion: Suggestion, now: float) -> None:
        try:
            run = self._asked.space.apply(self._asked.base, suggestion.params, suggestion.epochs)
        except ConfigError:
            self._engine.tell(Told(number, "failed", None, {}))
            return
        past = suggestion.continues
        behind = 0 if past is None else self._ends.get(past, 0)
        self._runs[number], self._curves[number] = run, {}
        self._made_up[number] = self._made_up.get(-1 if past is None else past) or self._curve(run)
        after = None if past is None else self._places.get(past)
        self._places[number] = len(self._places)
        self._trials[number] = Planned(run, run.train.epochs, behind, after)
        self._ends[number] = behind
        self._each[number] = self._seconds(run)
        self._free -= 1
        whole = not self._prunes and run.train.patience is None
        steps = max(1, run.train.epochs - behind) if whole else 1
        self._wait(number, now + steps * self._each[number])

    def _wait(self, number: int, until: float) -> None:
        heapq.heappush(self._due, (until, next(self._order), number))

    def _epoch(self, number: int, now: float) -> None:
        run, curve = self._runs[number], self._curves[number]
        if not self._prunes and run.train.patience is None:
            for epoch in range(self._ends[number] + 1, run.train.epochs + 1):
                curve[epoch] = self._made_up[number](epoch)
            self._end(number, "complete")
            return
        epoch = self._ends[number] = self._ends[number] + 1
        curve[epoch] = self._made_up[number](epoch)
        if ending(run, curve) is not None:
            self._end(number, "complete")
        elif self._prunes and self._engine.report(number, curve):
            self._end(number, "pruned")
        else:
            self._wait(number, now + self._each[number])

    def _end(self, number: int, state: str) -> None:
        run, curve = self._runs[number], self._curves[number]
        last = max(curve, default=run.train.epochs)
        self._ends[number] = last
        planned = self._trials[number]
        self._trials[number] = Planned(planned.run, last, planned.behind, planned.after)
        value = curve[run.objective.select_epoch(curve)] if curve else 0.0
        if state == "pruned":
            self._engine.tell(Told(number, "pruned", None, curve))
        else:
            # What an epoch takes stands for whatever a second objective is.
            cost = None if run.objective.cost is None else self._each[number]
            self._engine.tell(Told(number, "complete", value, curve, cost))
        self._free += 1

    def _curve(self, run: RunConfig) -> Callable[[int], float]:
        """What a trial shows at each epoch."""
        sign = 1.0 if run.objective.maximizes else -1.0
        past = self._asked.curves
        known = dict(past[int(self._rng.integers(len(past)))]) if past else {}
        last = max(known, default=None)
        chance = math.sqrt(1 - _DEARER_IS_BETTER**2) * float(self._rng.standard_normal())
        level = 1.0 + _QUALITY * (_DEARER_IS_BETTER * self._rank(run) + chance)
        rng = np.random.default_rng(self._rng.integers(2**32))
        wobbles: list[float] = []

        def at(epoch: int) -> float:
            while len(wobbles) < epoch:
                wobbles.append(_WOBBLE * float(rng.standard_normal()))
            wobble = wobbles[epoch - 1]
            if last is None:
                return sign * (level - _RISE / epoch + wobble)
            if epoch in known:
                return known[epoch] + wobble
            return known[last] + sign * (_RISE / last - _RISE / epoch + wobble)

        return at
