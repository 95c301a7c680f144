"""The search space: what is accepted, what is refused and with which words, and how values travel."""

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.run.config import run_config
from search.study.parse import parse
from search.study.space import Choices, Range, Space, encode, fixed

BASE = run_config(compose(["data=digits"]))


def refusal(tree: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(tree, BASE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        pytest.param(
            {"model": {"dropuot": [0.1]}},
            "study.space.model.dropuot: no such setting to vary (did you mean `model.dropout`?)",
            id="unknown key",
        ),
        pytest.param(
            {"data": {"scale": [True, False]}},
            "study.space.data.scale: no such setting to vary",
            id="a section that is not searched",
        ),
        pytest.param(
            {"train": {"lr": {"low": 0.1, "high": 1.0}}},
            "study.space.train.lr: no such setting to vary",
            id="unknown range",
        ),
        pytest.param(
            {"train": {"validation_split": [0.1, 0.2]}},
            "study.space.train.validation_split: can't vary, as trials compare only on the same rows",
            id="the rows that trials compare on",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.5, "high": 0.1}}},
            "study.space.model.dropout: expected low <= high, got low=0.5 high=0.1",
            id="low above high",
        ),
        pytest.param(
            {"model": {"l2": {"low": 0.0, "high": 0.1, "log": True}}},
            "study.space.model.l2: expected low > 0 with log=true, got low=0.0",
            id="log from zero",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0, "high": 0.5, "step": 0.2}}},
            "study.space.model.dropout: expected a step that leads from low=0.0 to high=0.5, "
            "got step=0.2 (set high=0.4)",
            id="step that does not fit",
        ),
        pytest.param(
            {"model": {"depth": {"low": 1, "high": 4, "step": 2}}},
            "study.space.model.depth: expected a step that leads from low=1 to high=4, "
            "got step=2 (set high=3)",
            id="integer step that does not fit",
        ),
        pytest.param(
            {"model": {"l2": {"low": 0.1, "high": 0.5, "step": 0.1, "log": True}}},
            "study.space.model.l2: expected either step or log=true, got both",
            id="step and log",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0, "high": 0.5, "step": 0}}},
            "study.space.model.dropout.step: expected > 0, got 0",
            id="step of zero",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0}}},
            "study.space.model.dropout: expected low and high, got {low: 0.0}",
            id="half a range",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0, "high": 0.5, "stpe": 0.1}}},
            "study.space.model.dropout.stpe: no such setting (did you mean "
            "`study.space.model.dropout.step`?)",
            id="unknown key in a range",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0, "high": float("inf")}}},
            "study.space.model.dropout.high: expected",
            id="infinite bound",
        ),
        pytest.param(
            {"train": {"optimizer": []}},
            "study.space.train.optimizer: expected at least one choice, got an empty list",
            id="no choices",
        ),
        pytest.param(
            {"train": {"optimizer": ["adam", "sgd", "adam"]}},
            "study.space.train.optimizer: expected different choices, got [adam,sgd,adam]",
            id="repeated choice",
        ),
        pytest.param(
            {"model": {"hidden_units": [[64, 32], [64, 32]]}},
            "study.space.model.hidden_units: expected different choices, got [[64,32],[64,32]]",
            id="repeated list",
        ),
        pytest.param(
            {"train": {"optimizer": {"low": 0, "high": 1}}},
            "study.space.train.optimizer: takes a list of choices, not a range",
            id="range of names",
        ),
        pytest.param(
            {"model": {"depth": {"low": 1.0, "high": 3.5}}},
            "study.space.model.depth: expected whole numbers, got 1.0 .. 3.5",
            id="float bounds of an integer",
        ),
        pytest.param(
            {"train": {"batch_size": {"low": 16, "high": 64, "step": 0.5}}},
            "study.space.train.batch_size: expected whole numbers, got 16 .. 64 step 0.5",
            id="float step of an integer",
        ),
        pytest.param(
            {"model": {"dropout": 0.3}},
            "study.space.model.dropout: expected a list of choices or {low: ..., high: ...}, got 0.3",
            id="a plain value",
        ),
        pytest.param(
            {"model": {"dropout": {"low": 0.0, "high": 1.0}}},
            "study.space.model.dropout: expected 0 <= dropout < 1, got 1.0",
            id="bound that the field refuses",
        ),
        pytest.param(
            {"train": {"optimizer": ["adam", "adan"]}},
            "study.space.train.optimizer: expected",
            id="choice that the field refuses",
        ),
        pytest.param(
            {"model": {"dropout": [0.1, "high"]}},
            "study.space.model.dropout: expected",
            id="choice of another type",
        ),
        pytest.param(
            {"model": {"hidden_units": [[64, 32], [64, 32, 16]]}},
            "study.space.model.hidden_units: a list has one number per layer, got 3 with "
            "model.depth=2",
            id="choice that the base refuses",
        ),
        pytest.param(
            {"model": {"hidden_units": [64, [64, 32]], "depth": [2, 1]}},
            "study.space: model.hidden_units=[64,32] with model.depth=1 is refused: "
            "model.hidden_units: a list has one number per layer",
            id="two fields that do not fit together",
        ),
        pytest.param({}, "study.space: is empty", id="empty space"),
        pytest.param({"model": {}}, "study.space: is empty", id="empty section"),
    ],
)
def test_a_space_that_breaks_a_rule_is_refused_with_its_place(
    tree: dict[str, Any], message: str
) -> None:
    assert refusal(tree).startswith(message)


