"""The dimensions of a search space as KerasTuner's oracles see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search.study.dimension import Dimension, Range, Stored, at_step, same


class Axis(Protocol):
    """One dimension, and the way between KerasTuner's values and stored ones."""

    def add_to(self, hyperparameters: Any, name: str) -> None:
        """Add it to KerasTuner's HyperParameters under `name`."""

    def values(self) -> Sequence[Any] | None:
        """All of KerasTuner's values, or None where there are infinitely many."""

    def nearest(self, value: Any) -> Any:
        """KerasTuner's `value`, brought within the bounds."""

    def stored(self, value: Any) -> Stored:
        """KerasTuner's `value` as the trial table stores it."""

    def told(self, stored: Any) -> Any:
        """KerasTuner's value for a stored one."""


@dataclass(frozen=True)
class Choice:
    """One of `options`, by its index as text: KerasTuner's choices have one type and no null."""

    options: tuple[Stored, ...]

    def add_to(self, hyperparameters: Any, name: str) -> None:
        hyperparameters.Choice(name, self.values())

    def values(self) -> Sequence[Any]:
        return [str(index) for index in range(len(self.options))]

    def nearest(self, value: Any) -> Any:
        return value

    def stored(self, value: Any) -> Stored:
        return self.options[int(value)]

    def told(self, stored: Any) -> Any:
        return next(str(i) for i, option in enumerate(self.options) if same(option, stored))


@dataclass(frozen=True)
class Steps:
    """One of the evenly spaced numbers of a range, by its index.

    KerasTuner's Float counts (0.6 - 0.0) // 0.1 = 5 steps, and would never try 0.6.
    """

    span: Range

    def add_to(self, hyperparameters: Any, name: str) -> None:
        hyperparameters.Int(name, 0, self._count - 1)

    def values(self) -> Sequence[Any]:
        return range(self._count)

    def nearest(self, value: Any) -> Any:
        return value

    def stored(self, value: Any) -> Stored:
        return at_step(self.span.low, self._step, int(value))

    def told(self, stored: Any) -> Any:
        return round((stored - self.span.low) / self._step)

    @property
    def _step(self) -> int | float:
        return self.span.step or 1

    @property
    def _count(self) -> int:
        return self.span.count or 0


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, which have its type; whole ones only where `log`."""

    low: int | float
    high: int | float
    log: bool

    def add_to(self, hyperparameters: Any, name: str) -> None:
        add = hyperparameters.Int if isinstance(self.low, int) else hyperparameters.Float
        add(name, self.low, self.high, sampling="log" if self.log else "linear")

    def values(self) -> Sequence[Any] | None:
        if isinstance(self.low, int):
            return range(self.low, int(self.high) + 1)
        return [self.low] if self.low == self.high else None

    def nearest(self, value: Any) -> Any:
        return type(self.low)(min(max(value, self.low), self.high))

    def stored(self, value: Any) -> Stored:
        nearest: int | float = self.nearest(value)
        return nearest

    def told(self, stored: Any) -> Any:
        return stored


def axis(dimension: Dimension) -> Axis:
    """`dimension` for KerasTuner."""
    if not isinstance(dimension, Range):
        return Choice(dimension.grid())
    if dimension.step is not None or (dimension.integer and not dimension.log):
        return Steps(dimension)
    return Interval(dimension.low, dimension.high, dimension.log)
