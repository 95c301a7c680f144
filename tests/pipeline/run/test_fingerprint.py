"""Which configurations are one run, and which are two."""

from collections.abc import Callable
from typing import get_args

import pytest

from pipeline.run.config import OptimizerName, RunConfig
from pipeline.run.fingerprint import default_rate, fingerprint

LISTS = "model.hidden_units=[64,64]"

SAME = {
    "a width for all layers": ("model.hidden_units=64", LISTS),
    "a rate of null": ("train.learning_rate=null", "train.learning_rate=0.001"),
    "another optimizer's": (
        "train.optimizer=sgd train.learning_rate=null",
        "train.optimizer=sgd train.learning_rate=0.01",
    ),
    "dropout without layers": (
        "model.depth=0 model.dropout=0.0",
        "model.depth=0 model.dropout=0.5",
    ),
    "width without layers": ("model.depth=0", "model.depth=0 model.hidden_units=8"),
    "activation without layers": ("model.depth=0", "model.depth=0 model.activation=tanh"),
    "a patience that is never out": ("train.patience=null", "train.patience=4"),
    "min_delta without patience": ("train.min_delta=0.0", "train.min_delta=0.1"),
    "a decay of null": ("train.weight_decay=null", "train.weight_decay=0.0"),
    "adamw's own decay": (
        "train.optimizer=adamw",
        "train.optimizer=adamw train.weight_decay=0.004",
    ),
    "a length without a schedule": ("train.schedule_epochs=null", "train.schedule_epochs=9"),
    "a schedule over all epochs": (
        "train.schedule=cosine",
        "train.schedule=cosine train.schedule_epochs=5",
    ),
    "a number that is written as a whole one": ("model.l2=0.0", "model.l2=0"),
    "where the data lies": ("data=npz data.path=a.npz", "data=npz data.path=b.npz"),
}
OTHER = {
    "width": ("model.hidden_units=64", "model.hidden_units=[64,32]"),
    "dropout": ("model.dropout=0.0", "model.dropout=0.1"),
    "penalty without layers": ("model.depth=0 model.l2=0.0", "model.depth=0 model.l2=0.1"),
    "a rate that is another optimizer's": (
        "train.optimizer=sgd train.learning_rate=null",
        "train.optimizer=sgd train.learning_rate=0.001",
    ),
    "a patience that may be out": ("train.patience=null", "train.patience=3"),
    "min_delta": (
        "train.patience=2 train.min_delta=0.0",
        "train.patience=2 train.min_delta=0.1",
    ),
    "decay": ("train.weight_decay=0.0", "train.weight_decay=0.1"),
    "adamw without decay": ("train.optimizer=adamw", "train.optimizer=adamw train.weight_decay=0"),
    "schedule": ("train.schedule=cosine", "train.schedule=step"),
    "warm-up": ("train.warmup_epochs=0", "train.warmup_epochs=1"),
    "length of a schedule": ("train.schedule=step", "train.schedule=step train.schedule_epochs=6"),
    "seed": ("train.seed=0", "train.seed=1"),
    "batch size": ("train.batch_size=32", "train.batch_size=64"),
    "momentum": (
        "train.optimizer=sgd train.momentum=0.0",
        "train.optimizer=sgd train.momentum=0.5",
    ),
    "epochs": ("train.epochs=5", "train.epochs=6"),
    "precision": ("train.precision=float32", "train.precision=mixed_bfloat16"),
    "loop": ("train.loop=auto", "train.loop=keras"),
    "split": ("data.test_split=null", "data.test_split=0.5"),
    "which epoch counts": ("objective.select=best", "objective.select=last"),
}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        *(pytest.param(*pair, True, id=name) for name, pair in SAME.items()),
        *(pytest.param(*pair, False, id=name) for name, pair in OTHER.items()),
    ],
)
def test_two_configurations_are_one_run_where_they_train_to_the_same_numbers(
    run_config: Callable[..., RunConfig], one: str, other: str, alike: bool
) -> None:
    fixed = ("model.depth=2", "train.epochs=5", "train.optimizer=adam")
    first, second = (fingerprint(run_config(*fixed, *each.split())) for each in (one, other))
    assert (first == second) == alike


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_a_rate_of_null_is_the_one_that_keras_takes(optimizer: OptimizerName) -> None:
    import keras

    classes = {name.lower(): cls for name, cls in vars(keras.optimizers).items()}
    assert float(classes[optimizer]().learning_rate) == pytest.approx(default_rate(optimizer))
