"""The order of a study's trials: the one rule for everything that names a best one.

Trials that differ in their seed alone are one configuration, and it ranks by the mean of their values: the
seed is no knob to win with. The trial nearest to that mean stands for it, and is the one that is exported.
"""

import statistics
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from pipeline.run.config import Cost, ObjectiveConfig
from search.study.front import unbeaten
from search.study.space import Stored
from search.study.vocabulary import Entry

SEED = "train.seed"
"""The setting that varies to repeat a measurement; it is no parameter of its own."""


@dataclass(frozen=True)
class Configuration:
    """Trials with a value that differ in their seed alone, by number; one where the seed doesn't vary."""

    trials: tuple[Entry, ...]

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The objective for each seed. The same seed again measures nothing new: the first one counts."""
        by_seed = {entry.params.get(SEED): _value(entry) for entry in reversed(self.trials)}
        return tuple(by_seed.values())

    @cached_property
    def value(self) -> float:
        """The mean of the objective over the seeds."""
        return statistics.fmean(self.values)

    @property
    def seeds(self) -> int:
        """How many seeds it was trained with."""
        return len(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None with one seed, as it was not measured."""
        return statistics.stdev(self.values) if self.seeds > 1 else None

    @property
    def entry(self) -> Entry:
        """The trial that stands for it: the nearest to the mean, of equals the earlier one."""
        return min(self.trials, key=lambda entry: (abs(_value(entry) - self.value), entry.number))

    @property
    def params(self) -> Mapping[str, Stored]:
        """The parameters that its trials share: all but the seed."""
        return {path: value for path, value in self.entry.params.items() if path != SEED}

    @property
    def repeats(self) -> bool:
        """Whether the seed varies, so that a mean is told of and a spread asked for."""
        return SEED in self.entry.params

    def cost(self, name: Cost) -> float:
        """What its network costs: the mean over its trials, where that differs."""
        results = [entry.result for entry in self.trials]
        return statistics.fmean(result.cost(name) for result in results if result is not None)

    @property
    def tests(self) -> dict[str, float]:
        """The means of the test metrics over its trials."""
        found = [entry.result.test for entry in self.trials if entry.result is not None]
        names = found[0] if found else ()
        return {name: statistics.fmean(test[name] for test in found) for name in names}

    def __str__(self) -> str:
        """The trial that stands for it, and what is known of its spread."""
        if self.spread is None:
            return f"trial {self.entry.number}: one run, spread not measured"
        return (
            f"trial {self.entry.number} is nearest to the mean of {self.seeds} seeds, "
            f"standard deviation {self.spread:.4f}"
        )


class Ranking(Sequence[Configuration]):
    """The complete trials of a study by configuration, best first, of equals the cheaper or earlier one.

    It grows by one trial at a time without being sorted anew. `front`: of a study with a cost, the
    configurations that none beats in value and cost, cheapest first; the last one is the best.
    """

    def __init__(self, objective: ObjectiveConfig, entries: Iterable[Entry] = ()) -> None:
        self._objective = objective
        self._sign = -1 if objective.maximizes else 1
        self._found: dict[Hashable, Configuration] = {}
        self._order: list[Configuration] = []
        self.front: list[Configuration] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take in a trial that ended; only a complete one counts."""
        if entry.state != "complete" or entry.value is None:
            return
        before, now = self._with(entry)
        if before is not None:
            del self._order[self._index(before)]
        insort(self._order, now, key=self._place)
        self._found[key_of(entry)] = now
        if self._objective.cost is not None:
            # With one of the front whose mean has changed, others may come back.
            rest = self._order if before in self.front else [*self.front, now]
            rest = sorted(rest, key=self._place)
            self.front = unbeaten(rest, self._objective.cost, self._objective)

    @property
    def leaders(self) -> Sequence[Configuration]:
        """Those that may be a study's answer, best first: the front, where it asks for one, else all."""
        return self.front[::-1] if self._objective.cost is not None else self

    def place(self, entry: Entry) -> int:
        """Where the configuration of `entry` would stand with it, counted from 0."""
        before, now = self._with(entry)
        place = self._index(now)
        return place - (before is not None and self._index(before) < place)

    def of(self, entry: Entry) -> Configuration:
        """The configuration of `entry`; it is one of its own where it doesn't rank."""
        found = self._found.get(key_of(entry))
        return found if found is not None and entry in found.trials else Configuration((entry,))

    def numbers(self, best: int) -> list[int]:
        """The trials of the `best` first configurations, with all their seeds."""
        return [entry.number for each in self._order[:best] for entry in each.trials]

    def _with(self, entry: Entry) -> tuple[Configuration | None, Configuration]:
        """The configuration of `entry` without it, and with it."""
        before = self._found.get(key_of(entry))
        others = () if before is None else before.trials
        trials = [each for each in others if each.number != entry.number]
        return before, Configuration(tuple(sorted([*trials, entry], key=lambda e: e.number)))

    def _place(self, configuration: Configuration) -> tuple[float, float, int]:
        cost = self._objective.cost
        dear = 0.0 if cost is None else configuration.cost(cost)
        return self._sign * configuration.value, dear, configuration.trials[0].number

    def _index(self, configuration: Configuration) -> int:
        return bisect_left(self._order, self._place(configuration), key=self._place)

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Configuration: ...
    @overload
    def __getitem__(self, index: slice) -> list[Configuration]: ...
    def __getitem__(self, index: int | slice) -> Configuration | list[Configuration]:
        return self._order[index]


def key_of(entry: Entry) -> Hashable:
    """The same for trials that differ in their seed alone, and were trained as far."""
    if SEED not in entry.params:
        return entry.number
    rest = frozenset((path, value) for path, value in entry.params.items() if path != SEED)
    return rest, entry.epochs


def _value(entry: Entry) -> float:
    assert entry.value is not None
    return entry.value
