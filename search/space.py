"""The search space: which fields of a RunConfig vary, and over what.

In YAML it is a tree that mirrors the configuration. A leaf is a list of choices, or a range
`{low: 0.0, high: 0.6}` with `step` or `log: true` if wanted.
"""

import itertools
import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Field, model_validator

from pipeline.config import RunConfig, Section, as_override, did_you_mean, flatten, validated
from pipeline.errors import ConfigError

Number = int | float
Stored = str | int | float | bool | None
"""A value as the trial table stores it: lists become JSON text."""

_SEARCHABLE = ("model", "train")
_RANGE_KEYS = {"low", "high", "step", "log"}


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
class Space:
    """Dimensions by override path, in the order of the configuration."""

    dimensions: Mapping[str, Dimension]

    def apply(
        self, base: RunConfig, params: Mapping[str, Stored], epochs: int | None = None
    ) -> RunConfig:
        """`base` with `params` (stored values by override path) in place, and `epochs` if given.

        Raises ConfigError where the result breaks a rule.
        """
        values = {path: self.decode(path, value) for path, value in params.items()}
        if epochs is not None:
            values["train.epochs"] = epochs
        return _replaced(base, values)

    def decode(self, path: str, value: Stored) -> Any:
        """The configuration's value for a stored one."""
        dimension = self.dimensions[path]
        if isinstance(dimension, Choices):
            return next(option for option in dimension.options if _same(encode(option), value))
        return value

    def describe(self) -> dict[str, str]:
        """Every dimension as one line of text."""
        return {path: str(dimension) for path, dimension in self.dimensions.items()}

    def grid(self) -> dict[str, list[Stored]]:
        """All values of every dimension.

        Raises ConfigError where there are infinitely many.
        """
        values: dict[str, list[Stored]] = {}
        for path, dimension in self.dimensions.items():
            if (points := dimension.grid()) is None:
                raise ConfigError(
                    f"study.space.{path}: a grid needs a step or a list of choices, got {dimension} "
                    f"(add +study.space.{path}.step=..., or take another sampler)"
                )
            values[path] = list(points)
        return values


def parse(tree: Mapping[str, Any], base: RunConfig) -> Space:
    """The space that `tree` describes around `base`, wholly checked.

    Every bound and every choice is tried on its field, alone and in pairs, so that no trial can be
    asked for that the configuration refuses. Raises ConfigError with one line for each fault.
    """
    faults: list[str] = []
    dimensions: dict[str, Dimension] = {}
    fields = _fields(base)
    for path, leaf in _leaves(tree):
        try:
            dimensions[path] = _dimension(path, leaf, fields)
        except ConfigError as error:
            faults.append(str(error))
    if not dimensions and not faults:
        faults.append("study.space: is empty; name what varies, for example model.dropout")
    faults += _refused(dimensions, base) if not faults else []
    if faults:
        raise ConfigError("\n".join(faults))
    return Space(dimensions)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and not (set(value) & _RANGE_KEYS):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _fields(base: RunConfig) -> dict[str, Any]:
    """The type of every field that can be searched, by override path."""
    return {
        f"{section}.{name}": field.annotation
        for section in _SEARCHABLE
        for name, field in type(getattr(base, section)).model_fields.items()
    }


def _dimension(path: str, leaf: Any, fields: Mapping[str, Any]) -> Dimension:
    place = f"study.space.{path}"
    if path not in fields:
        raise ConfigError(f"{place}: no such setting to vary" + did_you_mean(path, fields))
    if isinstance(leaf, list):
        if not leaf:
            raise ConfigError(f"{place}: expected at least one choice, got an empty list")
        options = tuple(tuple(item) if isinstance(item, list) else item for item in leaf)
        stored = [(type(item), item) for item in map(encode, options)]
        if len(set(stored)) < len(stored):
            raise ConfigError(f"{place}: expected different choices, got {as_override(leaf)}")
        return Choices(options)
    if not isinstance(leaf, Mapping):
        raise ConfigError(
            f"{place}: expected a list of choices or {{low: ..., high: ...}}, got {as_override(leaf)}"
        )
    kinds = _members(fields[path])
    if not kinds & {int, float}:
        raise ConfigError(f"{place}: takes a list of choices, not a range")
    try:
        return validated(Range, {**leaf, "integer": float not in kinds}, place)
    except ConfigError as error:
        # A rule between two keys names no key of its own.
        raise ConfigError(
            "\n".join(
                line if line.startswith(place) else f"{place}: {line}"
                for line in str(error).splitlines()
            )
        ) from None


def _members(annotation: Any) -> set[Any]:
    """The plain types in a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return set().union(*(_members(member) for member in get_args(annotation)))
    return {annotation}


def _refused(dimensions: Mapping[str, Dimension], base: RunConfig) -> list[str]:
    """One line for each bound or choice that the configuration refuses, alone or beside another."""
    start = {path: dimension.probes()[0] for path, dimension in dimensions.items()}
    faults: list[str] = []
    for path, dimension in dimensions.items():
        for value in dimension.probes():
            fault = _fault(base, {**start, path: value})
            if fault is not None and fault.startswith(f"{path}:"):
                faults.append(f"study.space.{fault}")
    if faults:
        return list(dict.fromkeys(faults))
    for one, other in itertools.combinations_with_replacement(dimensions, 2):
        for first in dimensions[one].probes():
            for second in dimensions[other].probes():
                values = {one: first, other: second}
                if fault := _fault(base, {**start, **values}):
                    shown = " with ".join(f"{k}={as_override(v)}" for k, v in values.items())
                    return [f"study.space: {shown} is refused: {fault}"]
    return []


def _fault(base: RunConfig, values: Mapping[str, Any]) -> str | None:
    try:
        _replaced(base, values)
    except ConfigError as error:
        return str(error)
    return None


def _replaced(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    tree = base.model_dump()
    for path, value in values.items():
        section, name = path.split(".")
        tree[section][name] = value
    return validated(RunConfig, tree)


def _same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from True, as a choice does."""
    return type(one) is type(other) and bool(one == other)


def fixed(base: RunConfig, space: Space) -> dict[str, str]:
    """The parameters of `base` that do not vary, as override text."""
    varied = space.dimensions
    return {
        path: as_override(value) for path, value in flatten(base.model_dump()) if path not in varied
    }
