"""A study in Optuna's terms: the states of its trials, and the dimensions of its space."""

from typing import cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from pipeline.run.config import Direction, ObjectiveConfig
from search.study.dimension import Dimension, Range, Stored, as_float, at_step, encode
from search.study.space import Space, kinds_of
from search.study.vocabulary import TrialState

TO_OPTUNA: dict[TrialState, OptunaState] = {
    "running": OptunaState.RUNNING,
    "complete": OptunaState.COMPLETE,
    "pruned": OptunaState.PRUNED,
    "failed": OptunaState.FAIL,
}
FROM_OPTUNA = {optunas: ours for ours, optunas in TO_OPTUNA.items()}


def directions(objective: ObjectiveConfig) -> list[Direction]:
    """Which way each objective of a study goes: its cost, where it has one, is the second."""
    cost: list[Direction] = [] if objective.cost is None else ["minimize"]
    return [objective.direction, *cost]


def values(value: float | None, cost: float | None) -> list[float] | None:
    """The objectives of a trial, as `directions` has them; None where it has no value."""
    return None if value is None else [value, *([] if cost is None else [cost])]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    return {path: distribution(dimension) for path, dimension in space.dimensions.items()}


def distribution(dimension: Dimension) -> BaseDistribution:
    """One dimension in Optuna's terms."""
    if not isinstance(dimension, Range):
        return CategoricalDistribution([encode(option) for option in dimension.options])
    if dimension.integer:
        return IntDistribution(
            int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)


def canonical(frozen: FrozenTrial, path: str) -> Stored:
    """A parameter as its space has it: the version before wrote 0.1 + 0.2 for 0.3, and 0 for 0.0."""
    value, kind = frozen.params[path], frozen.distributions[path]
    if float in kinds_of(path):
        value = as_float(value)
    if isinstance(kind, FloatDistribution) and kind.step is not None:
        return at_step(kind.low, kind.step, round((value - kind.low) / kind.step))
    return cast(Stored, value)
