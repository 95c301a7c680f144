"""Training: the same configuration gives the same numbers; where it stops; whose weights it keeps."""

import math
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.config import METRICS, RunConfig
from pipeline.data import Arrays, Dataset, validation_start
from pipeline.result import DivergedError, EpochMetrics
from pipeline.training import Trained, train
from tests.conftest import MakeRunConfig

SMALL = ("model.hidden_units=16", "model.depth=1", "train.batch_size=32", "train.epochs=2")
SOFTMAX = (*SMALL, "model.depth=0")  # where the network doesn't matter: quicker to trace
QUICKEST = (*SOFTMAX, "train.validation_split=0", "objective.metric=accuracy")
GOLDEN = {"loss": 2.13876, "accuracy": 415 / 1149, "val_loss": 1.89755, "val_accuracy": 180 / 288}


def never(_: EpochMetrics) -> bool:
    return False


def curves(trained: Trained) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for epoch in trained.history]


def validation(run: RunConfig, rows: Arrays) -> Arrays:
    return rows.part(validation_start(len(rows.inputs), run.train.validation_split), len(rows[0]))


def rescored(trained: Trained, rows: Arrays) -> dict[str, float]:
    scores: dict[str, float] = trained.model.evaluate(*rows, verbose=0, return_dict=True)
    return scores


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`scripted([0.5, 0.6])`: accuracy of each epoch as it is told to the callbacks.

    A real curve that falls, stalls and rises where a test needs it to can't be had otherwise.
    """

    def script(values: list[float]) -> None:
        original = keras.callbacks.CallbackList.on_epoch_end

        def on_epoch_end(self: Any, epoch: int, logs: dict[str, float] | None = None) -> None:
            original(self, epoch, {**(logs or {}), "accuracy": values[epoch]})

        monkeypatch.setattr(keras.callbacks.CallbackList, "on_epoch_end", on_epoch_end)

    return script


def test_the_same_configuration_gives_bit_identical_curves_and_weights(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, "model.dropout=0.3", "train.seed=0")
    first = train(run, digits.train_arrays, never)
    keras.utils.set_random_seed(99)  # whatever ran in between
    second = train(run, digits.train_arrays, never)
    assert curves(first) == curves(second)
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    third = train(
        run_config(*SMALL, "model.dropout=0.3", "train.seed=1"), digits.train_arrays, never
    )
    assert curves(first) != curves(third)
    assert not np.array_equal(first.model.get_weights()[0], third.model.get_weights()[0])


def test_one_epoch_on_the_digits_gives_the_recorded_metrics(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    """Pins data, split, shuffling, initialization, optimizer and loss all at once.

    Other processors add floats in another order, so the losses are held to 1e-3 and not to the bit;
    an accuracy may then differ by one row of the 1,149 or of the 288.
    """
    run = run_config("model.hidden_units=64", "train.batch_size=32", "train.epochs=1")
    trained = train(run, digits.train_arrays, never)
    metrics = trained.history[0].metrics
    assert metrics["loss"] == pytest.approx(GOLDEN["loss"], abs=1e-3)
    assert metrics["val_loss"] == pytest.approx(GOLDEN["val_loss"], abs=1e-3)
    assert metrics["accuracy"] == pytest.approx(GOLDEN["accuracy"], abs=1.5 / 1149)
    assert metrics["val_accuracy"] == pytest.approx(GOLDEN["val_accuracy"], abs=1.5 / 288)


def test_every_epoch_is_reported_once_and_kept_in_order(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    seen: list[EpochMetrics] = []

    def on_epoch(epoch: EpochMetrics) -> bool:
        seen.append(epoch)
        return False

    trained = train(run_config(*SOFTMAX, "train.epochs=3"), digits.train_arrays, on_epoch)
    assert tuple(seen) == trained.history
    assert [epoch.epoch for epoch in seen] == [1, 2, 3]
    assert all(set(epoch.metrics) == set(METRICS) for epoch in seen)
    finished = [epoch.finished_at for epoch in seen]
    assert finished == sorted(finished)
    assert trained.stop == "completed"
    assert trained.examples == 1149
    assert sum(epoch.seconds for epoch in seen) <= trained.train_seconds


def test_the_last_fraction_of_the_rows_is_held_out(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    rows = digits.train_arrays
    run = run_config(*SOFTMAX, "train.validation_split=0.25")
    start = validation_start(len(rows.inputs), 0.25)
    changed = Arrays(rows.inputs, rows.targets.copy())
    changed.targets[start:] = np.roll(changed.targets[start:], 1, axis=1)  # wrong labels
    as_is, relabelled = (train(run, part, never) for part in (rows, changed))
    # What is held out changes what is measured on it and nothing of what is learned.
    assert as_is.examples == start
    for name in ("loss", "accuracy"):
        assert relabelled.history[-1].metrics[name] == as_is.history[-1].metrics[name]
    assert relabelled.history[-1].metrics["val_accuracy"] < 0.5


def test_without_a_validation_part_all_rows_train_and_nothing_is_validated(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*QUICKEST)
    trained = train(run, digits.train_arrays, never)
    assert trained.examples == len(digits.train)
    assert set(trained.history[0].metrics) == {"loss", "accuracy"}


# A rate this high makes the validation loss jump, so that the last epoch is not the best.
JUMPY = ("train.epochs=4", "train.learning_rate=0.3")


@pytest.fixture(scope="module")
def jumpy(run_config: MakeRunConfig, digits: Dataset) -> Trained:
    return train(run_config(*SMALL, *JUMPY, "objective.select=last"), digits.train_arrays, never)


def test_select_last_ends_with_the_weights_of_the_last_epoch(
    run_config: MakeRunConfig, digits: Dataset, jumpy: Trained
) -> None:
    assert jumpy.best_epoch == 4
    scores = rescored(jumpy, validation(run_config(), digits.train_arrays))
    assert scores["loss"] == pytest.approx(jumpy.history[-1].metrics["val_loss"], rel=1e-5)


def test_select_best_ends_with_the_weights_of_the_best_epoch(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    by_loss = ("objective.metric=val_loss", "objective.direction=minimize")
    trained = train(run_config(*SMALL, *JUMPY, *by_loss), digits.train_arrays, never)
    losses = [epoch.metrics["val_loss"] for epoch in trained.history]
    assert trained.best_epoch == 1 + int(np.argmin(losses))
    assert trained.best_epoch < 4, losses
    scores = rescored(trained, validation(run_config(), digits.train_arrays))
    assert scores["loss"] == pytest.approx(min(losses), rel=1e-5)
    best = trained.history[trained.best_epoch - 1].metrics
    assert scores["accuracy"] == pytest.approx(best["val_accuracy"])


@pytest.mark.parametrize(
    ("settings", "values", "epochs", "best"),
    [
        # two epochs without improvement after the second
        (["train.patience=2"], [0.5, 0.6, 0.6, 0.55, 0.9, 0.9], 4, 2),
        # an improvement starts the count again
        (["train.patience=2"], [0.5, 0.4, 0.6, 0.5, 0.5, 0.9], 5, 3),
        # gains within min_delta are no improvement, but the best of them is still the best
        (["train.patience=2", "train.min_delta=0.125"], [0.5, 0.5625, 0.625, 0.9, 0.9, 0.9], 3, 3),
    ],
)
def test_training_stops_where_patience_is_out(
    run_config: MakeRunConfig,
    digits: Dataset,
    scripted: Any,
    settings: list[str],
    values: list[float],
    epochs: int,
    best: int,
) -> None:
    scripted(values)
    run = run_config(*QUICKEST, "train.epochs=6", *settings)
    trained = train(run, digits.train_arrays.part(0, 64), never)
    assert (trained.stop, len(trained.history)) == ("early_stopped", epochs)
    assert trained.best_epoch == best


def test_without_patience_training_never_stops_early(
    run_config: MakeRunConfig, digits: Dataset, scripted: Any
) -> None:
    scripted([0.9, 0.1, 0.1, 0.1, 0.1, 0.1])
    run = run_config(*QUICKEST, "train.epochs=6", "train.patience=null")
    trained = train(run, digits.train_arrays.part(0, 64), never)
    assert (trained.stop, len(trained.history), trained.best_epoch) == ("completed", 6, 1)


def test_a_metric_that_is_not_finite_fails_the_run_with_its_name_and_epoch(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, "train.optimizer=sgd", "train.learning_rate=1e30", "train.loss=mse")
    told: list[EpochMetrics] = []

    def on_epoch(epoch: EpochMetrics) -> bool:
        told.append(epoch)
        return False

    with pytest.raises(DivergedError, match=r"^loss is nan at epoch 1$"):
        train(run, digits.train_arrays, on_epoch)
    assert told == [], "an epoch that diverged is no measurement"


def test_the_epoch_of_divergence_is_told(
    run_config: MakeRunConfig, digits: Dataset, scripted: Any
) -> None:
    scripted([0.5, 0.6, math.inf])
    run = run_config(*QUICKEST, "train.epochs=5")
    with pytest.raises(DivergedError, match=r"^accuracy is inf at epoch 3$"):
        train(run, digits.train_arrays.part(0, 64), never)


def test_pruning_stops_there_and_keeps_what_was_measured(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SOFTMAX, "train.epochs=5")
    trained = train(run, digits.train_arrays, lambda epoch: epoch.epoch == 2)
    assert (trained.stop, len(trained.history)) == ("pruned", 2)
    value = trained.history[trained.best_epoch - 1].metrics["val_accuracy"]
    scores = rescored(trained, validation(run, digits.train_arrays))
    assert scores["accuracy"] == pytest.approx(value)


@pytest.mark.parametrize(
    ("optimizer", "keras_class"),
    [
        ("sgd", keras.optimizers.SGD),
        ("rmsprop", keras.optimizers.RMSprop),
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("nadam", keras.optimizers.Nadam),
        ("adagrad", keras.optimizers.Adagrad),
    ],
)
def test_every_optimizer_learns_at_its_own_default_rate(
    run_config: MakeRunConfig,
    digits: Dataset,
    optimizer: str,
    keras_class: type[keras.optimizers.Optimizer],
) -> None:
    run = run_config(*QUICKEST, f"train.optimizer={optimizer}", "train.learning_rate=null")
    trained = train(run, digits.train_arrays, never)
    assert type(trained.model.optimizer) is keras_class
    assert float(trained.model.optimizer.learning_rate) == float(keras_class().learning_rate)
    assert trained.history[1].metrics["loss"] < trained.history[0].metrics["loss"]


def test_a_given_learning_rate_is_used(jumpy: Trained) -> None:
    assert float(jumpy.model.optimizer.learning_rate) == pytest.approx(0.3)


def test_the_loss_is_the_one_that_was_asked_for_and_the_penalty(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    """The mean squared error; `test_one_epoch_...` above pins the cross-entropy."""
    run = run_config(*SMALL, "train.loss=mse", "model.l2=0.01")
    trained = train(run, digits.train_arrays, never)
    inputs, targets = validation(run, digits.train_arrays)
    outputs = np.asarray(trained.model(inputs), np.float64)
    kernels = [np.asarray(weight) for weight in trained.model.get_weights() if weight.ndim == 2]
    penalty = 0.01 * sum(float((kernel.astype(np.float64) ** 2).sum()) for kernel in kernels)
    found = trained.history[trained.best_epoch - 1].metrics["val_loss"]
    assert found == pytest.approx(((outputs - targets) ** 2).mean() + penalty, rel=1e-4)


def test_a_last_batch_that_is_not_full_is_trained_on(jumpy: Trained) -> None:
    assert jumpy.examples == 1149
    assert int(jumpy.model.optimizer.iterations) == 4 * 36  # epochs of 35 x 32 and 29 rows
