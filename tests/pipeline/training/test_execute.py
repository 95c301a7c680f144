"""One run from configuration to result: the test set decides nothing, and the numbers agree."""

import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from pipeline.data import Dataset, Split
from pipeline.lanes.choice import loop_for
from pipeline.network.loop import Loop
from pipeline.network.model import build
from pipeline.run.config import RunConfig
from pipeline.run.digests import history_digest, weights_digest
from pipeline.run.result import EpochMetrics, Outcome, RunResult
from pipeline.training.execute import execute
from pipeline.training.score import evaluate
from tests.conftest import MakeRunConfig

SMALL = ("model.hidden_units=64", "model.depth=1", "train.batch_size=32")


def never(_: EpochMetrics) -> bool:
    return False


@pytest.fixture(scope="module")
def run(run_config: MakeRunConfig) -> RunConfig:
    return run_config(*SMALL, "train.epochs=3")


@pytest.fixture(scope="module")
def outcome(run: RunConfig, digits: Dataset) -> Outcome:
    return execute(run, digits, never)


@pytest.fixture(scope="module")
def result(outcome: Outcome) -> RunResult:
    return outcome.result


def curves(result: RunResult) -> list[dict[str, float]]:
    return [dict(epoch.metrics) for epoch in result.history]


def test_the_test_set_changes_test_metrics_and_nothing_else(
    run: RunConfig, digits: Dataset, result: RunResult
) -> None:
    shifted = Split(digits.test.features, (digits.test.labels + 1) % digits.classes)
    other = execute(run, replace(digits, test=shifted), never).result
    assert other.test["test_accuracy"] < result.test["test_accuracy"] / 2
    assert (other.value, other.best_epoch, other.stop) == (
        result.value,
        result.best_epoch,
        result.stop,
    )
    assert curves(other) == curves(result)


def test_a_result_has_the_digests_of_its_network_and_its_curves(
    run_config: MakeRunConfig, run: RunConfig, digits: Dataset, outcome: Outcome
) -> None:
    result = outcome.result
    assert result.history_digest == history_digest(result.history)
    assert result.weights_digest == weights_digest(outcome.weights)
    again, other = (
        execute(run_config(*SMALL, "train.epochs=3", f"train.seed={seed}"), digits, never).result
        for seed in (run.train.seed, run.train.seed + 1)
    )
    mine = (result.weights_digest, result.history_digest)
    assert (again.weights_digest, again.history_digest) == mine
    assert {other.weights_digest, other.history_digest}.isdisjoint(mine)


def test_no_epoch_reports_a_test_metric(result: RunResult) -> None:
    assert all(not name.startswith("test") for epoch in curves(result) for name in epoch)


def test_the_value_is_the_objective_at_the_best_epoch(run: RunConfig, result: RunResult) -> None:
    values = [epoch.metrics["val_accuracy"] for epoch in result.history]
    assert result.value == max(values)
    assert result.best_epoch == 1 + int(np.argmax(values))
    assert len(values) == run.train.epochs


def test_timings_and_counts_are_consistent(result: RunResult) -> None:
    timings = result.timings
    assert set(timings) == {
        "build_seconds",
        "compile_seconds",
        "train_seconds",
        "test_seconds",
        "seconds_total",
    }
    assert all(seconds >= 0 for seconds in timings.values())
    parts = timings["build_seconds"] + timings["train_seconds"] + timings["test_seconds"]
    assert parts <= timings["seconds_total"]
    assert sum(epoch.seconds for epoch in result.history) <= timings["train_seconds"]
    assert timings["compile_seconds"] < result.history[0].seconds
    assert result.examples_per_second == pytest.approx(1149 * 3 / timings["train_seconds"])
    assert result.parameters == (64 * 64 + 64) + (64 * 10 + 10)
    products = 64 * 64 + 64 * 10
    assert result.costs == {
        "multiply_adds": products,
        "model_bytes": 4 * result.parameters,
        "training_flops": 6 * products * 1149 * 3,
    }
    assert result.costs.items() <= result.final_metrics().items()
    assert "hidden_1" in result.model_summary
    assert result.device
    assert result.loop == keras.backend.backend()


def test_the_weights_handed_out_are_those_that_the_test_metrics_are_of(
    run: RunConfig, digits: Dataset, outcome: Outcome
) -> None:
    loop = loop_for(run, digits.shape, digits.classes)
    loop.load_weights(outcome.weights)
    tested = evaluate(loop, digits.test_arrays)
    assert tested.metrics == outcome.result.test
    assert tested.confusion == outcome.result.test_confusion


