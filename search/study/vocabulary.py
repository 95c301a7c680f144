"""The vocabulary of a study: what is asked, tried and told."""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, Field, field_validator

from pipeline.command.redact import redact
from pipeline.command.section import Section
from pipeline.run.comparison import Certificate
from pipeline.run.config import ObjectiveConfig, RunConfig
from pipeline.run.result import EpochMetrics, RunResult
from pipeline.tracking.record import DatasetInfo
from search.study.space import Space, Stored

_NAME_BYTES = 200  # file systems take 255, and something is added to it

TrialState = Literal["running", "complete", "pruned", "failed"]
Lock = Literal["fail", "wait", "skip"]
"""What a launch does while another one of the study runs."""

Curve = Mapping[int, float]
"""The objective's metric by epoch, counted from 1."""


def _listed(names: object) -> object:
    return [names] if isinstance(names, str) else names


class StudyConfig(Section):
    """A study: `trials` is a target over all launches together; `space` as it stands in YAML.

    `lock`: what a second launch does while one is running: fail, wait for its turn, or skip itself.
    `order`: whether results count in the order of the trials' numbers, so that the same seed and number
    of workers give the same study, or as they come. `max_seconds`: budget of one launch. `retry`: what of
    it is tried again. `finalists`: whether its best configurations are compared once it is met. `forecast`:
    whether a launch says first what it will take. `points`: tried first. `warm_start`: studies to learn from.
    `summary`: JSON file. `on_end`: command that gets its path.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    question: str | None
    trials: Annotated[int, Field(ge=1)]
    lock: Lock
    space: Mapping[str, Any]
    order: Literal["fixed", "free"] = "free"
    max_seconds: Annotated[float, Field(gt=0)] | None = None
    finalists: bool = False
    forecast: bool = False
    points: list[Mapping[str, Any]] = Field(default_factory=list)
    warm_start: Annotated[list[str], BeforeValidator(_listed)] = Field(default_factory=list)
    retry: Literal["failed"] | None = None
    summary: Annotated[str, Field(min_length=1)] = "mlruns/study.json"
    on_end: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        name = unicodedata.normalize("NFC", name)  # ö may be one character or two
        if not re.fullmatch(r"[^\W_][\w.-]*", name) or ".." in name:
            raise ValueError(
                f"study.name: expected letters, digits, '.', '_' and '-', got {name!r}"
            )
        if (length := len(name.encode())) > _NAME_BYTES:
            raise ValueError(
                f"study.name: expected at most {_NAME_BYTES} bytes in UTF-8, got {length} (shorten it)"
            )
        return name

    @field_validator("on_end")
    @classmethod
    def _a_command(cls, command: str | None) -> str | None:
        try:
            words = None if command is None else shlex.split(command)
        except ValueError as error:
            raise ValueError(f"study.on_end: expected a shell's words: {error}") from None
        if words == []:
            raise ValueError("study.on_end: expected a command, got spaces (null calls none)")
        return command


@dataclass(frozen=True)
class Study:
    """A study past the door: everything checked, nothing created yet.

    `search` names engine, sampler and pruner, for people to read.
    """

    config: StudyConfig
    base: RunConfig
    space: Space
    dataset: DatasetInfo
    search: Mapping[str, str]

    def about(
        self, config: str, command: str, versions: Mapping[str, str] = MappingProxyType({})
    ) -> "About":
        """What people read of it, for the trial table."""
        return About(
            name=self.config.name,
            question=self.config.question,
            trials=self.config.trials,
            space=self.space.describe(),
            objective=self.base.objective,
            search=self.search,
            dataset=self.dataset,
            config=redact(config),
            command=redact(command),
            versions=dict(versions),
        )


@dataclass(frozen=True)
class About:
    """What people read of a study. It stands in the trial table, so that reports need nothing else.

    `config`: the composed configuration as YAML; `command`: what to type to go on. Both without
    passwords. `versions`: of what computed the numbers.
    """

    name: str
    question: str | None
    trials: int
    space: Mapping[str, str]
    objective: ObjectiveConfig
    search: Mapping[str, str]
    dataset: DatasetInfo
    config: str
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Suggestion:
    """What an engine wants tried. `params`: stored values by override path.

    `epochs`: how far to train it, cumulative, where the engine decides that; None: `train.epochs`.
    `continues`: number of the trial that it goes on from, with its weights and optimizer.
    `notes`: what the algorithm must remember of this trial, as JSON; the trial table keeps it.
    """

    params: Mapping[str, Stored]
    epochs: int | None = None
    continues: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempts:
    """How often workers took a trial up (`made`), and how that went.

    `losses`: its worker died. `excused`: it was ended for a reason that is not its own. Of the others
    nothing was heard: the launch ended without a word.
    """

    made: int = 0
    losses: int = 0
    excused: int = 0

    @property
    def unheard(self) -> int:
        return self.made - self.losses - self.excused


@dataclass(frozen=True)
class Entry:
    """A trial as the table keeps it: a row. `params`, `epochs`, `continues`, `notes`: as suggested.

    `run`: None before its first attempt, and where the configuration refused it. `history`: the epochs
    of its last attempt, of a failed one too, where `result` isn't there. `diverged`: whether it failed by
    its own numbers. `same_as`: the trial that is the same run, `prefix_of`: the one that it is the
    beginning of; then nothing was trained. `extends`: the one that is its own beginning, not trained again.
    `certificate`: of its latest replay. Times are Unix seconds.
    """

    number: int
    uid: str
    state: TrialState
    params: Mapping[str, Stored]
    started_at: float
    run: RunConfig | None = None
    attempts: Attempts = Attempts()
    epochs: int | None = None
    continues: int | None = None
    ended_at: float | None = None
    value: float | None = None
    result: RunResult | None = None
    reason: str | None = None
    diverged: bool = False
    same_as: int | None = None
    prefix_of: int | None = None
    extends: int | None = None
    history: tuple[EpochMetrics, ...] = ()
    worker: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    certificate: Certificate | None = None

    @cached_property
    def settings(self) -> dict[str, str]:
        """Every field of its `run` by override path, as text; empty where there is none."""
        return {} if self.run is None else self.run.parameters()

    @property
    def train_seconds(self) -> float:
        """Seconds that its epochs took, also where another trial trained them."""
        return sum(epoch.seconds for epoch in self.history)

    @property
    def cost(self) -> float | None:
        """What its study makes small beside the objective; None where that is nothing, or not known yet."""
        name = None if self.run is None else self.run.objective.cost
        return None if name is None or self.result is None else self.result.cost(name)

    @property
    def curve(self) -> dict[int, float]:
        """The objective's metric by epoch, in its last attempt."""
        return {} if self.run is None else curve(self.history, self.run.objective.metric)


