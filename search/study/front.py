"""The front of two objectives: those that none beats in both, and how much they leave behind them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from pipeline.run.config import Cost, ObjectiveConfig


class Priced(Protocol):
    """Has a value, and costs."""

    @property
    def value(self) -> float:
        """Of the objective."""

    def cost(self, name: Cost) -> float:
        """What it costs."""


Each = TypeVar("Each", bound=Priced)


class Corner(NamedTuple):
    """A place that is worse than others in both objectives."""

    value: float
    cost: float


def unbeaten(found: Iterable[Each], cost: Cost, objective: ObjectiveConfig) -> list[Each]:
    """Those of `found` that none is as cheap as and better than, nor as good as and cheaper; cheapest first.

    Of those that are equal in both it is the first.
    """
    sign = -1 if objective.maximizes else 1
    front: list[Each] = []
    for each in sorted(found, key=lambda each: (each.cost(cost), sign * each.value)):
        if objective.better(each.value, front[-1].value if front else None):
            front.append(each)
    return front


def corner(found: Sequence[Priced], cost: Cost, objective: ObjectiveConfig) -> Corner:
    """The worst value and the highest cost of `found`, of which there is one at least."""
    worst = min if objective.maximizes else max
    return Corner(worst(each.value for each in found), max(each.cost(cost) for each in found))


def hypervolume(front: Sequence[Priced], cost: Cost, reference: Corner) -> float:
    """The area between a front, cheapest first and not empty, and a corner that lies behind all of it.

    It grows with every trial that the front gains, and with nothing else (Zitzler & Thiele 1998).
    """
    ends = [*(each.cost(cost) for each in front[1:]), reference.cost]
    return sum(
        abs(each.value - reference.value) * (end - each.cost(cost))
        for each, end in zip(front, ends, strict=True)
    )
