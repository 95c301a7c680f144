"""From the space's tree in YAML to a checked Space.

The tree mirrors the configuration. A leaf is a list of choices, or a range `{low: 0.0, high: 0.6}` with
`step` or `log: true` if wanted. Conditions: `{low: 0.0, high: 0.9, when: {train.optimizer: sgd}}` or
`{choices: [...], when: {...}}` counts only under that optimizer; `model.hidden_units.layer1`, `layer2`
... are widths of single layers, which count up to `model.depth`.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, did_you_mean, flatten, validated
from pipeline.run.comparable import spoils
from pipeline.run.config import ModelConfig, RunConfig, TrainConfig
from pipeline.run.custom import SETTINGS, CustomConfig
from search.study.dimension import as_float, kinds_in
from search.study.space import (
    LAYER,
    Choices,
    Condition,
    Dimension,
    Range,
    Space,
    Stored,
    chain,
    encode,
    kinds_of,
    replaced,
    same,
)

_SEARCHABLE = ("model", "train")
_LEAF_KEYS = {"low", "high", "step", "log", "choices", "when"}


def parse(tree: Mapping[str, Any], base: RunConfig, on_record: bool = False) -> Space:
    """The space that `tree` describes around `base`, wholly checked.

    Every bound and every choice is tried on its field, alone and in pairs, so that no trial can be
    asked for that the configuration refuses, nor one that can't be compared with the others.
    `on_record`: of a study that is there, and is only to be read; then its trials may not compare.
    Raises ConfigError with one line for each fault.
    """
    faults: list[str] = []
    dimensions: dict[str, Dimension] = {}
    whens: dict[str, Any] = {}
    known = _searchable(base)
    for path, leaf in _leaves(tree):
        try:
            when = leaf.get("when") if isinstance(leaf, Mapping) else None
            dimensions[path] = _dimension(path, leaf, known)
            if when is not None:
                whens[path] = when
        except ConfigError as error:
            faults.append(str(error))
    if not dimensions and not faults:
        faults.append("study.space: is empty; name what varies, for example model.dropout")
    if faults:
        raise ConfigError("\n".join(faults))
    conditions = {path: _condition(path, when, dimensions) for path, when in whens.items()}
    conditions |= _layer_conditions(dimensions, conditions, base)
    ordered = sorted(dimensions, key=lambda path: len(chain(path, conditions)))  # parents first
    space = Space({path: dimensions[path] for path in ordered}, conditions)
    if faults := ([] if on_record else _incomparable(space, base)) or _refused(space, base):
        raise ConfigError("\n".join(faults))
    return space


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and not (set(value) & _LEAF_KEYS):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _searchable(base: RunConfig) -> list[str]:
    """Override paths of the settings that may vary."""
    if isinstance(base.model, CustomConfig):
        own = [f"{SETTINGS}.{path}" for path, _ in flatten(base.model.settings)]
        return own + [f"train.{name}" for name in TrainConfig.model_fields]
    return [
        f"{section}.{name}"
        for section in _SEARCHABLE
        for name in type(getattr(base, section)).model_fields
    ]


def _dimension(path: str, leaf: Any, known: Sequence[str]) -> Dimension:
    place = f"study.space.{path}"
    is_layer = LAYER.fullmatch(path) and "model.hidden_units" in known
    if path not in known and not is_layer:
        remedy = did_you_mean(path, known)
        if path.startswith(f"{SETTINGS}."):
            remedy = f", as it has no value to start from (set {path}=...)"
        raise ConfigError(f"{place}: no such setting to vary{remedy}")
    if isinstance(leaf, Mapping):
        leaf = {key: value for key, value in leaf.items() if key != "when"}
        if set(leaf) == {"choices"}:
            leaf = leaf["choices"]
    kinds = kinds_of(path) or kinds_in(leaf)
    if isinstance(leaf, list):
        return _choices(place, leaf, kinds)
    if not isinstance(leaf, Mapping):
        raise ConfigError(
            f"{place}: expected a list of choices or {{low: ..., high: ...}}, got {as_override(leaf)} "
            f"([{as_override(leaf)}] is a list of one)"
        )
    if "choices" in leaf:
        raise ConfigError(
            f"{place}: expected either choices or a range, got {as_override(leaf)} ('{place}=[...]' "
            "takes its place)"
        )
    if not {"low", "high"} <= set(leaf):
        raise ConfigError(
            f"{place}: expected low and high, got {as_override(leaf)} ('{place}.high=...' changes one of "
            "them in a range that is there)"
        )
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


def _choices(place: str, leaf: list[Any], kinds: frozenset[Any]) -> Choices:
    if not leaf:
        raise ConfigError(f"{place}: expected at least one choice, got an empty list")
    options = tuple(tuple(item) if isinstance(item, list) else item for item in leaf)
    if float in kinds:
        options = tuple(map(_float_at(place), options))
    for one, other in itertools.combinations(range(len(options)), 2):
        if same(*(_plain(option, place) for option in (options[one], options[other]))):
            first, second = as_override(leaf[one]), as_override(leaf[other])
            alike = "" if first == second else f": {first} and {second} are the same"
            raise ConfigError(
                f"{place}: expected different choices, got {as_override(leaf)}{alike}"
            )
    return Choices(options)


def _float_at(place: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return as_float(value)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from None

    return convert


def _plain(option: Any, place: str) -> Any:
    """One width for all layers as a single number: beside [64,64] the depth is 2, where 64 is the same."""
    if not isinstance(option, tuple) or not option or not place.endswith(".model.hidden_units"):
        return option
    return option[0] if all(same(width, option[0]) for width in option) else option


def _condition(path: str, when: Any, dimensions: Mapping[str, Dimension]) -> Condition:
    place = f"study.space.{path}.when"
    if not isinstance(when, Mapping) or len(when) != 1:
        raise ConfigError(
            f"{place}: expected one setting and its values, like {{train.optimizer: [sgd]}}, "
            f"got {as_override(when)}"
        )
    ((parent, wanted),) = when.items()
    if parent not in dimensions:
        raise ConfigError(
            f"{place}: {parent} does not vary in this space"
            + did_you_mean(str(parent), dimensions.keys())
        )
    dimension = dimensions[parent]
    if dimension.count is None:
        raise ConfigError(f"{place}: {parent} has no single values to ask for")
    values: dict[Stored, None] = {}
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if not wanted:
        raise ConfigError(f"{place}: expected at least one value of {parent}, got an empty list")
    for value in map(encode, wanted):
        if not dimension.has(value):
            among = str(dimension)
            if isinstance(dimension, Choices):
                among = ", ".join(map(as_override, dimension.options))
            raise ConfigError(
                f"{place}: {parent} is never {as_override(value)}, it is one of {among}"
            )
        values[dimension.canonical(value)] = None
    return Condition(parent, tuple(values))


def _layer_conditions(
    dimensions: Mapping[str, Dimension], conditions: Mapping[str, Condition], base: RunConfig
) -> dict[str, Condition]:
    """Widths of single layers count up to the depth; there is one for every layer that there may be."""
    layers = {int(match[1]): path for path in dimensions if (match := LAYER.fullmatch(path))}
    if not layers:
        return {}
    for path in (*layers.values(), "model.depth"):
        if path in conditions:
            raise ConfigError(
                f"study.space.{path}.when: widths of single layers count up to model.depth, "
                "under no other condition (leave it out)"
            )
    if "model.hidden_units" in dimensions:
        raise ConfigError(
            "study.space.model.hidden_units: varies as a whole and by layer; choose one"
        )
    assert isinstance(base.model, ModelConfig), "no other has layers"
    depth = dimensions.get("model.depth", Choices((base.model.depth,)))
    if not all(type(bound) is int for bound in depth.probes()):
        return {}  # the field refuses it, in its own words
    deepest = max(depth.probes())
    if len(layers) != deepest or max(layers) != deepest:
        found = ", ".join(f"layer{number}" for number in sorted(layers))
        raise ConfigError(
            f"study.space.model.hidden_units: expected layer1 to layer{deepest}, one for each of "
            f"model.depth={deepest}, got {found}"
        )
    if (values := depth.grid()) is None:
        raise ConfigError(
            "study.space.model.depth: has no single values (take a range without log)"
        )
    depths = [value for value in values if isinstance(value, int)]
    return {
        path: Condition("model.depth", tuple(value for value in depths if value >= number))
        for number, path in layers.items()
        if any(value < number for value in depths)
    }


def _refused(space: Space, base: RunConfig) -> list[str]:
    """One line for each bound or choice that the configuration refuses, alone or beside another."""
    start = {path: dimension.probes()[0] for path, dimension in space.dimensions.items()}
    faults: list[str] = []
    for path, dimension in space.dimensions.items():
        for value in dimension.probes():
            fault = _fault(space, base, {**start, **_reaching(space, path), path: value})
            if fault is not None and fault.startswith(f"{path}:"):
                faults.append(f"study.space.{fault}")
    if faults:
        return list(dict.fromkeys(faults))
    for one, other in itertools.combinations_with_replacement(space.dimensions, 2):
        needed = {**start, **_reaching(space, one), **_reaching(space, other)}
        for first in space.dimensions[one].probes():
            for second in space.dimensions[other].probes():
                values = {one: first, other: second}
                if fault := _fault(space, base, {**needed, **values}):
                    shown = " with ".join(f"{k}={as_override(v)}" for k, v in values.items())
                    return [f"study.space: {shown} is refused: {fault}"]
    return []


def _incomparable(space: Space, base: RunConfig) -> list[str]:
    """One line for each setting that changes what the objective means from trial to trial."""
    metric = base.objective.metric
    remedy = "objective.metric=val_accuracy objective.direction=maximize"
    if not base.train.validation_split:
        remedy += " train.validation_split=0.2"
    faults = []
    for path, dimension in space.dimensions.items():
        if (reason := spoils(path, metric)) is None:
            continue
        if spoils(path, "val_accuracy") is not None:
            faults.append(f"study.space.{path}: can't vary, as {reason} (leave it out)")
        elif dimension.count != 1 or path in space.conditions:
            faults.append(
                f"study.space.{path}: can't vary with objective.metric={metric}, as {reason} "
                f"(set {remedy}, or leave it out)"
            )
    return faults


def _reaching(space: Space, path: str) -> dict[str, Any]:
    """What must be set for the dimension `path` to count, and for what it depends on."""
    return {
        condition.path: space.decode(condition.path, condition.values[-1])
        for condition in chain(path, space.conditions)
    }


def _fault(space: Space, base: RunConfig, values: Mapping[str, Any]) -> str | None:
    active: dict[str, Stored] = {}
    for path in space.dimensions:
        if space.is_active(path, active):
            active[path] = encode(values[path])
    try:
        replaced(base, {path: values[path] for path in active})
    except ConfigError as error:
        return str(error)
    return None
