"""The points that a study tries first: what may be said of them, and what may not."""

from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from pipeline.run.config import run_config
from search.engines.points import points
from search.study.parse import parse
from tests.search.conftest import composed

SPACE: dict[str, Any] = {
    "model": {
        "dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
        "depth": {"low": 1, "high": 2},
        "hidden_units": {"layer1": [8, 16], "layer2": [8, 16]},
    },
    "train": {
        "optimizer": ["sgd", "adam"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "patience": [None, 2],
    },
}
BASE = run_config(composed())


def read(*wanted: dict[str, Any], space: dict[str, Any] = SPACE) -> tuple[dict[str, Any], ...]:
    return points(wanted, parse(space, BASE), BASE)


@pytest.mark.parametrize(
    ("wanted", "point"),
    [
        ({"model.dropout": 0.3}, {"model.dropout": 0.3}),
        ({"model": {"dropout": 0}}, {"model.dropout": 0.0}),
        ({"model.dropout": 0.1 + 0.2}, {"model.dropout": 0.3}),
        ({"train.patience": None}, {"train.patience": None}),
        ({"train.learning_rate": 1e-4}, {"train.learning_rate": 0.0001}),
        (
            {"train.momentum": 0.9, "train": {"optimizer": "sgd"}},
            {"train.optimizer": "sgd", "train.momentum": 0.9},
        ),
        (
            {"model": {"hidden_units": {"layer2": 16}, "depth": 2}},
            {"model.depth": 2, "model.hidden_units.layer2": 16},
        ),
    ],
)
def test_a_point_is_read_as_the_table_stores_it(wanted: Any, point: Any) -> None:
    (found,) = read(wanted)
    assert found == point
    assert [type(value) for value in found.values()] == [type(value) for value in point.values()]


def test_choices_that_are_lists_may_be_given() -> None:
    space = {"model": {"hidden_units": [[8, 8], [16, 8]]}}
    assert read({"model.hidden_units": [16, 8]}, space=space) == (
        {"model.hidden_units": "[16, 8]"},
    )


def test_the_same_point_twice_is_one() -> None:
    assert (
        len(read({"model.dropout": 0.3}, {"model.dropout": 0.1}, {"model": {"dropout": 0.3}})) == 2
    )


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"model.dropout": 0.35}, "study.points[0].model.dropout: expected 0.0 .. 0.6 step 0.1, got 0.35"),
        ({"model.dropout": 0.7}, "study.points[0].model.dropout: expected 0.0 .. 0.6 step 0.1, got 0.7"),
        ({"model.dropout": "x"}, "study.points[0].model.dropout: expected 0.0 .. 0.6 step 0.1, got x"),
        ({"model.dropout": True}, "got true"),
        ({"train.optimizer": "lion"}, "study.points[0].train.optimizer: expected one of sgd, adam, got lion"),
        ({"train.patience": 2.5}, "expected one of null, 2, got 2.5"),
        ({"model.l2": 0.1}, "study.points[0].model.l2: does not vary in this space"),
        ({"model.droput": 0.1}, "did you mean `model.dropout`?"),
        ({"train.momentum": 0.5}, "counts only when train.optimizer is sgd (give that too, or leave it out)"),
        (
            {"train.momentum": 0.5, "train.optimizer": "adam"},
            "study.points[0].train.momentum: counts only when train.optimizer is sgd",
        ),
        ({"model.hidden_units.layer2": 8, "model.depth": 1}, "counts only when model.depth is 2"),
        ({}, "study.points[0]: expected at least one setting of the space, got none"),
    ],
)  # fmt: skip
def test_what_is_no_point_of_the_space_is_refused_with_its_place(wanted: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(wanted)
    assert told in str(caught.value)


def test_every_fault_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        read({"model.dropout": 0.1}, {"model.dropout": 7}, {"model.l2": 1})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "study.points[1].model.dropout",
        "study.points[2].model.l2",
    ]
