"""Configuration: what is refused, and in which words; what goes into an override comes out of it."""

from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.command.section import as_override, validated
from pipeline.run.config import METRICS, ObjectiveConfig, RunConfig
from pipeline.run.config import run_config as read_run_config
from pipeline.tracking.config import TrackingConfig
from tests.conftest import MakeRunConfig


def changed(run: RunConfig, **values: Any) -> RunConfig:
    """`run` checked again with other values: `model__depth=3`."""
    tree: dict[str, Any] = run.model_dump()
    for path, value in values.items():
        *sections, name = path.split("__")
        place = tree
        for section in sections:
            place = place[section]
        place[name] = value
    return validated(RunConfig, tree)


RULES = [
    ("model__hidden_units", 0, "expected >= 1", "0"),
    ("model__hidden_units", -3, "expected >= 1", "-3"),
    ("model__hidden_units", 1.5, "expected integer or list", "1.5"),
    ("model__hidden_units", "wide", "expected integer or list", "wide"),
    ("model__hidden_units", True, "expected integer or list", "true"),
    ("model__hidden_units", None, "expected integer or list", "null"),
    ("model__hidden_units", [8, 0], ">= 1", "[8,0]"),
    ("model__depth", -1, "0 <= depth <= 64", "-1"),
    ("model__depth", 65, "0 <= depth <= 64", "65"),
    ("model__depth", 2.0, "expected integer with 0 <= depth <= 64", "2.0"),
    ("model__depth", True, "expected integer", "true"),
    ("model__dropout", 1, "0 <= dropout < 1", "1"),
    ("model__dropout", -0.1, "0 <= dropout < 1", "-0.1"),
    ("model__dropout", "0.5", "expected number with 0 <= dropout < 1", "'0.5'"),
    ("model__dropout", None, "expected number", "null"),
    ("model__dropout", float("nan"), "expected a finite number", "nan"),
    ("model__activation", "rel", "'relu', 'sigmoid'", "rel (did you mean `relu`?)"),
    ("model__l1", -1e-9, "0 <= l1", "-1e-09"),
    ("model__l1", float("inf"), "expected a finite number", "inf"),
    ("model__l2", -1, "0 <= l2", "-1"),
    ("model__l2", float("inf"), "expected a finite number", "inf"),
    ("train__optimizer", "adm", "'sgd', 'rmsprop', 'adam'", "adm (did you mean `adam`?)"),
    ("train__optimizer", "SGD", "'muon' or 'schedulefreeadamw'", "SGD (did you mean `sgd`?)"),
    ("train__learning_rate", 0, "expected > 0", "0"),
    ("train__learning_rate", -0.1, "expected > 0", "-0.1"),
    ("train__learning_rate", "fast", "expected number", "fast"),
    ("train__learning_rate", float("inf"), "expected a finite number", "inf"),
    ("train__batch_size", 0, "1 <= batch_size", "0"),
    ("train__batch_size", 12.5, "expected integer", "12.5"),
    ("train__epochs", 0, "1 <= epochs", "0"),
    ("train__epochs", 1000.0, "expected integer with 1 <= epochs", "1000.0"),
    ("train__epochs", None, "expected integer", "null"),
    ("train__validation_split", 1, "0 <= validation_split < 1", "1"),
    ("train__validation_split", -0.2, "0 <= validation_split < 1", "-0.2"),
    ("train__loss", "hinge", "'categorical_crossentropy', 'binary_crossentropy' or 'mse'", "hinge"),
    ("train__patience", 0, "expected >= 1", "0"),
    ("train__patience", 1.5, "expected integer", "1.5"),
    ("train__min_delta", -0.01, "0 <= min_delta", "-0.01"),
    ("train__seed", -1, "0 <= seed < 4294967296", "-1"),
    ("train__seed", 2**32, "0 <= seed < 4294967296", "4294967296"),
    ("train__seed", None, "expected integer", "null"),
    ("train__weight_decay", -0.1, "expected >= 0", "-0.1"),
    ("train__weight_decay", float("inf"), "expected a finite number", "inf"),
    ("train__schedule", "cosin", "'none', 'cosine' or 'step'", "cosin (did you mean `cosine`?)"),
    ("train__warmup_epochs", -1, "0 <= warmup_epochs", "-1"),
    ("train__schedule_epochs", 0, "expected >= 1", "0"),
    ("objective__select", "first", "'best' or 'last'", "first"),
    ("objective__direction", "up", "'maximize' or 'minimize'", "up"),
    ("objective__metric", "", "at least 1 character", "''"),
    ("data__name", "cifar", "'mnist', 'digits' or 'npz'", "cifar"),
    ("data__path", "", "at least 1 character", "''"),
    ("data__path", 123, "expected string", "123"),
    ("data__scale", 1, "expected boolean", "1"),
    ("data__scale", "yes", "expected boolean", "yes"),
]


