"""Which settings decide what a metric means: every setting has its row, and the rows say what is measured."""

from collections.abc import Callable
from typing import get_args

import pytest

from pipeline.data import Dataset
from pipeline.run.comparable import EFFECTS, apart, measure, spoils
from pipeline.run.config import Metric, RunConfig
from pipeline.training.fit import train

METRICS = get_args(Metric)
OF_ROWS = {
    "data.name",
    "data.shuffle",
    "data.split_seed",
    "data.test_split",
    "train.validation_split",
}
COST = "objective.cost"
OF_LOSSES = {"model.l1", "model.l2", "train.loss"}


def test_every_setting_of_a_run_has_a_row_with_its_reason(
    run_config: Callable[..., RunConfig],
) -> None:
    """A setting that is new is decided here before any study can vary it."""
    assert not set(run_config().parameters()) - set(EFFECTS)
    assert all(effect.reason for effect in EFFECTS.values())


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_spoiled_by_other_rows_other_formulas_and_dropout_in_training(
    metric: str,
) -> None:
    spoiled = {path for path in EFFECTS if spoils(path, metric) is not None}
    expected = OF_ROWS | {path for path in EFFECTS if path.startswith("objective.")} - {COST}
    expected |= OF_LOSSES if "loss" in metric else set()
    expected |= set() if metric.startswith("val_") else {"model.dropout"}
    assert spoiled == expected


def test_runs_are_apart_where_a_setting_that_counts_differs() -> None:
    one = {"model.l2": "0.0", "train.epochs": "4", "data.name": "digits"}
    other = {**one, "model.l2": "0.1", "train.epochs": "8"}
    assert measure(one, "val_loss") == {"model.l2": "0.0", "data.name": "digits"}
    assert apart([one, one], "val_loss") == apart([one, other], "val_accuracy") == {}
    assert apart([one, other], "val_loss") == {"model.l2": "the penalty is a part of the loss"}
    assert apart([one, {"data.name": "digits"}], "val_loss") == {}  # it knew of no penalty yet


@pytest.mark.parametrize(
    ("setting", "loss_moves"),
    [("model.l2=0.1", True), ("train.loss=mse", True), ("model.depth=1", False)],
)
def test_what_spoils_a_loss_moves_it_at_once_and_leaves_accuracy_in_its_range(
    run_config: Callable[..., RunConfig], digits: Dataset, setting: str, loss_moves: bool
) -> None:
    """An untrained network, in effect: the loss is another number where nothing was learned."""
    quick = (
        "train.epochs=1",
        "train.batch_size=1437",
        "train.learning_rate=1e-9",
        "train.optimizer=sgd",
    )

    def first(*overrides: str) -> dict[str, float]:
        run = run_config(*quick, *overrides)
        (trained,) = train(run, digits.train_arrays, lambda _: False)
        (epoch,) = trained.history
        return dict(epoch.metrics)

    usual, other = (
        first("model.depth=1", "train.seed=1"),
        first("model.depth=1", "train.seed=1", setting),
    )
    assert (abs(usual["val_loss"] - other["val_loss"]) > 1) == loss_moves
    assert usual["val_accuracy"] == other["val_accuracy"]


def test_training_rows_are_scored_with_units_dropped(
    run_config: Callable[..., RunConfig], digits: Dataset
) -> None:
    """The same rows, scored as a network is used, look much better: that is why dropout spoils them."""
    run = run_config(
        "model.dropout=0.8", "model.hidden_units=128", "train.epochs=8", "train.batch_size=32"
    )
    *_, trained = train(run, digits.train_arrays, lambda _: False)
    scored = trained.loop.evaluate(digits.train_arrays.part(0, trained.examples))
    last = trained.history[-1].metrics
    assert scored.accuracy > last["accuracy"] + 0.1
    assert scored.loss < last["loss"]
