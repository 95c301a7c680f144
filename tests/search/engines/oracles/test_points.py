"""The points that oracles suggest: of the space, as the table stores them, and all of them."""

from typing import Any

import pytest

from search.study.vocabulary import Entry
from search.trial_table.terms import distributions
from tests.search.engines.oracles.session import (
    EVERYTHING,
    ORACLES,
    SIX,
    Session,
    setup_of,
    until_the_end,
)


def few_random(oracle: str) -> tuple[str, ...]:
    """Overrides so that the Gaussian process takes over early."""
    return ("oracle.num_initial_points=4",) if oracle == "bayesian" else ()


@pytest.mark.parametrize("oracle", ORACLES)
def test_suggestions_are_points_of_the_space_as_the_table_stores_them(oracle: str) -> None:
    session = Session(setup_of(oracle, EVERYTHING, *few_random(oracle)))
    space = session.setup.space
    seen: dict[str, set[Any]] = {path: set() for path in space.dimensions}
    for _ in range(7 if oracle == "bayesian" else 16):
        params = session.trial().params
        active = [path for path in space.dimensions if space.is_active(path, params)]
        assert list(params) == active
        space.apply(session.setup.run, params)
        for path, distribution in distributions(space).items():
            if path in params:
                stored = distribution.to_internal_repr(params[path])
                assert distribution._contains(stored), (path, params[path])
                back = distribution.to_external_repr(stored)
                assert (type(back), back) == (type(params[path]), params[path])
                seen[path].add(params[path])
    if oracle in ("random", "hyperband"):
        assert seen["model.hidden_units"] == {32, "[64, 32]"}
        assert seen["train.patience"] == {None, 2}


def test_a_step_leads_to_the_high_end() -> None:
    """0.6 is no multiple of 0.1 in floating point, but people mean it."""
    space = {"model": {"dropout": {"low": 0.0, "high": 0.6, "step": 0.1}}}
    session = Session(setup_of("grid", space))
    until_the_end(session, workers=1)
    dropouts = [entry.params["model.dropout"] for entry in session.entries]
    assert dropouts == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


@pytest.mark.parametrize("oracle", ["random", "grid"])
def test_every_point_of_a_conditional_space_is_tried_once(oracle: str) -> None:
    space = {
        "model": {
            "depth": {"low": 1, "high": 2},
            "hidden_units": {"layer1": [8, 16], "layer2": [8, 16]},
        }
    }
    session = Session(setup_of(oracle, space))
    until_the_end(session, workers=2)
    points = sorted(tuple(entry.params.values()) for entry in session.entries)
    assert points == [(1, 8), (1, 16), (2, 8, 8), (2, 8, 16), (2, 16, 8), (2, 16, 16)]


def test_the_last_points_of_a_space_are_found() -> None:
    space = {"model": {"hidden_units": {"low": 1, "high": 300}}}
    session = Session(setup_of("random", space))
    until_the_end(session, workers=1)
    assert sorted(entry.params["model.hidden_units"] for entry in session.entries) == [
        *range(1, 301)
    ]


def test_the_only_branch_with_points_left_is_found() -> None:
    space = {
        "train": {
            "optimizer": ["adam", "sgd", "adamw", "nadam", "adagrad", "rmsprop"],
            "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
        }
    }
    assert len(Session(setup_of("random", space)).trials(300)) == 300


def test_a_grid_keeps_all_workers_busy() -> None:
    session = Session(setup_of("grid", SIX))
    assert all(isinstance(session.ask(), Entry) for _ in range(6))
