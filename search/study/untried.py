"""The runs of a study: which are on record, and a point of the space that would be new."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import numpy as np

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from pipeline.run.fingerprint import fingerprint
from search.study.dimension import Choices, Dimension, Range, at_step
from search.study.space import Space, Stored

Point = dict[str, Stored]

DRAWS = 1_000
"""So many points are drawn at random before a large space counts as used up."""

LISTED = 100_000
"""A space of so many points, or fewer, is looked through to the last one; that takes 0.1 ms for each."""

COUNTED = 10_000
"""The runs of a space of so many points, or fewer, are counted."""

_FEW_DRAWS = 10  # before a space is looked through


class Runs:
    """The runs on record, told apart by what decides their numbers.

    Two points of the space may be one run: `hidden_units` 64 and [64, 64] at depth 2, every dropout
    at depth 0, every batch that holds all of the `rows` to train on. A run on record is not paid for
    again, however it ended.
    """

    def __init__(self, base: RunConfig, space: Space, rows: int | None = None) -> None:
        self._base = base
        self._space = space
        self._rows = rows
        self._keys: set[str] = set()

    def add(self, point: Mapping[str, Stored]) -> None:
        """Put the run at `point` on record."""
        self._keys.add(self._key(point))

    def is_new(self, point: Mapping[str, Stored]) -> bool:
        """Whether the run at `point` is not on record."""
        return self._key(point) not in self._keys

    def untried(self, seed: int, at: Mapping[str, Stored] = MappingProxyType({})) -> Point | None:
        """A point whose run is not on record, drawn at random by `seed`; None where none is left.

        `at`: what of it is given. The work is bounded: where that leaves something open, or the space
        has more than `LISTED` points, or infinitely many, none counts as left when `DRAWS` points that
        were drawn at random have nothing new.
        """
        rng = np.random.default_rng(seed)
        for _ in range(DRAWS if at or self._listed is None else _FEW_DRAWS):
            if self.is_new(point := self.draw(rng, at)):
                return point
            if at.keys() == point.keys():  # there is no other
                return None
        if at:
            return None
        left = [key for key in self._listed or () if key not in self._keys]
        return None if not left else dict((self._listed or {})[left[rng.integers(len(left))]])

    def left(self, most: int) -> list[Point] | None:
        """A point for each run that is not on record; None in a space of more than `most` points."""
        size = self._space.size()
        if size is None or size > most:
            return None
        return [point for key, point in (self._listed or {}).items() if key not in self._keys]

    def count(self) -> int | None:
        """How many runs the space has in all; None where its points are too many to be listed."""
        size = self._space.size()
        return len(self._listed or ()) if size is not None and size <= COUNTED else None

    @cached_property
    def _listed(self) -> Mapping[str, Point] | None:
        """A point for each run of the space, in its order; None where there are too many to list."""
        size = self._space.size()
        if size is None or size > LISTED:
            return None
        points: list[Point] = [{}]
        for path, dimension in self._space.dimensions.items():
            points = [
                longer
                for point in points
                for longer in (
                    [{**point, path: value} for value in _values(dimension)]
                    if self._space.is_active(path, point)
                    else [point]
                )
            ]
        found: dict[str, Point] = {}
        for point in points:
            found.setdefault(self._key(point), point)
        return found

    def _key(self, point: Mapping[str, Stored]) -> str:
        try:
            return fingerprint(self._space.apply(self._base, point), self._rows)
        except ConfigError:  # its trial will fail with the reason
            return json.dumps(point, sort_keys=True)

    def draw(
        self, rng: np.random.Generator, at: Mapping[str, Stored] = MappingProxyType({})
    ) -> Point:
        """A point drawn at random. `at`: what of it is given."""
        point: Point = {}
        for path, dimension in self._space.dimensions.items():
            if self._space.is_active(path, point):
                point[path] = at[path] if path in at else _drawn(dimension, rng)
        return point


def _values(dimension: Dimension) -> Sequence[Stored]:
    """All values of a finite dimension."""
    values = dimension.grid()
    if values is None and isinstance(dimension, Range) and dimension.integer:
        return range(int(dimension.low), int(dimension.high) + 1)
    return (dimension.probes()[0],) if values is None else values


def _drawn(dimension: Dimension, rng: np.random.Generator) -> Stored:
    """A value of `dimension`, each as likely as another; by its logarithm where that counts."""
    if isinstance(dimension, Choices):
        return dimension.grid()[rng.integers(len(dimension.options))]
    if dimension.log:
        low, high = math.log(dimension.low), math.log(dimension.high)
        value = min(max(math.exp(rng.uniform(low, high)), dimension.low), dimension.high)
        return dimension.canonical(value)
    if dimension.count is not None:
        step = dimension.step or 1
        return at_step(dimension.low, step, int(rng.integers(dimension.count)))
    return dimension.canonical(rng.uniform(dimension.low, dimension.high))