def test_all_faults_of_a_space_are_told_at_once() -> None:
    lines = refusal(
        {
            "model": {"dropout": {"low": 0.5, "high": 0.1}, "dept": [1, 2]},
            "train": {"optimizer": []},
        }
    ).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "study.space.model.dropout",
        "study.space.model.dept",
        "study.space.train.optimizer",
    ]


def test_a_space_keeps_the_paths_and_order_of_the_configuration() -> None:
    space = parse(
        {
            "train": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
            "model": {"depth": {"low": 1, "high": 3}, "dropout": {"low": 0, "high": 0.5}},
        },
        BASE,
    )
    assert list(space.dimensions.items()) == [
        ("train.learning_rate", Range(low=1e-4, high=1e-2, log=True)),
        ("model.depth", Range(low=1, high=3, integer=True)),
        ("model.dropout", Range(low=0, high=0.5)),
    ]
    assert space.describe() == {
        "train.learning_rate": "0.0001 .. 0.01 log",
        "model.depth": "1 .. 3",
        "model.dropout": "0.0 .. 0.5",
    }


def test_choices_that_are_lists_survive_the_trial_table() -> None:
    space = parse({"model": {"hidden_units": [[512, 256], [128, 64]]}}, BASE)
    path = "model.hidden_units"
    stored = space.grid()[path]
    assert all(isinstance(value, str) for value in stored)
    assert [space.decode(path, value) for value in stored] == [(512, 256), (128, 64)]
    assert space.apply(BASE, {path: stored[1]}).model.hidden_units == (128, 64)


def test_null_is_a_choice() -> None:
    space = parse({"train": {"learning_rate": [None, 0.01], "patience": [None, 2]}}, BASE)
    run = space.apply(BASE, {"train.learning_rate": encode(None), "train.patience": encode(None)})
    assert run.train.learning_rate is None
    assert run.train.patience is None
    assert space.apply(BASE, {"train.learning_rate": 0.01}).train.learning_rate == 0.01


def test_a_whole_number_chosen_for_a_float_is_one() -> None:
    options = parse({"model": {"l2": [0, 0.5]}}, BASE).dimensions["model.l2"]
    assert isinstance(options, Choices)
    assert list(map(repr, options.options)) == ["0.0", "0.5"]


def test_apply_changes_what_it_is_given_and_nothing_else() -> None:
    space = parse(
        {
            "model": {"dropout": {"low": 0.0, "high": 0.5}},
            "train": {"optimizer": ["adam", "sgd"], "batch_size": {"low": 16, "high": 64}},
        },
        BASE,
    )
    params = {"model.dropout": 0.25, "train.optimizer": "sgd", "train.batch_size": 48}
    run = space.apply(BASE, params)
    changed = {
        path: (BASE.parameters()[path], text)
        for path, text in run.parameters().items()
        if text != BASE.parameters()[path]
    }
    assert changed == {
        "model.dropout": ("0.0", "0.25"),
        "train.optimizer": ("adam", "sgd"),
        "train.batch_size": ("128", "48"),
    }


def test_apply_refuses_what_the_configuration_refuses() -> None:
    space = Space({"model.dropout": Range(low=0.0, high=2.0)})
    with pytest.raises(ConfigError, match=r"model\.dropout: expected 0 <= dropout < 1, got 1\.5"):
        space.apply(BASE, {"model.dropout": 1.5})


def test_a_grid_has_every_step_and_every_choice() -> None:
    space = parse(
        {
            "model": {
                "depth": {"low": 1, "high": 3},
                "dropout": {"low": 0.0, "high": 0.3, "step": 0.1},
            },
            "train": {
                "optimizer": ["adam", "sgd"],
                "batch_size": {"low": 8, "high": 24, "step": 8},
            },
        },
        BASE,
    )
    assert space.grid() == {
        "model.depth": [1, 2, 3],
        "model.dropout": [0.0, 0.1, 0.2, 0.3],
        "train.optimizer": ["adam", "sgd"],
        "train.batch_size": [8, 16, 24],
    }


@pytest.mark.parametrize(
    ("section", "name", "leaf"),
    [
        ("model", "dropout", {"low": 0.0, "high": 0.5}),
        ("train", "learning_rate", {"low": 1e-4, "high": 1e-2, "log": True}),
    ],
)
def test_a_grid_without_end_is_refused(section: str, name: str, leaf: dict[str, Any]) -> None:
    space = parse({section: {name: leaf}}, BASE)
    with pytest.raises(ConfigError, match=rf"study.space.{section}.{name}: a grid needs a step"):
        space.grid()


def test_fixed_is_all_that_does_not_vary() -> None:
    space = parse({"model": {"dropout": [0.1, 0.2]}}, BASE)
    everything = BASE.parameters()
    assert everything.pop("model.dropout") == "0.0"
    assert fixed(BASE, space) == everything