def test_the_state_handed_out_is_that_of_the_last_epoch(
    run: RunConfig, digits: Dataset, outcome: Outcome
) -> None:
    longer = run.model_copy(update={"train": run.train.model_copy(update={"epochs": 4})})
    whole = execute(longer, digits, never)
    rest = execute(longer, digits, never, outcome.state)
    assert curves(rest.result) == curves(whole.result)[3:]
    assert rest.state.epoch == whole.state.epoch == 4


@pytest.fixture(scope="module")
def softmax(run_config: MakeRunConfig, digits: Dataset) -> tuple[Loop, keras.Model]:
    """An untrained network in the loop that a run takes, and as Keras sees it."""
    run = run_config("model.depth=0")
    keras.utils.set_random_seed(0)
    model = build(run.model, digits.shape, digits.classes)
    loop = loop_for(run, digits.shape, digits.classes)
    loop.begin(run, model, 100)
    return loop, model


def test_test_metrics_are_those_of_the_network_on_the_test_set(
    digits: Dataset, softmax: tuple[Loop, keras.Model]
) -> None:
    loop, model = softmax
    inputs, targets = digits.test_arrays
    outputs = np.asarray(model(inputs), np.float64)
    tested = evaluate(loop, digits.test_arrays)
    found, truth = outputs.argmax(axis=1), digits.test.labels
    matrix = confusion_matrix(truth, found, labels=range(digits.classes))
    assert np.array(tested.confusion).tolist() == matrix.tolist()
    assert tested.metrics == pytest.approx(
        {
            "test_loss": -np.log((outputs * targets).sum(axis=1)).mean(),
            "test_accuracy": (found == truth).mean(),
            "test_precision": precision_score(truth, found, average="macro", zero_division=0),
            "test_recall": recall_score(truth, found, average="macro"),
        },
        rel=1e-5,
    )


def test_matrices_are_of_the_validation_rows_and_of_the_test_rows(
    digits: Dataset, result: RunResult
) -> None:
    for matrix, labels in (
        (result.confusion, digits.train.labels[1149:]),
        (result.test_confusion, digits.test.labels),
    ):
        counts = np.bincount(labels, minlength=digits.classes)
        assert np.array(matrix).sum(axis=1).tolist() == counts.tolist()


def test_hits_are_of_the_validation_rows_and_give_the_accuracy_of_the_epoch_that_counts(
    run_config: MakeRunConfig, digits: Dataset, result: RunResult
) -> None:
    assert result.hits is not None
    best = result.history[result.best_epoch - 1].metrics["val_accuracy"]
    assert result.hits.right.mean() == pytest.approx(best, abs=1e-6)
    hardest = result.hardest[0].row - 1149  # where the validation rows begin
    assert not result.hits.right[hardest]
    whole = run_config(
        *SMALL, "train.epochs=1", "train.validation_split=0", "objective.metric=accuracy"
    )
    assert execute(whole, digits, never).result.hits is None


def test_of_too_many_rows_no_hits_are_kept(
    run: RunConfig, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.diagnosis.MOST_ROWS", 287)
    assert execute(run, digits, never).result.hits is None


def test_with_too_many_classes_to_read_no_matrix_is_kept_but_precision_and_recall_are(
    run: RunConfig, digits: Dataset, result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("execute", "diagnosis"):
        monkeypatch.setattr(f"pipeline.training.{module}.MOST_CLASSES", digits.classes - 1)
    other = execute(run, digits, never).result
    assert (other.confusion, other.test_confusion, other.hardest) == ((), (), ())
    assert other.test == result.test
    assert other.hits == result.hits


def test_scoring_changes_nothing_that_training_depends_on(
    digits: Dataset, softmax: tuple[Loop, keras.Model]
) -> None:
    loop, _ = softmax
    before = loop.state()
    evaluate(loop, digits.test_arrays)
    for one, other in zip(before, loop.state(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_waiting_for_an_answer_is_no_training_time(
    run: RunConfig, digits: Dataset, result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps by an hour while a coordinator makes up its mind after each epoch."""
    clock, waited = time.perf_counter, 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + waited)

    def slow(epoch: EpochMetrics) -> bool:
        nonlocal waited
        waited += 3600
        return epoch.epoch == 2

    pruned = execute(run, digits, slow).result
    assert pruned.stop == "pruned"
    assert max(pruned.timings.values()) < 3600
    assert pruned.timings["train_seconds"] >= sum(epoch.seconds for epoch in pruned.history)
    assert pruned.examples_per_second == pytest.approx(1149 * 2 / pruned.timings["train_seconds"])
    assert curves(pruned) == curves(result)[:2]
