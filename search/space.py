"""The search space: which fields of a RunConfig vary, over what, and under which condition."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, model_validator

from pipeline.config import RunConfig, Section, as_override, flatten, validated
from pipeline.errors import ConfigError

Number = int | float
Stored = str | int | float | bool | None
"""A value as the trial table stores it: lists become JSON text."""

LAYER = re.compile(r"model\.hidden_units\.layer([1-9]\d*)")
"""A dimension for the width of one hidden layer, counted from 1; it counts up to `model.depth`."""


class Range(Section):
    """The numbers from `low` to `high`, both included; `integer` where the field holds whole numbers."""

    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)] | None = None
    log: bool = False
    integer: bool = False

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
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
                fits = self.low + int(steps) * self.step
                raise ValueError(
                    f"expected a step that leads from low={self.low} to high={self.high}, "
                    f"got step={self.step} (set high={fits:g})"
                )
        return self

    def __str__(self) -> str:
        extra = f" step {self.step}" if self.step else " log" if self.log else ""
        return f"{self.low} .. {self.high}{extra}"

    def probes(self) -> tuple[Number, ...]:
        """Values that stand for all when the configuration is checked."""
        return (self.low, self.high)

    def grid(self) -> tuple[Stored, ...] | None:
        """All values, or None where there are infinitely many."""
        if self.integer and not self.log:
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step) + 1
        return tuple(round(self.low + index * self.step, 12) for index in range(count))


@dataclass(frozen=True)
class Choices:
    """One of the values in `options`; a value that is a list is stored as JSON text."""

    options: tuple[Any, ...]

    def __str__(self) -> str:
        return as_override(self.options)

    def probes(self) -> tuple[Any, ...]:
        return self.options

    def grid(self) -> tuple[Stored, ...]:
        return tuple(encode(option) for option in self.options)


Dimension = Range | Choices


def encode(value: Any) -> Stored:
    """`value` as the trial table stores it."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Condition:
    """A dimension counts only where `path` has one of `values` (as stored)."""

    path: str
    values: tuple[Stored, ...]

    def __str__(self) -> str:
        return f"when {self.path} is " + " or ".join(as_override(value) for value in self.values)


def chain(path: str, conditions: Mapping[str, Condition]) -> list[Condition]:
    """What must hold for the dimension `path` to count: its condition, that one's own, and so on.

    Raises ConfigError where that never ends.
    """
    found: list[Condition] = []
    while (condition := conditions.get(found[-1].path if found else path)) is not None:
        if condition in found:
            way = " ".join(map(str, found))
            raise ConfigError(f"study.space.{path}.when: depends on itself ({path} {way})")
        found.append(condition)
    return found


@dataclass(frozen=True)
class Space:
    """Dimensions by override path; those with a condition come after what it depends on."""

    dimensions: Mapping[str, Dimension]
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def is_active(self, path: str, params: Mapping[str, Stored]) -> bool:
        """Whether the dimension `path` counts, given the `params` before it: those that count."""
        condition = self.conditions.get(path)
        if condition is None:
            return True
        if condition.path not in params:  # which is not the same as null
            return False
        return any(same(params[condition.path], value) for value in condition.values)

    def apply(
        self, base: RunConfig, params: Mapping[str, Stored], epochs: int | None = None
    ) -> RunConfig:
        """`base` with `params` (stored values by override path) in place, and `epochs` if given.

        Raises ConfigError where the result breaks a rule.
        """
        values = {path: self.decode(path, value) for path, value in params.items()}
        if epochs is not None:
            values["train.epochs"] = epochs
        return replaced(base, values)

    def decode(self, path: str, value: Stored) -> Any:
        """The configuration's value for a stored one."""
        dimension = self.dimensions[path]
        if isinstance(dimension, Choices):
            return next(option for option in dimension.options if same(encode(option), value))
        return value

    def describe(self) -> dict[str, str]:
        """Every dimension as one line of text."""
        return {
            path: " ".join(map(str, filter(None, (dimension, self.conditions.get(path)))))
            for path, dimension in self.dimensions.items()
        }

    def size(self) -> int | None:
        """How many points it has; None where there are infinitely many."""
        if any(dimension.grid() is None for dimension in self.dimensions.values()):
            return None
        return self._count(tuple(self.dimensions), {})

    def _count(self, rest: tuple[str, ...], params: Mapping[str, Stored]) -> int:
        """How many points there are with `params`, when `rest` varies."""
        if not rest:
            return 1
        path, *others = rest
        if not self.is_active(path, params):
            return self._count(tuple(others), params)
        values = self.dimensions[path].grid() or ()
        if all(condition.path != path for condition in self.conditions.values()):
            return len(values) * self._count(tuple(others), params)
        return sum(self._count(tuple(others), {**params, path: value}) for value in values)

    def fields(self) -> set[str]:
        """Override paths of the settings that vary."""
        return {"model.hidden_units" if LAYER.fullmatch(path) else path for path in self.dimensions}

    def grid(self) -> dict[str, list[Stored]]:
        """All values of every dimension.

        Raises ConfigError where there are infinitely many, or a condition.
        """
        if self.conditions:
            path = next(iter(self.conditions))
            raise ConfigError(
                f"study.space.{path}: a grid takes no conditions (take another sampler)"
            )
        values: dict[str, list[Stored]] = {}
        for path, dimension in self.dimensions.items():
            if (points := dimension.grid()) is None:
                raise ConfigError(
                    f"study.space.{path}: a grid needs a step or a list of choices, got {dimension} "
                    f"(add +study.space.{path}.step=..., or take another sampler)"
                )
            values[path] = list(points)
        return values


def replaced(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """`base` with `values` by override path in place; widths of single layers make up a list.

    Raises ConfigError where the result breaks a rule.
    """
    tree = base.model_dump()
    widths: dict[int, Any] = {}
    for path, value in values.items():
        if layer := LAYER.fullmatch(path):
            widths[int(layer[1])] = value
        else:
            section, name = path.split(".")
            tree[section][name] = value
    if widths:
        tree["model"]["hidden_units"] = [widths[layer] for layer in sorted(widths)]
    return validated(RunConfig, tree)


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from True, as a choice does."""
    return type(one) is type(other) and bool(one == other)


def fixed(base: RunConfig, space: Space) -> dict[str, str]:
    """The parameters of `base` that do not vary, as override text."""
    varied = space.fields()
    return {
        path: as_override(value) for path, value in flatten(base.model_dump()) if path not in varied
    }
