"""Training: the same configuration gives the same numbers; where it stops; whose weights it keeps."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.data import Arrays, Dataset, validation_start
from pipeline.network.loop import Scores
from pipeline.network.model import build
from pipeline.run.config import METRICS, RunConfig
from pipeline.run.result import DivergedError, EpochMetrics, OnEpoch, State, Weights
from pipeline.training.fit import Trained, train
from tests.conftest import MakeRunConfig

SMALL = ("model.hidden_units=64", "model.depth=1", "train.batch_size=32", "train.epochs=2")
GOLDEN = {"loss": 2.13198, "accuracy": 333 / 1149, "val_loss": 1.89428, "val_accuracy": 156 / 288}


def never(_: EpochMetrics) -> bool:
    return False


def curves(trained: Trained) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for epoch in trained.history]


def validation(run: RunConfig, rows: Arrays) -> Arrays:
    return rows.part(validation_start(len(rows.inputs), run.train.validation_split), len(rows[0]))


def outputs(run: RunConfig, weights: Weights, inputs: Any) -> Any:
    """What a network with `weights` makes of `inputs`, computed by Keras outside of any loop."""
    model = build(run.model, inputs.shape[1:], 10)
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return np.asarray(model(inputs), np.float64)


def cross_entropy(probabilities: Any, targets: Any) -> float:
    return float(-np.log((probabilities * targets).sum(axis=1)).mean())


class ScriptedLoop:
    """A loop that only tells accuracies: epoch n has `accuracies[n - 1]` and the weights [n].

    A real curve that falls, stalls and rises where a test needs it to can't be had otherwise.
    """

    name = "scripted"

    def __init__(self, accuracies: list[float]) -> None:
        self._accuracies = accuracies
        self._weights = [np.zeros(())]
        self._epoch = 0

    def end(self) -> None: ...

    def begin(self, run: RunConfig, model: keras.Model, rows: int) -> None:
        """Nothing to take over."""

    def epoch(self, rows: Arrays, order: Any) -> Scores:
        self._epoch += 1
        self._weights = [np.array(float(self._epoch))]
        return Scores(0.5, self._accuracies[self._epoch - 1])

    def evaluate(self, rows: Arrays) -> Scores:
        raise AssertionError("there is no validation part")

    def weights(self) -> Weights:
        return list(self._weights)

    def load_weights(self, weights: Weights) -> None:
        self._weights = list(weights)

    def state(self) -> Weights:
        return [*self._weights, np.array(self._epoch)]

    def load_state(self, state: Weights) -> None:
        raise AssertionError("nothing goes on from anywhere")


def last(stages: Iterator[Trained]) -> Trained:
    """What the whole run comes to."""
    *_, trained = stages
    return trained


@pytest.fixture
def scripted(
    run_config: MakeRunConfig, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Trained]:
    """`scripted([0.5, 0.6], "train.patience=2")`: a run with these accuracies, maximized."""

    def run_script(
        accuracies: list[float],
        *settings: str,
        start: State | None = None,
        on_epoch: OnEpoch = never,
    ) -> Trained:
        monkeypatch.setattr("pipeline.training.fit.loop_for", lambda *_: ScriptedLoop(accuracies))
        alone = ("train.validation_split=0", "objective.metric=accuracy")
        run = run_config(*alone, f"train.epochs={len(accuracies)}", *settings)
        return last(train(run, digits.train_arrays, on_epoch, start))

    return run_script


def test_the_same_configuration_gives_bit_identical_curves_and_weights(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    settings = (*SMALL, "model.dropout=0.3")
    run = run_config(*settings, "train.seed=0")
    first = last(train(run, digits.train_arrays, never))
    weights = first.loop.weights()
    third = last(train(run_config(*settings, "train.seed=1"), digits.train_arrays, never))
    assert curves(first) != curves(third)
    assert not np.array_equal(weights[0], third.loop.weights()[0])
    keras.utils.set_random_seed(99)  # whatever ran in between
    second = last(train(run, digits.train_arrays, never))
    assert curves(first) == curves(second)
    for one, other in zip(weights, second.loop.weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_epoch_on_the_digits_gives_the_recorded_metrics(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    """Pins data, split, shuffling, initialization, optimizer and loss all at once.

    Other processors add floats in another order, so the losses are held to 1e-3 and not to the bit;
    an accuracy may then differ by one row of the 1,149 or of the 288.
    """
    run = run_config(*SMALL, "train.epochs=1")
    trained = last(train(run, digits.train_arrays, never))
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

    trained = last(train(run_config(*SMALL, "train.epochs=3"), digits.train_arrays, on_epoch))
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
    run = run_config(*SMALL)
    start = validation_start(len(rows.inputs), run.train.validation_split)
    changed = Arrays(rows.inputs, rows.targets.copy())
    changed.targets[start:] = np.roll(changed.targets[start:], 1, axis=1)  # wrong labels
    as_is, relabelled = (last(train(run, part, never)) for part in (rows, changed))
    # What is held out changes what is measured on it and nothing of what is learned.
    assert as_is.examples == start
    for name in ("loss", "accuracy"):
        assert relabelled.history[-1].metrics[name] == as_is.history[-1].metrics[name]
    assert relabelled.history[-1].metrics["val_accuracy"] < 0.2


def test_without_a_validation_part_all_rows_train_and_nothing_is_validated(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, "train.validation_split=0", "objective.metric=accuracy")
    trained = last(train(run, digits.train_arrays, never))
    assert trained.examples == len(digits.train)
    assert set(trained.history[0].metrics) == {"loss", "accuracy"}


# A rate this high makes the validation loss jump, so that the last epoch is not the best.
JUMPY = ("train.epochs=4", "train.learning_rate=0.25")


def test_select_last_ends_with_the_weights_of_the_last_epoch(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, *JUMPY, "objective.select=last")
    trained = last(train(run, digits.train_arrays, never))
    assert trained.best_epoch == 4
    inputs, targets = validation(run, digits.train_arrays)
    found = cross_entropy(outputs(run, trained.loop.weights(), inputs), targets)
    assert found == pytest.approx(trained.history[-1].metrics["val_loss"], rel=1e-4)


def test_select_best_ends_with_the_weights_of_the_best_epoch(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    by_loss = ("objective.metric=val_loss", "objective.direction=minimize")
    run = run_config(*SMALL, *JUMPY, *by_loss)
    trained = last(train(run, digits.train_arrays, never))
    losses = [epoch.metrics["val_loss"] for epoch in trained.history]
    assert trained.best_epoch == 1 + int(np.argmin(losses))
    assert trained.best_epoch < 4, losses
    inputs, targets = validation(run, digits.train_arrays)
    probabilities = outputs(run, trained.loop.weights(), inputs)
    assert cross_entropy(probabilities, targets) == pytest.approx(min(losses), rel=1e-4)
    accuracy = (probabilities.argmax(axis=1) == targets.argmax(axis=1)).mean()
    best = trained.history[trained.best_epoch - 1].metrics
    assert accuracy == pytest.approx(best["val_accuracy"])


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
    scripted: Callable[..., Trained],
    settings: list[str],
    values: list[float],
    epochs: int,
    best: int,
) -> None:
    trained = scripted(values, *settings)
    assert (trained.stop, len(trained.history)) == ("early_stopped", epochs)
    assert trained.best_epoch == best
    assert trained.loop.weights() == [best]


@pytest.mark.parametrize(
    ("settings", "values", "stop"),
    [
        ([], [0.5, 0.6], "completed"),
        (["train.patience=1"], [0.5, 0.4, 0.6], "early_stopped"),
    ],
)
def test_a_run_that_ends_anyhow_is_not_pruned(
    scripted: Callable[..., Trained], settings: list[str], values: list[float], stop: str
) -> None:
    """It is paid for in full, whatever is answered after its last epoch."""
    trained = scripted(values, *settings, on_epoch=lambda epoch: epoch.epoch == 2)
    assert (trained.stop, len(trained.history)) == (stop, 2)


def test_without_patience_training_never_stops_early(scripted: Callable[..., Trained]) -> None:
    trained = scripted([0.9, 0.1, 0.1, 0.1, 0.1, 0.1], "train.patience=null")
    assert (trained.stop, len(trained.history), trained.best_epoch) == ("completed", 6, 1)


def test_the_state_is_that_of_the_last_epoch_and_the_weights_of_the_best(
    scripted: Callable[..., Trained],
) -> None:
    trained = scripted([0.1, 0.9, 0.2])
    assert trained.loop.weights() == [2]
    assert (trained.state.epoch, trained.state.arrays) == (3, [3, 3])


def test_a_metric_that_is_not_finite_fails_the_run_with_its_name_and_epoch(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, "train.optimizer=sgd", "train.learning_rate=1e30", "train.loss=mse")
    told: list[EpochMetrics] = []

    def on_epoch(epoch: EpochMetrics) -> bool:
        told.append(epoch)
        return False

    with pytest.raises(DivergedError, match=r"^loss is nan at epoch 1$"):
        last(train(run, digits.train_arrays, on_epoch))
    assert told == [], "an epoch that diverged is no measurement"


def test_the_epoch_of_divergence_is_told(scripted: Callable[..., Trained]) -> None:
    with pytest.raises(DivergedError, match=r"^accuracy is inf at epoch 3$"):
        scripted([0.5, 0.6, math.inf, 0.7])


def test_pruning_stops_there_and_keeps_what_was_measured(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    run = run_config(*SMALL, "train.epochs=5")
    trained = last(train(run, digits.train_arrays, lambda epoch: epoch.epoch == 2))
    assert (trained.stop, len(trained.history)) == ("pruned", 2)
    assert trained.state.epoch == 2
    inputs, targets = validation(run, digits.train_arrays)
    found = cross_entropy(outputs(run, trained.loop.weights(), inputs), targets)
    best = trained.history[trained.best_epoch - 1].metrics
    assert found == pytest.approx(best["val_loss"], rel=1e-4)


def test_epochs_before_the_start_count_for_nothing_though_they_are_trained_again(
    scripted: Callable[..., Trained],
) -> None:
    """Neither is the first one the best, nor is patience out after the third."""
    values = [0.9, 0.8, 0.1, 0.3, 0.2, 0.2, 0.9]
    trained = scripted(values, "train.patience=2", start=State(2, []))
    assert [epoch.epoch for epoch in trained.history] == [3, 4, 5, 6]
    assert (trained.stop, trained.best_epoch) == ("early_stopped", 4)
    assert trained.loop.weights() == [4]


@pytest.mark.parametrize("epochs", [2, 1])
def test_a_start_state_at_or_past_the_last_epoch_is_refused(
    run_config: MakeRunConfig, digits: Dataset, epochs: int
) -> None:
    run = run_config(*SMALL, f"train.epochs={epochs}")
    with pytest.raises(ValueError, match=rf"^train\.epochs: .* the 2 epochs .* got {epochs} "):
        last(train(run, digits.train_arrays, never, State(2, [])))
