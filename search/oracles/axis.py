"""The dimensions of a search space as KerasTuner's oracles see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search.space import Dimension, Range, Stored


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
        options = enumerate(self.options)
        return next(str(i) for i, v in options if type(v) is type(stored) and v == stored)


@dataclass(frozen=True)
class Steps:
    """One of evenly spaced `numbers`, by its index.

    KerasTuner's Float counts (0.6 - 0.0) // 0.1 = 5 steps, and would never try 0.6.
    """

    numbers: tuple[int, ...] | tuple[float, ...]

    def add_to(self, hyperparameters: Any, name: str) -> None:
        hyperparameters.Int(name, 0, len(self.numbers) - 1)

    def values(self) -> Sequence[Any]:
        return range(len(self.numbers))

    def nearest(self, value: Any) -> Any:
        return value

    def stored(self, value: Any) -> Stored:
        return self.numbers[int(value)]

    def told(self, stored: Any) -> Any:
        if len(self.numbers) == 1:
            return 0
        return round((stored - self.numbers[0]) / (self.numbers[1] - self.numbers[0]))


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
    number = int if dimension.integer else float
    if (grid := dimension.grid()) is not None:
        return Steps(tuple(number(value) for value in grid))  # type: ignore[arg-type]
    return Interval(number(dimension.low), number(dimension.high), dimension.log)
