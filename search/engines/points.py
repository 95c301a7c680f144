"""Points that a user wants tried: what they may be, and which trial is to have one."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, did_you_mean, flatten
from pipeline.run.config import RunConfig
from search.study.space import Choices, Space, encode
from search.study.untried import Point

POINT = "point"
"""The note of a trial that was tried because a user wanted it: what of its point was given."""


class Points(Protocol):
    """Points by the number of the trial that is to have them."""

    def take(self, number: int) -> Point | None:
        """The point for trial `number`; None: the engine decides."""

    def put_back(self, number: int, point: Point) -> None:
        """Have `point` wait: trial `number` could not have it."""


class Wanted:
    """The points that a user wants tried, in their order, without those that a trial had.

    `notes`: of every trial so far.
    """

    def __init__(self, points: Iterable[Point], notes: Iterable[Mapping[str, Any]]) -> None:
        had = [each.get(POINT) for each in notes]
        self._left = deque(point for point in points if point not in had)

    def take(self, number: int) -> Point | None:
        return self._left.popleft() if self._left else None

    def put_back(self, number: int, point: Point) -> None:
        self._left.appendleft(point)


class OnRecord:
    """The points as the trials of a study had them, whose engine is asked again. `notes`: of its trials."""

    def __init__(self, notes: Sequence[Mapping[str, Any]]) -> None:
        self._at: dict[int, Point] = {
            number: each[POINT] for number, each in enumerate(notes) if POINT in each
        }

    def take(self, number: int) -> Point | None:
        return self._at.pop(number, None)

    def put_back(self, number: int, point: Point) -> None:
        self._at[number] = point


def points(wanted: Sequence[Mapping[str, Any]], space: Space, base: RunConfig) -> tuple[Point, ...]:
    """The points that are `wanted`, each once, as they are stored; what they leave open the engine decides.

    Raises ConfigError with one line for each fault.
    """
    found: list[Point] = []
    faults: list[str] = []
    for place, each in enumerate(wanted):
        try:
            point = _point(f"study.points[{place}]", each, space, base)
        except ConfigError as error:
            faults.append(str(error))
        else:
            found += [] if point in found else [point]
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(found)


def _point(place: str, wanted: Mapping[str, Any], space: Space, base: RunConfig) -> Point:
    given = dict(flatten(wanted))
    if not given:
        raise ConfigError(f"{place}: expected at least one setting of the space, got none")
    for path, value in given.items():
        if (dimension := space.dimensions.get(path)) is None:
            remedy = did_you_mean(path, space.dimensions) or f" (put study.space.{path} there)"
            raise ConfigError(f"{place}.{path}: does not vary in this space{remedy}")
        if not dimension.has(encode(value)):
            among = str(dimension)
            if isinstance(dimension, Choices):
                among = f"one of {', '.join(map(as_override, dimension.options))}"
            raise ConfigError(f"{place}.{path}: expected {among}, got {as_override(value)}")
    point: Point = {}
    for path in space.dimensions:  # what depends on another comes after it
        if path not in given:
            continue
        if not space.is_active(path, point):
            raise ConfigError(
                f"{place}.{path}: counts only {space.conditions[path]} (give that too, or leave it out)"
            )
        point[path] = space.canonical(path, encode(given[path]))
    if all(path in point for path in space.dimensions if space.is_active(path, point)):
        try:
            space.apply(base, point)
        except ConfigError as error:
            raise ConfigError(f"{place}: is refused: {error}") from None
    return point
