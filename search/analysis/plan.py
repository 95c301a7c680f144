"""What is asked of a study's finalists: who is compared, over which seeds, and how surely."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from pipeline.command.section import PositiveInt, Section, validated


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Value = Annotated[float | None, BeforeValidator(_finite)]
"""The objective of one run; None (or not finite) where it diverged."""

Values = dict[Annotated[int, Field(ge=0)], Value]
"""By the place of the seed in its list, which is the same for every configuration."""


Part = Literal["race", "confirmation"]
"""Seeds that choose, and seeds that measure what was chosen."""


class Plan(Section):
    """How finalists are compared.

    `alpha`: chance of a wrong claim in all, and of an interval that misses. `margin`: differences up to
    it count as none. `seeds`: what each configuration is raced over before the first look; `step` more
    before each further one, up to `max_seeds`. `confirm`: seeds of the confirmation, none of them raced.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    alpha: float = Field(0.05, gt=0, lt=0.5)
    margin: float = Field(0.0, ge=0)
    seeds: int = Field(5, ge=1)
    step: int = Field(5, ge=1)
    max_seeds: int = Field(15, ge=1)
    confirm: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _goes_up(self) -> "Plan":
        if self.max_seeds < self.seeds:
            raise ValueError(
                f"finalists.max_seeds: expected at least finalists.seeds={self.seeds}, "
                f"got {self.max_seeds}"
            )
        return self

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.direction == "maximize" else -1

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many seeds the race is looked at."""
        return *range(self.seeds, self.max_seeds, self.step), self.max_seeds

    def share(self, look: int) -> float:
        """The part of `alpha` that the look after `look` seeds may spend; they sum to 1.

        Up to n of N seeds it is (n / N)^2 (the power family of Kim and DeMets, Biometrika 74, 1987).
        """
        earlier = max((each for each in self.looks if each < look), default=0)
        return float((look**2 - earlier**2) / self.max_seeds**2)

    def runs(self, contenders: int) -> tuple[int, int]:
        """The fewest and the most runs that `contenders` configurations may take."""
        raced = contenders if contenders > 1 else 0
        pair = min(contenders, 2)
        return (
            raced * self.seeds + min(contenders, 1) * self.confirm,
            raced * self.max_seeds + pair * self.confirm,
        )


class FinalistsConfig(Section):
    """How many of a study's best configurations are compared, and how; see `Plan`.

    `resplit`: whether each seed draws its own validation rows, the same for every configuration; None:
    where there are any.
    """

    top: PositiveInt
    seeds: PositiveInt
    step: PositiveInt
    max_seeds: PositiveInt
    confirm: PositiveInt
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    margin: Annotated[float, Field(ge=0)]
    resplit: bool | None

    def plan(self, metric: str, direction: str) -> Plan:
        """The same for a study with this objective."""
        chosen = self.model_dump(exclude={"top", "resplit"})
        return validated(Plan, {"metric": metric, "direction": direction, **chosen}, "finalists")


class Asked(Section):
    """What is asked of a study's finalists, as its table keeps it.

    `trials`: those that stand for the configurations, best first, `top` of them where the study had so
    many. `left_out`: why the starting point is; None: it is compared. `ended`: how many trials of the
    study had ended then. None: the version that asked did not say. `times`: how often something else was
    asked than before, the first time included.
    """

    plan: Plan
    resplit: bool
    trials: Annotated[tuple[int, ...], Field(min_length=1)]
    left_out: str | None
    top: PositiveInt | None = None
    ended: PositiveInt | None = None
    times: PositiveInt = 1

    def after(self, before: "Asked | None") -> "Asked":
        """The same, as what is asked after `before`."""
        if before is None:
            return self
        same = self.model_copy(update={"times": before.times})
        return before if same == before else self.model_copy(update={"times": before.times + 1})


class Contender(Section):
    """A configuration, and what is on record of it.

    `seconds`: that training it takes. `default`: whether it is the study's starting point. `study`: the
    study's own value of it; None where the study didn't train it. `race`, `confirmation`: the objective
    by seed, as far as trained.
    """

    name: str
    parameters: int
    seconds: float
    default: bool = False
    study: Value = None
    race: Values = Field(default_factory=dict)
    confirmation: Values = Field(default_factory=dict)


class Run(NamedTuple):
    """One training that is asked for: `contender`, in `part`, with the seed at that place."""

    contender: str
    part: Part
    seed: int


def lacking(contenders: Sequence[Contender], part: Part, seeds: int) -> tuple[Run, ...]:
    """The runs that are not on record of the first `seeds` seeds, seed by seed."""
    return tuple(
        Run(each.name, part, seed)
        for seed in range(seeds)
        for each in contenders
        if seed not in getattr(each, part)
    )


def first(values: Mapping[int, float | None], seeds: int) -> tuple[float | None, ...]:
    """The values of the first `seeds` seeds."""
    return tuple(values[seed] for seed in range(seeds))


def complete(values: Sequence[float | None]) -> list[float] | None:
    """The values; None where one of them diverged, as the mean of the others would flatter."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    return found if len(found) == len(values) else None
