"""The facts that reports and plots are made of: a study, its space and its trials, from the table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.command.compose import from_yaml
from pipeline.command.section import as_override
from pipeline.run.comparable import apart
from pipeline.run.config import DataConfig, ObjectiveConfig, run_config
from pipeline.run.result import EpochMetrics
from pipeline.tracking.config import TrackingConfig
from search.analysis.importance import Importance, importance
from search.study.parse import parse
from search.study.ranking import SEED, Ranking
from search.study.space import Choices, Range, Space, Stored, encode, same
from search.study.vocabulary import About, Entry, TrialState
from search.trial_table.lineage import lineage
from search.trial_table.trials import TrialTable

REPORT = "report"
"""Where the files of a report stand among the artifacts of the study's run."""

MADE_OF = "report.trials"
"""Tag of the study's run: what its report is made of."""


@dataclass(frozen=True)
class Source:
    """A study is read from its trial table, and published to a tracker.

    `data`: where its data lie; None: where they did.
    """

    url: str
    name: str
    tracking: TrackingConfig
    data: str | None = None


@dataclass(frozen=True)
class Axis:
    """A parameter on an axis from `low` to `high`.

    `labels`: one per choice, which then stand at 0, 1, 2 ...; empty for numbers. `integer`: numbers
    between which there are none.
    """

    path: str
    low: float
    high: float
    log: bool = False
    labels: tuple[str, ...] = ()
    stored: tuple[Stored, ...] = ()
    integer: bool = False

    @property
    def countable(self) -> bool:
        """Whether it has so few numbers that each can have a tick."""
        return self.integer and self.high - self.low < 10

    def at(self, value: Stored) -> float:
        """Where `value` stands; NaN where it is none of the choices."""
        if not self.labels:
            return float(value) if isinstance(value, int | float) else math.nan
        return next(
            (float(i) for i, choice in enumerate(self.stored) if same(choice, value)), math.nan
        )

    def share(self, value: Stored) -> float:
        """Where `value` stands between `low` (0) and `high` (1)."""
        place = self.at(value)
        if self.low == self.high or math.isnan(place):
            return 0.5 if self.low == self.high else math.nan
        if self.log:
            return math.log(place / self.low) / math.log(self.high / self.low)
        return (place - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Facts:
    """A study as it stands in the trial table. `used_up`: there are no trials to try but these."""

    about: About
    space: Space
    entries: tuple[Entry, ...]
    used_up: bool = False

    @classmethod
    def of(cls, about: About, entries: Sequence[Entry], used_up: bool = False) -> "Facts":
        """Read the space from the configuration that `about` keeps."""
        values = from_yaml(about.config)
        space = parse(values["study"]["space"], run_config(values), on_record=True)
        return cls(about, space, tuple(entries), used_up)

    @classmethod
    def recorded(cls, table: TrialTable) -> "Facts":
        """What is on record in `table`."""
        about, entries = table.about(), table.entries()
        used_up = len(entries) < about.trials and table.is_finished(about.trials)
        return cls.of(about, entries, used_up)

    @property
    def objective(self) -> ObjectiveConfig:
        return self.about.objective

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration as it was composed, without commands and addresses."""
        return from_yaml(self.about.config)

    @cached_property
    def data(self) -> DataConfig:
        """The data, and where they lay, which the configuration of the study does not tell."""
        runs = [entry.run for entry in self.entries if entry.run is not None]
        return runs[0].data if runs else run_config(self.config).data

    @cached_property
    def ranking(self) -> Ranking:
        """The configurations, best first: complete trials that differ in their seed alone are one."""
        return Ranking(self.objective, self.entries)

    @cached_property
    def ranked(self) -> list[Entry]:
        """The trials that stand for the configurations, best first."""
        return [each.entry for each in self.ranking]

    @cached_property
    def apart(self) -> Mapping[str, str]:
        """Why the complete trials can't be compared, by the setting in which they differ; none: they can."""
        return apart([entry.settings for entry in self.state("complete")], self.objective.metric)

    def state(self, state: TrialState) -> list[Entry]:
        """The trials that ended so, by number."""
        return [entry for entry in self.entries if entry.state == state]

    @cached_property
    def by_number(self) -> Mapping[int, Entry]:
        """All trials."""
        return {entry.number: entry for entry in self.entries}

    @property
    def ended(self) -> list[Entry]:
        """All trials but those that run."""
        return [entry for entry in self.entries if entry.state != "running"]

    @cached_property
    def valued(self) -> list[Entry]:
        """Complete and pruned trials: those with a value, by number."""
        return [
            e for e in self.entries if e.value is not None and e.state in ("complete", "pruned")
        ]

    def curve(self, entry: Entry) -> tuple[EpochMetrics, ...]:
        """All epochs of the network of `entry`, those of the trials that it went on from too."""
        return tuple(epoch for each in lineage(entry, self.entries) for epoch in each.history)

    def train_seconds(self, entry: Entry) -> float:
        """Seconds that the network of `entry` was trained, in all trials that it went through."""
        return sum(each.train_seconds for each in lineage(entry, self.entries))

    @property
    def promoted(self) -> list[Entry]:
        """The trials that went on from another."""
        return [entry for entry in self.entries if entry.continues is not None]

    @cached_property
    def importance(self) -> Importance:
        """How much each parameter mattered, as far as the complete trials tell."""
        return importance(self.space, self.objective, self.state("complete"))

    @cached_property
    def axes(self) -> list[Axis]:
        """What varies, in the order of the configuration."""
        axes = []
        for path, dimension in self.space.dimensions.items():
            if isinstance(dimension, Range):
                low, high, log = dimension.low, dimension.high, dimension.log
                axes.append(Axis(path, low, high, log, integer=dimension.integer))
            elif isinstance(dimension, Choices):
                stored = tuple(encode(option) for option in dimension.options)
                labels = tuple(as_override(option) for option in dimension.options)
                axes.append(Axis(path, -0.5, len(labels) - 0.5, False, labels, stored))
        return axes

    @property
    def varied(self) -> list[Axis]:
        """The axes but for the seed, which is no parameter."""
        return [axis for axis in self.axes if axis.path != SEED]

    @property
    def metric(self) -> str:
        """The objective's metric in words: `validation accuracy`."""
        return in_words(self.objective.metric)


def in_words(metric: str) -> str:
    """`val_accuracy` as `validation accuracy`."""
    name = metric.removeprefix("val_")
    return f"validation {name}" if name != metric else f"training {name}"