@pytest.mark.parametrize(("path", "value", "rule", "shown"), RULES)
def test_a_broken_rule_is_told_with_its_place_rule_and_value(
    run_config: MakeRunConfig, path: str, value: object, rule: str, shown: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(run_config(), **{path: value})
    message = str(raised.value)
    assert message.startswith(path.replace("__", ".") + ": ")
    assert rule in message
    assert message.endswith(f", got {shown}")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (
            {"model__hidden_units": [8, 4, 2]},
            ["model.hidden_units", "one number per layer", "got 3", "set model.depth=3"],
        ),
        ({"data__name": "npz"}, ["data=npz", "data.path=FILE.npz", "x_train"]),
        ({"data__path": "my.npz"}, ["data=digits", "takes no data.path"]),
        (
            {"objective__metric": "test_accuracy"},
            ["objective.metric", "must not steer", "got test_accuracy", "use val_accuracy"],
        ),
        (
            {"objective__metric": "test_anything"},
            ["objective.metric", "must not steer", "got test_anything"],
        ),
        (
            {"objective__metric": "val_acuracy"},
            ["objective.metric", ", ".join(METRICS), "got val_acuracy", "`val_accuracy`?"],
        ),
        (
            {"objective__metric": "val_loss"},
            ["objective.direction", "maximize", "worst val_loss", "objective.direction=minimize"],
        ),
        (
            {"objective__metric": "loss"},
            ["objective.direction", "worst loss", "objective.direction=minimize"],
        ),
        (
            {"objective__direction": "minimize"},
            ["objective.direction", "worst val_accuracy", "objective.direction=maximize"],
        ),
        (
            {"train__validation_split": 0},
            ["objective.metric", "val_accuracy", "validation_split is 0", "metric=accuracy"],
        ),
        (
            {"train__warmup_epochs": 20},
            ["train.warmup_epochs", "fewer than the 20 epochs of the schedule", "got 20"],
        ),
        (
            {"train__schedule": "step", "train__schedule_epochs": 19},
            ["train.schedule_epochs", "no fewer than train.epochs=20", "got 19"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_a_remedy(
    run_config: MakeRunConfig, values: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(run_config(), **values)
    for part in parts:
        assert part in str(raised.value)


def test_every_broken_rule_is_told_at_once(run_config: MakeRunConfig) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(run_config(), model__dropout=2, train__epochs=0, data__scale="no")
    places = [line.split(":")[0] for line in str(raised.value).splitlines()]
    assert sorted(places) == ["data.scale", "model.dropout", "train.epochs"]


def test_an_unknown_key_is_refused_with_the_nearest_known_one(run_config: MakeRunConfig) -> None:
    with pytest.raises(ConfigError, match=r"^model.droput: no such setting .*`model.dropout`"):
        changed(run_config(), model__droput=0.1)


def test_a_missing_key_is_told_by_its_place(run_config: MakeRunConfig) -> None:
    tree = run_config().model_dump()
    del tree["train"]["epochs"]
    with pytest.raises(ConfigError, match=r"^train.epochs: is missing$"):
        validated(RunConfig, tree)


TRACKING = {"name": "none", "uri": None, "report_seconds": None, "keep_models": 3}


def test_the_place_of_a_section_is_put_before_its_keys() -> None:
    with pytest.raises(ConfigError, match=r"^tracking.url: no such setting .*`tracking.uri`"):
        validated(TrackingConfig, {**TRACKING, "url": "x"}, "tracking")


def test_tracking_by_mlflow_needs_a_uri() -> None:
    with pytest.raises(ConfigError, match=r"tracking.uri: is missing .*sqlite:///mlflow.db"):
        validated(TrackingConfig, {**TRACKING, "name": "mlflow"}, "tracking")


def test_zero_is_a_value_and_none_is_absent(run_config: MakeRunConfig) -> None:
    run = changed(
        run_config(),
        train__seed=0,
        model__dropout=0,
        model__depth=0,
        train__min_delta=0,
        train__learning_rate=None,
        train__patience=None,
    )
    assert run.train.seed == 0
    assert run.model.dropout == 0
    assert run.model.depth == 0
    assert run.model.layers == ()
    assert run.train.learning_rate is None
    assert run.train.patience is None


def test_bounds_that_belong_to_a_range_are_accepted(run_config: MakeRunConfig) -> None:
    run = changed(run_config(), model__depth=64, train__seed=2**32 - 1, model__dropout=0.999)
    assert (run.model.depth, run.train.seed, run.model.dropout) == (64, 2**32 - 1, 0.999)


def test_without_validation_rows_a_training_metric_can_be_the_objective(
    run_config: MakeRunConfig,
) -> None:
    run = changed(run_config(), train__validation_split=0, objective__metric="accuracy")
    assert run.objective.metric == "accuracy"


def test_a_configuration_is_frozen(run_config: MakeRunConfig) -> None:
    run = run_config()
    with pytest.raises(ValueError, match="frozen"):
        run.model.dropout = 0.5  # type: ignore[misc]


def test_layers_are_the_units_of_each_hidden_layer(run_config: MakeRunConfig) -> None:
    assert changed(run_config(), model__hidden_units=7, model__depth=3).model.layers == (7, 7, 7)
    assert changed(run_config(), model__hidden_units=[9, 5]).model.layers == (9, 5)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"train__learning_rate": 1e-05, "train__patience": 3, "train__min_delta": 1e-10},
        {"model__hidden_units": [64, 32], "model__dropout": 0.1 + 0.2},
        {"model__hidden_units": [], "model__depth": 0},
        {"model__hidden_units": [5], "model__depth": 1, "data__scale": False},
        {"train__seed": 0, "train__learning_rate": 1.0, "model__l2": 1e22},
        {"data__name": "mnist", "data__path": "/data/sets/mnist-1.0.npz"},
        {"data__name": "mnist", "data__path": "~/my sets/it's (mine), a=b {1} [2]; é.npz"},
        {"data__name": "mnist", "data__path": "123"},
        {"data__name": "mnist", "data__path": "null"},
        {"data__name": "mnist", "data__path": " padded "},
        {
            "objective__metric": "loss",
            "objective__direction": "minimize",
            "objective__select": "last",
            "train__validation_split": 0.0,
        },
    ],
)
def test_parameters_pasted_back_as_overrides_give_an_equal_run(
    run_config: MakeRunConfig, values: dict[str, Any]
) -> None:
    run = changed(run_config(), **values)
    overrides = [f"{path}={text}" for path, text in run.parameters().items()]
    assert read_run_config(compose(overrides)) == run


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1e-05, "1e-05"),
        ((1, 2), "[1,2]"),
        ([None, True], "[null,true]"),
        ("relu", "relu"),
        ("a b", "'a b'"),
    ],
)
def test_as_override_writes_what_a_person_would_type(value: object, text: str) -> None:
    assert as_override(value) == text