@dataclass(frozen=True)
class Told:
    """How a trial ended, and all that an engine may know of that: it holds no test metric.

    `value`: the objective of a complete trial, else None. `curve`: the objective's metric by epoch
    (from 1), in the attempt that ended. `cost`: the second objective of a complete trial, where the study
    has one.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    value: float | None
    curve: Curve
    cost: float | None = None


@dataclass(frozen=True)
class Record:
    """A trial as an engine is made anew from it. `told`: None while it runs, or is to run again."""

    suggestion: Suggestion
    told: Told | None


def record(entry: Entry, metric: str) -> Record:
    """What an engine may know of a trial in the table. `metric`: that of the objective."""
    suggestion = Suggestion(entry.params, entry.epochs, entry.continues, entry.notes)
    if entry.state == "running":
        return Record(suggestion, None)
    value, cost = (entry.value, entry.cost) if entry.state == "complete" else (None, None)
    curve_of = curve(entry.history, metric)
    return Record(suggestion, Told(entry.number, entry.state, value, curve_of, cost))


def curve(history: Iterable[EpochMetrics], metric: str) -> dict[int, float]:
    """The `metric` of every epoch."""
    return {epoch.epoch: epoch.metrics[metric] for epoch in history}


@dataclass(frozen=True)
class Suggestions:
    """An engine's answer: the next trials, at least one, in the order of their numbers."""

    trials: tuple[Suggestion, ...]


@dataclass(frozen=True)
class Wait:
    """An engine's answer: what comes next depends on trials that are running."""


@dataclass(frozen=True)
class Exhausted:
    """An engine's answer: nothing is left that would be new."""


class Engine(Protocol):
    """Suggests trials and prunes them. It sees parameters and the objective, never test metrics.

    It is made anew at every launch from the records of the trial table, which remembers for it. Its
    trials are numbered from 0, in the order in which they are asked for, as in the table.
    `continues`: whether a trial may go on from another.
    """

    continues: bool

    def ask(self, count: int) -> Suggestions | Wait | Exhausted:
        """The next trials, `count` of them at most. They are in the study from now on."""

    def report(self, number: int, curve: Curve) -> bool:
        """Hear the epochs of an attempt that has more to come, after each; True prunes the trial."""

    def tell(self, told: Told) -> Mapping[str, Any]:
        """Hear how a trial ended; what is to be remembered of it, beside the notes of its suggestion."""
