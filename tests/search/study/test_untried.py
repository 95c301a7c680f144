"""Which runs are on record, and what is left of a space."""

from collections.abc import Mapping
from typing import Any

import pytest

from search.study.parse import parse
from search.study.space import Range, Space
from search.study.untried import DRAWS, Runs
from tests.search.conftest import setup_of

SETUP = setup_of(space={"model": {"dropout": {"low": 0.0, "high": 0.5}}})


class CountedRuns(Runs):
    """Counts how often it looks at a point."""

    looks = 0

    def is_new(self, point: Mapping[str, Any]) -> bool:
        self.looks += 1
        return super().is_new(point)


def runs_of(space: Mapping[str, Any]) -> tuple[CountedRuns, Space]:
    parsed = parse(space, SETUP.run)
    return CountedRuns(SETUP.run, parsed), parsed


def visit(runs: Runs, most: int = 1000) -> list[dict[str, Any]]:
    """Untried points until none is left."""
    points: list[dict[str, Any]] = []
    while len(points) < most and (point := runs.untried(len(points))) is not None:
        assert runs.is_new(point)
        runs.add(point)
        assert not runs.is_new(point)
        points.append(point)
    return points


FINITE: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "steps": ({"model": {"dropout": {"low": 0.0, "high": 0.6, "step": 0.1}}}, 7),
    "whole numbers by their logarithm": (
        {"train": {"batch_size": {"low": 8, "high": 24, "log": True}}},
        17,
    ),
    "a range of one number": ({"model": {"dropout": {"low": 0.25, "high": 0.25}}}, 1),
    "lists": ({"model": {"hidden_units": [[8, 8], [16, 8]]}}, 2),
    "one run, written twice": ({"train": {"learning_rate": [None, 0.001]}}, 1),
    "a condition": (
        {
            "train": {
                "optimizer": ["adam", "sgd"],
                "momentum": {"choices": [0.0, 0.5, 0.9], "when": {"train.optimizer": "sgd"}},
            }
        },
        4,
    ),
    "layers": (
        {"model": {"depth": [0, 1, 2], "hidden_units": {"layer1": [8, 16], "layer2": [8]}}},
        5,
    ),
}


@pytest.mark.parametrize(("space", "count"), FINITE.values(), ids=FINITE)
def test_every_run_of_a_finite_space_is_found_and_no_more(
    space: Mapping[str, Any], count: int
) -> None:
    runs, parsed = runs_of(space)
    assert runs.count() == count
    points = visit(runs)
    assert len(points) == count
    for point in points:
        assert {path: parsed.canonical(path, value) for path, value in point.items()} == point


def test_batches_that_hold_all_rows_are_one_run() -> None:
    space = parse({"train": {"batch_size": [500, 1000, 1001, 4000]}}, SETUP.run)
    assert len(visit(Runs(SETUP.run, space, rows=1000))) == 2
    assert len(visit(Runs(SETUP.run, space))) == 4


@pytest.mark.parametrize(
    "space",
    [
        {"model": {"hidden_units": {"low": 1, "high": 10**9}, "dropout": [0.0, 0.1]}},
        {"train": {"batch_size": {"low": 1, "high": 10**12, "log": True}}},
        {"model": {"l2": {"low": 0.0, "high": 1.0, "step": 1e-9}}},
        {"train": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}},
    ],
)
def test_a_large_space_is_not_looked_through(space: Mapping[str, Any]) -> None:
    runs, _ = runs_of(space)
    assert runs.count() is None
    assert len(visit(runs, most=20)) == 20
    assert runs.looks < 100


def test_a_large_space_of_one_run_is_given_up_after_so_many_points() -> None:
    runs, _ = runs_of({"model": {"depth": [0], "hidden_units": {"low": 1, "high": 10**9}}})
    assert len(visit(runs)) == 1
    assert runs.looks <= DRAWS + 10


def test_the_seed_decides_what_is_drawn() -> None:
    space = {"train": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}}
    one, other = runs_of(space)[0], runs_of(space)[0]
    assert one.untried(1) == other.untried(1) != one.untried(2)


def test_a_point_that_the_configuration_refuses_is_no_run_and_not_tried_twice() -> None:
    space = Space({"model.dropout": Range(low=0.0, high=50.0)})
    runs = Runs(SETUP.run, space)
    refused = {"model.dropout": 7.0}
    assert runs.is_new(refused)
    runs.add(refused)
    assert not runs.is_new(refused)
