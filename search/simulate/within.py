"""A study within a record: what of its space and settings the record can answer for."""

from collections.abc import Mapping
from typing import Any

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, flatten
from pipeline.run.config import METRICS
from pipeline.run.fingerprint import default_rate
from search.setup.read import Setup
from search.simulate.record import OPTIMIZER, RATE, SEED, Record
from search.simulate.surrogate import numbers_of
from search.study.dimension import Choices, Dimension, Range, at_step, encode

_FREE = {SEED, "train.epochs", "data.path", "objective.select"}
"""Settings that may be others than the record's: the seed's luck is drawn, and curves have beginnings."""


def narrowed(setup: Setup, record: Record) -> tuple[dict[str, Any], list[str]]:
    """The study's space, as a tree, as far as the record has it; and what was left out, in words.

    Raises ConfigError where nothing is left of a dimension, or a fixed setting is another than the record's.
    """
    _check(setup, record)
    space: dict[str, Any] = {}
    said: list[str] = []
    for path, dimension in setup.space.dimensions.items():
        if path != SEED and path not in record.space.dimensions:
            raise ConfigError(
                f"study.space.{path}: the record {record.name} has no other {path} than one "
                f"(add '~study.space.{path}', or record a study that varies it: simulate.record=STUDY)"
            )
        there = record.space.dimensions.get(path, dimension)  # seeds have their own luck each
        kept = _common(dimension, there)
        if kept is None:
            raise ConfigError(
                f"study.space.{path}: the record {record.name} has {there}, expected some of that, got "
                f"{dimension}"
            )
        if str(kept) != str(dimension):
            said.append(f"{path} is {kept} (the study has {dimension})")
        section, _, name = path.partition(".")
        space.setdefault(section, {})[name] = _leaf(kept)
    return space, said


def _check(setup: Setup, record: Record) -> None:
    """Raise ConfigError where the study asks for what no record can say, or this one does not."""
    objective = setup.run.objective
    if objective.cost is not None:
        raise ConfigError("objective.cost: a simulated study has one objective (leave it out)")
    if objective.metric not in record.curves:
        known = ", ".join(metric for metric in METRICS if metric in record.curves)
        raise ConfigError(
            f"objective.metric: the record {record.name} has {known}, got {objective.metric}"
        )
    if setup.study.warm_start:
        raise ConfigError("study.warm_start: a simulated study learns from no other (leave it out)")
    if setup.space.conditions:
        path = next(iter(setup.space.conditions))
        raise ConfigError(
            f"study.space.{path}: a simulated space has no conditions (leave `when` out)"
        )
    ours, theirs = (dict(flatten(run.model_dump())) for run in (setup.run, record.base))
    faults = []
    for path in dict.fromkeys([*ours, *theirs]):
        if path in setup.space.dimensions or path in _FREE or path.startswith("objective."):
            continue
        if (dimension := record.space.dimensions.get(path)) is not None:
            faults += [
                f"{path}: the record {record.name} has {dimension}, got {_text(ours, path)}{meant}"
                for value, meant in _meant(path, ours.get(path), setup, record)
                if not _lies_in(value, dimension)
            ]
        elif ours.get(path) != theirs.get(path):
            faults.append(
                f"{path}: the record {record.name} has {_text(theirs, path)}, got {_text(ours, path)}"
            )
    if faults:
        raise ConfigError("\n".join(faults))


def _meant(path: str, value: Any, setup: Setup, record: Record) -> list[tuple[Any, str]]:
    """What a fixed `value` comes to, which is one of each optimizer where it is Keras's own rate."""
    if path != RATE or value is not None:
        return [(value, "")]
    varied = setup.space.dimensions.get(OPTIMIZER)
    there = record.space.dimensions.get(OPTIMIZER)
    options = varied.options if isinstance(varied, Choices) else (setup.run.train.optimizer,)
    known = [str(each) for each in options if there is None or there.has(each)]
    return [(rate := default_rate(each), f" ({rate:g} with {each})") for each in known]


def _text(settings: Mapping[str, Any], path: str) -> str:
    return as_override(settings.get(path))


def _lies_in(value: Any, dimension: Dimension) -> bool:
    """Whether the record can say something of `value`: between two numbers it can."""
    low, high = _bounds(dimension)
    if low is None or high is None:
        return dimension.has(encode(value))
    return type(value) in (int, float) and low <= value <= high


def _bounds(dimension: Dimension) -> tuple[float | None, float | None]:
    if isinstance(dimension, Range):
        return dimension.low, dimension.high
    numbers = numbers_of(dimension)
    return (None, None) if numbers is None else (min(numbers), max(numbers))


def _common(dimension: Dimension, there: Dimension) -> Dimension | None:
    """What both have; None where that is nothing."""
    if isinstance(dimension, Choices):
        options = tuple(option for option in dimension.options if _lies_in(option, there))
        return Choices(options) if options else None
    low, high = _bounds(there)
    if low is None or high is None:
        return None
    inside = dimension.model_copy(
        update={"low": max(dimension.low, low), "high": min(dimension.high, high)}
    )
    if dimension.step is not None:
        steps = [
            at_step(dimension.low, dimension.step, n)
            for n in range(dimension.count or 0)
            if low <= at_step(dimension.low, dimension.step, n) <= high
        ]
        if not steps:
            return None
        inside = dimension.model_copy(update={"low": steps[0], "high": steps[-1]})
    return inside if inside.low <= inside.high else None


def _leaf(dimension: Dimension) -> Any:
    """The dimension as a study's file has it."""
    if isinstance(dimension, Choices):
        return list(dimension.options)
    leaf = {
        "low": dimension.low,
        "high": dimension.high,
        "step": dimension.step,
        "log": dimension.log,
    }
    return {key: value for key, value in leaf.items() if value not in (None, False) or key == "low"}
