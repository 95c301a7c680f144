"""Conditional dimensions: what counts when, and what is refused."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from search.engines.optuna import OptunaAlgorithm
from search.study.parse import parse
from search.study.untried import Runs
from search.study.vocabulary import Suggestion, Suggestions
from tests.search.conftest import setup_of

WIDTH = {"low": 16, "high": 64}
LAYERED: dict[str, Any] = {
    "depth": {"low": 1, "high": 3},
    "hidden_units": {f"layer{n}": WIDTH for n in (1, 2, 3)},
}
MOMENTUM = {
    "optimizer": ["sgd", "adam"],
    "momentum": {"low": 0.1, "high": 0.9, "when": {"train.optimizer": "sgd"}},
}


@pytest.fixture
def base(run_config: Callable[..., RunConfig]) -> RunConfig:
    return run_config("train.optimizer=sgd")


def suggestions(tree: dict[str, Any], base: RunConfig, count: int) -> list[dict[str, Any]]:
    space = parse(tree, base)
    algorithm = OptunaAlgorithm(
        ["maximize"],
        space,
        Runs(base, space),
        lambda seed: optuna.samplers.RandomSampler(seed=seed),
        0,
        optuna.pruners.NopPruner(),
    )
    asked = [algorithm.suggest() for _ in range(count)]
    return [dict(each.params) for each in asked if isinstance(each, Suggestion)]


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


# Conditions on what has a condition itself, the child before its parent.
NESTED: dict[str, Any] = {
    "model": {
        "l1": {"low": 0.1, "high": 0.2, "when": {"model.dropout": 0.5}},
        "dropout": {"choices": [0.1, 0.5], "when": {"train.optimizer": "sgd"}},
    },
    "train": {
        "patience": {"low": 1, "high": 3, "when": {"train.learning_rate": None}},
        "learning_rate": {"choices": [None, 0.1], "when": {"train.optimizer": "sgd"}},
        "optimizer": ["sgd", "adam"],
    },
}


@pytest.mark.parametrize("oracle", [None, "random", "bayesian", "hyperband"])
def test_a_parent_that_does_not_count_takes_its_children_with_it(oracle: str | None) -> None:
    """Whatever the order in YAML; and where null is asked for, what does not count is not null."""
    chosen = () if oracle is None else ("engine=keras_tuner", f"oracle={oracle}")
    setup = setup_of("sampler=random", *chosen, space=NESTED)
    answer = setup.make_engine((), workers=1).ask(24)
    assert isinstance(answer, Suggestions)
    params = [each.params for each in answer.trials]
    for each in params:
        sgd = each["train.optimizer"] == "sgd"
        assert ("model.dropout" in each) == ("train.learning_rate" in each) == sgd
        assert ("model.l1" in each) == (each.get("model.dropout") == 0.5)
        assert ("train.patience" in each) == (sgd and each["train.learning_rate"] is None)
    seen = {path for each in params for path in each}
    assert seen == set(setup.space.dimensions)


def test_the_size_of_a_space_counts_what_counts() -> None:
    """Under adam one point; under sgd three of dropout and l1 by four of the rate and patience."""
    l1 = {"choices": [0.1, 0.2], "when": {"model.dropout": 0.5}}
    tree = {**NESTED, "model": {**NESTED["model"], "l1": l1}}
    assert setup_of(space=tree).space.size() == 1 + 3 * 4
    assert setup_of(space=NESTED).space.size() is None


def test_a_bound_below_two_conditions_is_refused_in_its_place(base: RunConfig) -> None:
    tree = {**NESTED, "model": {**NESTED["model"], "l1": {**NESTED["model"]["l1"], "low": -1.0}}}
    with pytest.raises(ConfigError, match=r"^study\.space\.model\.l1: expected 0 <= l1, got -1"):
        parse(tree, base)


def test_conditions_in_a_circle_are_refused(base: RunConfig) -> None:
    tree = {
        "model": {"dropout": {"choices": [0.1, 0.5], "when": {"train.optimizer": "sgd"}}},
        "train": {"optimizer": {"choices": ["sgd", "adam"], "when": {"model.dropout": 0.1}}},
    }
    with pytest.raises(ConfigError, match=r"model\.dropout\.when: depends on itself"):
        parse(tree, base)


@pytest.mark.parametrize("path", ["depth", "layer2"])
def test_layers_count_up_to_the_depth_and_under_no_other_condition(
    base: RunConfig, path: str
) -> None:
    when = {"when": {"train.optimizer": "sgd"}}
    tree = {
        "model": {
            "depth": LAYERED["depth"] | (when if path == "depth" else {}),
            "hidden_units": {
                layer: WIDTH | (when if path == layer else {}) for layer in LAYERED["hidden_units"]
            },
        },
        "train": {"optimizer": ["sgd", "adam"]},
    }
    with pytest.raises(ConfigError, match=rf"{path}\.when: .* under no other condition"):
        parse(tree, base)


def test_a_grid_takes_no_conditions(base: RunConfig) -> None:
    with pytest.raises(ConfigError, match="a grid takes no conditions"):
        parse({"train": MOMENTUM}, base).grid()
