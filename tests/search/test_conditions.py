"""Conditional dimensions: what counts when, and what is refused."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from search.engines.optuna import OptunaEngine
from search.parse import parse
from search.study import Suggestion

WIDTH = {"low": 16, "high": 64}
LAYERED = {"depth": {"low": 1, "high": 3}, "hidden_units": {f"layer{n}": WIDTH for n in (1, 2, 3)}}
MOMENTUM = {
    "optimizer": ["sgd", "adam"],
    "momentum": {"low": 0.1, "high": 0.9, "when": {"train.optimizer": "sgd"}},
}


@pytest.fixture
def base(run_config: Callable[..., RunConfig]) -> RunConfig:
    return run_config("train.optimizer=sgd")


def suggestions(tree: dict[str, Any], base: RunConfig, count: int) -> list[dict[str, Any]]:
    engine = OptunaEngine(
        "conditional",
        "maximize",
        "val_accuracy",
        parse(tree, base),
        lambda seed: optuna.samplers.RandomSampler(seed=seed),
        0,
        optuna.pruners.NopPruner(),
        [],
    )
    asked = [engine.ask() for _ in range(count)]
    assert all(isinstance(suggestion, Suggestion) for suggestion in asked)
    return [dict(suggestion.params) for suggestion in asked]  # type: ignore[union-attr]


def test_a_parameter_is_suggested_only_under_its_optimizer(base: RunConfig) -> None:
    params = suggestions({"train": MOMENTUM}, base, 20)
    assert {p["train.optimizer"] for p in params} == {"sgd", "adam"}
    for each in params:
        assert ("train.momentum" in each) == (each["train.optimizer"] == "sgd")


def test_a_parameter_that_does_not_count_keeps_its_fixed_value(base: RunConfig) -> None:
    space = parse({"train": MOMENTUM}, base)
    assert space.apply(base, {"train.optimizer": "adam"}).train.momentum == 0.0


def test_there_is_one_width_for_each_layer_up_to_the_depth(base: RunConfig) -> None:
    space = parse({"model": LAYERED}, base)
    params = suggestions({"model": LAYERED}, base, 20)
    assert {p["model.depth"] for p in params} == {1, 2, 3}
    for each in params:
        model = space.apply(base, each).model
        widths = tuple(each[f"model.hidden_units.layer{n}"] for n in range(1, model.depth + 1))
        assert model.hidden_units == widths
        assert len(each) == 1 + model.depth


def test_a_fixed_depth_takes_widths_for_its_layers(base: RunConfig) -> None:
    space = parse({"model": {"hidden_units": {"layer1": WIDTH, "layer2": WIDTH}}}, base)
    params = {"model.hidden_units.layer1": 20, "model.hidden_units.layer2": 30}
    assert space.apply(base, params).model.hidden_units == (20, 30)
    assert space.conditions == {}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (
            {"train": {**MOMENTUM, "momentum": {"low": 0.1, "high": 0.9}}},
            "train.optimizer=adam is refused: train.momentum: only sgd and rmsprop take one",
        ),
        (
            {"train": {"momentum": {"low": 0.1, "high": 0.9, "when": {"train.optimiser": "sgd"}}}},
            "train.optimiser does not vary in this space",
        ),
        (
            {
                "train": {
                    **MOMENTUM,
                    "momentum": {"low": 0.1, "high": 0.9, "when": {"train.optimizer": "nadam"}},
                }
            },
            "train.optimizer is never nadam, it is one of sgd, adam",
        ),
        (
            {"train": {**MOMENTUM, "momentum": {"low": 0.1, "high": 0.9, "when": "sgd"}}},
            "study.space.train.momentum.when: expected one setting and its values",
        ),
        (
            {"model": {**LAYERED, "hidden_units": {"layer1": WIDTH, "layer2": WIDTH}}},
            "expected layer1 to layer3, one for each of model.depth=3, got layer1, layer2",
        ),
        (
            {"model": {"hidden_units": {"layer1": {"low": 0, "high": 3}, "layer2": WIDTH}}},
            "model.hidden_units",
        ),
    ],
)
def test_a_condition_that_can_not_be_met_is_refused(
    base: RunConfig, tree: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(tree, base)
    assert words in str(raised.value)


def test_a_grid_takes_no_conditions(base: RunConfig) -> None:
    with pytest.raises(ConfigError, match="a grid takes no conditions"):
        parse({"train": MOMENTUM}, base).grid()
