"""The search space: which fields of a RunConfig vary, over what, and under which condition."""

import functools
import operator
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, flatten, validated
from pipeline.run.config import ModelConfig, RunConfig
from pipeline.run.custom import SETTINGS
from search.study.dimension import Choices, Dimension, Range, Stored, encode, same

__all__ = [
    "LAYER",
    "Choices",
    "Condition",
    "Dimension",
    "Range",
    "Space",
    "Stored",
    "chain",
    "encode",
    "fixed",
    "kinds_of",
    "replaced",
    "same",
]

_MOST_POINTS = 100_000
"""The most points that a grid may have: all are listed before the first is tried."""

LAYER = re.compile(r"model\.hidden_units\.layer([1-9]\d*)")
"""A dimension for the width of one hidden layer, counted from 1; it counts up to `model.depth`."""


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
        value = self.canonical(condition.path, params[condition.path])
        return any(same(value, wanted) for wanted in condition.values)

    def canonical(self, path: str, value: Stored) -> Stored:
        """`value` of the dimension `path` as it is stored, compared and shown, whoever suggested it."""
        return self.dimensions[path].canonical(value)

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
        return dimension.canonical(value)

    def describe(self) -> dict[str, str]:
        """Every dimension as one line of text."""
        return {
            path: " ".join(map(str, filter(None, (dimension, self.conditions.get(path)))))
            for path, dimension in self.dimensions.items()
        }

    def size(self) -> int | None:
        """How many points it has; None where there are infinitely many."""
        if any(dimension.count is None for dimension in self.dimensions.values()):
            return None
        return self._count(tuple(self.dimensions), {})

    def _count(self, rest: tuple[str, ...], params: Mapping[str, Stored]) -> int:
        """How many points there are with `params`, when `rest` varies."""
        if not rest:
            return 1
        path, *others = rest
        if not self.is_active(path, params):
            return self._count(tuple(others), params)
        conditions = [each for each in self.conditions.values() if each.path == path]
        asked = dict.fromkeys(value for condition in conditions for value in condition.values)
        points = sum(self._count(tuple(others), {**params, path: value}) for value in asked)
        # All values that no condition asks for are alike: nothing that depends on `path` counts.
        alike = (self.dimensions[path].count or 0) - len(asked)
        return points + alike * self._count(tuple(others), params)

    def fields(self) -> set[str]:
        """Override paths of the settings that vary."""
        return {"model.hidden_units" if LAYER.fullmatch(path) else path for path in self.dimensions}

    def grid(self) -> dict[str, list[Stored]]:
        """All values of every dimension.

        Raises ConfigError where there are infinitely many, more than can be tried, or a condition.
        """
        if self.conditions:
            path = next(iter(self.conditions))
            raise ConfigError(
                f"study.space.{path}: a grid takes no conditions (take another sampler)"
            )
        points = 1
        for dimension in self.dimensions.values():
            points *= dimension.count or 1
        if points > _MOST_POINTS:
            raise ConfigError(
                f"study.space: expected a grid of at most {_MOST_POINTS:,} points, got {points:,} "
                "(widen a step, or take another sampler)"
            )
        values: dict[str, list[Stored]] = {}
        for path, dimension in self.dimensions.items():
            if (grid := dimension.grid()) is None:
                raise ConfigError(
                    f"study.space.{path}: a grid needs a step or a list of choices, got {dimension} "
                    f"(add +study.space.{path}.step=..., or take another sampler)"
                )
            values[path] = list(grid)
        return values


@cache
def kinds_of(path: str) -> frozenset[Any]:
    """The plain types that the setting at `path` takes; a width of a single layer is a whole number.

    None is known of a setting of a network of one's own.
    """
    if LAYER.fullmatch(path):
        return frozenset({int})
    if path.startswith(f"{SETTINGS}."):
        return frozenset()
    section, name = path.split(".")
    kind = ModelConfig if section == "model" else RunConfig.model_fields[section].annotation
    fields: Mapping[str, Any] = getattr(kind, "model_fields", {})
    return _members(fields[name].annotation)


def _members(annotation: Any) -> frozenset[Any]:
    """The plain types in a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return frozenset().union(*(_members(member) for member in get_args(annotation)))
    return frozenset({annotation})


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
            *sections, name = path.split(".")
            functools.reduce(operator.getitem, sections, tree)[name] = value
    if widths:
        tree["model"]["hidden_units"] = [widths[layer] for layer in sorted(widths)]
    return validated(RunConfig, tree)


def fixed(base: RunConfig, space: Space) -> dict[str, str]:
    """The parameters of `base` that do not vary, as override text."""
    varied = space.fields()
    return {
        path: as_override(value) for path, value in flatten(base.model_dump()) if path not in varied
    }
