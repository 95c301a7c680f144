"""One dimension of a search space: a range of numbers, or a list of choices, and its values as stored."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, model_validator

from pipeline.command.section import Section, as_override

Number = int | float
Stored = str | int | float | bool | None
"""A value as the trial table stores it: lists become JSON text."""

_MOST_STEPS = 1e15
"""The most steps that a range may have: floats can't tell more of them apart."""


class Range(Section):
    """The numbers from `low` to `high`, both included; `integer` where the field holds whole numbers.

    Elsewhere they are floats, however they were written: 0 is 0.0.
    """

    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)] | None = None
    log: bool = False
    integer: bool = False

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if values.get("integer"):
            return values
        return {key: as_float(value) for key, value in values.items()}

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"expected low <= high, got low={self.low} high={self.high}")
        if self.integer and any(isinstance(n, float) for n in (self.low, self.high, self.step)):
            raise ValueError(f"expected whole numbers, got {self}")
        if self.log and self.low <= 0:
            raise ValueError(f"expected low > 0 with log=true, got low={self.low}")
        if self.log and self.step is not None:
            raise ValueError("expected either step or log=true, got both")
        if self.step is not None and (self.high - self.low) / self.step > _MOST_STEPS:
            raise ValueError(
                f"expected at most {_MOST_STEPS:g} steps, got step={self.step} from low={self.low} to "
                f"high={self.high} (leave the step out, or take a wider one)"
            )
        # In decimals, as they were typed: Optuna, too, leaves out a last step that falls short of `high`.
        if self.step is not None and (fits := self._last(self.step)) != self.high:
            raise ValueError(
                f"expected a step that leads from low={self.low} to high={self.high}, "
                f"got step={self.step} (set high={fits})"
            )
        return self

    def __str__(self) -> str:
        extra = f" step {self.step}" if self.step else " log" if self.log else ""
        return f"{self.low} .. {self.high}{extra}"

    def probes(self) -> tuple[Number, ...]:
        """Values that stand for all when the configuration is checked."""
        return (self.low, self.high)

    def canonical(self, value: Any) -> Number:
        """`value` as a person would type it: a whole number, or the decimal at the nearest step."""
        if self.integer:
            whole: int = round(value)
            return whole
        if self.step is None:
            return float(value) + 0.0
        return at_step(self.low, self.step, round((value - self.low) / self.step))

    def has(self, value: Any) -> bool:
        """Whether `value` is one of the numbers, but for the last digits of a float."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        return math.isclose(value, self.canonical(value), rel_tol=1e-9, abs_tol=1e-12)

    @property
    def count(self) -> int | None:
        """How many numbers there are; None where there are infinitely many."""
        if self.integer:
            return int((self.high - self.low) // (self.step or 1)) + 1
        if self.step is None:
            return 1 if self.low == self.high else None
        return round((self.high - self.low) / self.step) + 1

    def grid(self) -> tuple[Number, ...] | None:
        """All values, or None where they are no even steps."""
        if self.integer and not self.log:
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        return tuple(at_step(self.low, self.step, index) for index in range(self.count or 0))

    def _last(self, step: Number) -> Number:
        low, high = Decimal(repr(self.low)), Decimal(repr(self.high))
        return at_step(self.low, step, int((high - low) // Decimal(repr(step))))


@dataclass(frozen=True)
class Choices:
    """One of the values in `options`; a value that is a list is stored as JSON text."""

    options: tuple[Any, ...]

    def __str__(self) -> str:
        return as_override(self.options)

    def probes(self) -> tuple[Any, ...]:
        return self.options

    def canonical(self, value: Any) -> Stored:
        """The option that equals `value`, as it is stored: 0.0 for 0 where the options are floats."""
        return next((option for option in self.grid() if same(option, value)), value)

    def has(self, value: Any) -> bool:
        """Whether `value`, as stored, is one of the options."""
        return any(same(option, value) for option in self.grid())

    @property
    def count(self) -> int:
        return len(self.options)

    def grid(self) -> tuple[Stored, ...]:
        return tuple(encode(option) for option in self.options)


Dimension = Range | Choices


def kinds_in(leaf: Any) -> frozenset[Any]:
    """The kinds of a setting that has no type, by what it is to vary over: numbers are whole if all are."""
    bounds = {"low", "high", "step"}
    values = leaf if isinstance(leaf, list) else [leaf[key] for key in bounds & set(leaf)]
    if all(type(value) in (int, float) for value in values):
        return frozenset({float if any(type(value) is float for value in values) else int})
    return frozenset()


def at_step(low: Number, step: Number, index: int) -> Number:
    """The number `index` steps from `low`, as a decimal: 0.3, where 0.1 + 0.2 is 0.30000000000000004."""
    number = Decimal(repr(low)) + index * Decimal(repr(step))
    return int(number) if isinstance(low, int) else float(number)


def as_float(value: Any) -> Any:
    """A number as a float, without the sign of zero; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return float(value) + 0.0
    except OverflowError:
        raise ValueError("expected finite numbers, got a whole number beyond all floats") from None


def encode(value: Any) -> Stored:
    """`value` as the trial table stores it."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def same(one: Any, other: Any) -> bool:
    """Equality by value, 0 and 0.0 alike, that tells 1 from True."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