def test_parameters_are_named_by_override_paths(run_config: MakeRunConfig) -> None:
    parameters = run_config("model.dropout=0.3").parameters()
    assert parameters["model.dropout"] == "0.3"
    assert parameters["train.learning_rate"] == "null"
    assert parameters["data.name"] == "digits"
    assert parameters["objective.metric"] == "val_accuracy"


def objective(direction: str, select: str = "best") -> ObjectiveConfig:
    metric = "val_accuracy" if direction == "maximize" else "val_loss"
    return validated(
        ObjectiveConfig, {"metric": metric, "direction": direction, "select": select}, "objective"
    )


@pytest.mark.parametrize(
    ("direction", "select", "values", "epoch"),
    [
        ("maximize", "best", {1: 0.1, 2: 0.3, 3: 0.2}, 2),
        ("minimize", "best", {1: 0.1, 2: 0.3, 3: 0.05}, 3),
        ("maximize", "best", {1: 0.1, 2: 0.3, 3: 0.3}, 2),
        ("minimize", "best", {3: 0.1, 2: 0.1, 1: 0.2}, 2),
        ("maximize", "last", {1: 0.9, 2: 0.3, 3: 0.2}, 3),
        ("minimize", "last", {1: 0.1, 2: 0.3, 3: 0.2}, 3),
    ],
)
def test_best_is_the_first_of_equals_and_last_is_the_last(
    direction: str, select: str, values: dict[int, float], epoch: int
) -> None:
    assert objective(direction, select).select_epoch(values) == epoch


@pytest.mark.parametrize(
    ("direction", "value", "than", "by", "better"),
    [
        ("maximize", 0.0, None, 0.0, True),
        ("minimize", 9.0, None, 5.0, True),
        ("maximize", 0.5, 0.4, 0.0, True),
        ("maximize", 0.4, 0.5, 0.0, False),
        ("maximize", 0.5, 0.5, 0.0, False),
        ("minimize", 0.4, 0.5, 0.0, True),
        ("minimize", 0.5, 0.4, 0.0, False),
        ("minimize", 0.5, 0.5, 0.0, False),
        ("maximize", 0.5, 0.25, 0.25, False),
        ("maximize", 0.5, 0.25, 0.125, True),
        ("minimize", 0.25, 0.5, 0.25, False),
        ("minimize", 0.25, 0.5, 0.125, True),
    ],
)
def test_better_means_by_more_than_the_margin(
    direction: str, value: float, than: float | None, by: float, better: bool
) -> None:
    assert objective(direction).better(value, than, by) is better
