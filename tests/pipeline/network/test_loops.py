"""Loops: a compiled epoch computes what `model.fit` computes, however often its program is reused.

The laws hold on every backend; `test_loops_jax` runs this file again on JAX.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

from pipeline.data import Arrays, Dataset
from pipeline.lanes.choice import loop_for
from pipeline.network import loop as base
from pipeline.network import plain
from pipeline.network.model import build
from pipeline.network.optimizer import make_optimizer
from pipeline.network.plain import PlainLoop
from pipeline.run.config import OptimizerName, RunConfig
from pipeline.run.result import EpochMetrics, State, Weights
from pipeline.training.fit import train
from search.trial_table.weights import WeightStore
from tests.conftest import MakeRunConfig

# 100 rows: batches of 32, 32, 32 and 4. Smooth, as a unit that is off on one side of a rounding error
# and on on the other takes the curves apart.
SMALL = (
    *("model.hidden_units=16", "model.depth=1", "model.activation=tanh"),
    *("train.batch_size=32", "train.epochs=3", "train.validation_split=0"),
    *("objective.metric=accuracy", "objective.select=last"),
)
# One shape, and so one program for the tests that turn its knobs.
KNOBS = (*SMALL, "model.dropout=0.25", "model.l1=0.001", "model.l2=0.002")

BACKEND = keras.backend.backend()


def never(_: EpochMetrics) -> bool:
    return False


@pytest.fixture(scope="module")
def rows(digits: Dataset) -> Arrays:
    return digits.train_arrays.part(0, 100)


def trained(
    run: RunConfig, rows: Arrays, *start: Any
) -> tuple[list[dict[str, float]], Weights, str]:
    """Curves, final weights and the name of the loop: copies, as a loop is soon lent to others."""
    *_, done = train(run, rows, never, *start)
    return [dict(epoch.metrics) for epoch in done.history], done.state.arrays, done.loop.name


def assert_identical(one: Any, other: Any) -> None:
    assert one[0] == other[0]
    for first, second in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(first, second)


def assert_same_to_rounding(compiled: Any, plain: Any) -> None:
    """Within 1e-5, a hundred times the resolution of float32, after nine steps or so."""
    assert (compiled[2], plain[2]) == (BACKEND, "keras")
    assert len(compiled[0]) == len(plain[0])
    for one, other in zip(compiled[0], plain[0], strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for first, second in zip(compiled[1], plain[1], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)


LOSSES = {
    "sgd": "categorical_crossentropy",
    "rmsprop": "mse",
    "adam": "categorical_crossentropy",
    "adamw": "binary_crossentropy",
    "nadam": "categorical_crossentropy",
    "adagrad": "mse",
}
PENALTIES = ("model.l1=0.001", "model.l2=0.01")
MOMENTUM = "train.momentum=0.9"


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        *(
            pytest.param(
                optimizer, (), marks=[] if optimizer in ("adam", "sgd") else pytest.mark.slow
            )
            for optimizer in LOSSES
        ),
        ("adam", PENALTIES),
        ("sgd", (MOMENTUM, "train.validation_split=0.2")),
        *(
            pytest.param(optimizer, PENALTIES, marks=pytest.mark.slow)
            for optimizer in LOSSES
            if optimizer != "adam"
        ),
        pytest.param("rmsprop", (MOMENTUM, "train.batch_size=256"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_compiled_epoch_is_model_fit_for_every_optimizer_with_and_without_penalties(
    run_config: MakeRunConfig, rows: Arrays, optimizer: str, more: tuple[str, ...]
) -> None:
    """Optimizers see nothing but gradients: not every loss is tried with each of them."""
    settings = (f"train.optimizer={optimizer}", f"train.loss={LOSSES[optimizer]}")
    even = ("train.learning_rate=0.01", "train.batch_size=50")  # quicker to compile
    run = run_config(*SMALL, *settings, *even, *more)
    compiled = trained(run, rows)
    assert_same_to_rounding(compiled, trained(with_train(run, loop="keras"), rows))
    losses = [epoch["loss"] for epoch in compiled[0]]
    assert losses[0] - losses[-1] > 1e-4 * losses[0], "it learns, many times the tolerance"


@pytest.mark.parametrize(
    "optimizer",
    ["adadelta", "adamax", "adafactor", "ftrl", "lion", "lamb", "muon", "schedulefreeadamw"],
)
@pytest.mark.slow
def test_a_compiled_epoch_is_model_fit_for_every_other_optimizer_of_keras(
    run_config: MakeRunConfig, rows: Arrays, optimizer: str
) -> None:
    """Also for one whose state begins at the weights, as that of schedulefreeadamw does."""
    run = run_config(*SMALL, f"train.optimizer={optimizer}", "train.learning_rate=0.01")
    compiled = trained(run, rows)
    assert_same_to_rounding(compiled, trained(with_train(run, loop="keras"), rows))
    losses = [epoch["loss"] for epoch in compiled[0]]
    assert losses[0] - losses[-1] > 1e-4 * losses[0], "it learns, many times the tolerance"


def with_train(run: RunConfig, **changes: Any) -> RunConfig:
    return run.model_copy(update={"train": run.train.model_copy(update=changes)})


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only on TensorFlow is an update fused apart")
def test_a_fused_update_is_model_fit_too(run_config: MakeRunConfig, rows: Arrays) -> None:
    from pipeline.network.tensorflow import FUSED_FROM

    wide = ("model.hidden_units=4200", "model.l2=0.001", "train.optimizer=nadam")
    run = run_config(*SMALL, *wide)
    assert FUSED_FROM <= 64 * 4200 + 4200 + 4200 * 10 + 10, "or this tests nothing"
    compiled = trained(run, rows)
    assert_same_to_rounding(compiled, trained(with_train(run, loop="keras"), rows))


def test_an_epoch_of_sgd_is_what_arithmetic_says(run_config: MakeRunConfig, rows: Arrays) -> None:
    """Softmax regression with an l2 penalty, by hand: gradients, uneven batches, mean loss."""
    run = run_config(
        *SMALL, "model.depth=0", "model.l2=0.01", "train.optimizer=sgd", "train.learning_rate=0.5"
    )
    keras.utils.set_random_seed(0)
    model = build(run.model, (8, 8), 10)
    kernel, bias = (np.array(variable, np.float64) for variable in model.trainable_variables)
    loop = loop_for(run, (8, 8), 10)
    loop.begin(run, model, 100)
    order = np.random.default_rng(0).permutation(100).astype(np.int32)
    scores = loop.epoch(rows, order)

    loss = hits = 0.0
    for start in (0, 32, 64, 96):
        batch = order[start : start + 32]
        x, y = rows.inputs[batch].reshape(len(batch), 64), rows.targets[batch]
        p = np.exp(x @ kernel + bias)
        p /= p.sum(axis=1, keepdims=True)
        loss += -np.log((p * y).sum(axis=1)).sum() + len(batch) * 0.01 * (kernel**2).sum()
        hits += (p.argmax(axis=1) == y.argmax(axis=1)).sum()
        step = (p - y) / len(batch)
        kernel -= 0.5 * (x.T @ step + 0.02 * kernel)
        bias -= 0.5 * step.sum(axis=0)
    assert scores.loss == pytest.approx(loss / 100, rel=1e-5)
    assert scores.accuracy == pytest.approx(hits / 100)
    for found, expected in zip(loop.weights(), (kernel, bias), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_optimizer_is_the_named_one_at_the_given_or_its_own_rate(
    run_config: MakeRunConfig,
) -> None:
    """Every one that Keras can make from a learning rate; three need more, or are no optimizer yet."""
    kinds = {
        name.lower(): kind
        for name, kind in vars(keras.optimizers).items()
        if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
    }
    for name in ("optimizer", "lossscaleoptimizer", "multioptimizer"):
        del kinds[name]
    assert set(kinds) == set(get_args(OptimizerName))
    for name, kind in kinds.items():
        own, given = (
            make_optimizer(with_train(run_config(), optimizer=name, learning_rate=rate), 1)
            for rate in (None, 3.0)
        )
        assert type(own) is type(given) is kind
        assert (float(own.learning_rate), float(given.learning_rate)) == (
            float(kind().learning_rate),
            3,
        )


def test_dropout_has_the_effect_that_it_has_in_model_fit(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    """Over 12 seeds the losses after an epoch have the same mean within four standard errors.

    On TensorFlow even the units dropped are the same.
    """
    order = np.arange(len(rows.inputs), dtype=np.int32)
    losses: dict[str, list[float]] = {}
    for rate, name in ((0.25, "auto"), (0.25, "keras"), (0.75, "auto")):
        run = run_config(*KNOBS, f"model.dropout={rate}", f"train.loop={name}")
        keras.utils.set_random_seed(0)
        model = build(run.model, (8, 8), 10)
        loop = loop_for(run, (8, 8), 10)
        loop.begin(run, model, 100)
        start = loop.state()
        (place,) = (n for n, array in enumerate(start) if array.shape == (2,))  # the dropout seed
        found = losses[f"{name} {rate}"] = []
        for seed in range(12):
            start[place] = np.array([seed, 0], start[place].dtype)
            loop.load_state(start)
            found.append(loop.epoch(rows, order).loss)
    compiled, plain, more = (np.array(values) for values in losses.values())
    error = np.sqrt((compiled.var() + plain.var()) / 12)
    assert abs(compiled.mean() - plain.mean()) < 4 * error
    assert more.mean() - compiled.mean() > 8 * error, "or the tolerance is too wide"
    assert len(set(compiled)) == 12, "every seed drops units of its own"
    if BACKEND == "tensorflow":
        np.testing.assert_allclose(compiled, plain, rtol=1e-5)


def test_a_loop_used_before_gives_the_numbers_of_a_fresh_one(
    run_config: MakeRunConfig, rows: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_config(*KNOBS, "train.learning_rate=null")
    other = run_config(
        *KNOBS,
        *("model.dropout=0.7", "model.l1=0.1", "model.l2=0.1", "train.learning_rate=0.05"),
        "train.seed=3",
    )
    loop = loop_for(run, (8, 8), 10)
    first, between, again = trained(run, rows), trained(other, rows), trained(run, rows)
    assert loop_for(other, (8, 8), 10) is loop, "or nothing was used again"
    assert_identical(first, again)
    assert between[0] != first[0]

    monkeypatch.setattr("pipeline.lanes.choice._compiled", OrderedDict())
    assert_identical(trained(other, rows), between)
    assert_identical(trained(run, rows), again)
    assert loop_for(run, (8, 8), 10) is not loop


def test_without_a_learning_rate_a_loop_goes_back_to_the_default(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    rates = ("0.05", "null", "0.001")  # Adam's own is 0.001
    fast, default, same = (
        trained(run_config(*KNOBS, f"train.learning_rate={rate}"), rows) for rate in rates
    )
    assert_identical(default, same)
    assert fast[0] != default[0]


def test_going_on_from_a_state_gives_the_numbers_of_an_uninterrupted_run(
    run_config: MakeRunConfig, rows: Arrays, tmp_path: Path
) -> None:
    run = run_config(*KNOBS, "train.epochs=4")
    whole = trained(run, rows)
    *_, half = train(with_train(run, epochs=2), rows, never)
    begun = [dict(epoch.metrics) for epoch in half.history]
    store = WeightStore(tmp_path)
    store.save_state(7, half.state)
    trained(run_config(*KNOBS, "train.learning_rate=0.1", "train.seed=5"), rows)  # in between
    for state in (half.state, store.state(7), State(2, [])):  # the last one's arrays were not kept
        assert state.epoch == 2
        *_, rest = train(run, rows, never, state)
        assert [epoch.epoch for epoch in rest.history] == [3, 4]
        joined = begun + [dict(epoch.metrics) for epoch in rest.history]
        assert_identical((joined, rest.state.arrays), whole)


def test_the_plain_loop_goes_on_from_a_state_too(
    run_config: MakeRunConfig, rows: Arrays, tmp_path: Path
) -> None:
    run = run_config(*KNOBS, "train.loop=keras", "train.epochs=3")
    *_, half = train(with_train(run, epochs=1), rows, never)
    begun = [dict(epoch.metrics) for epoch in half.history]
    store = WeightStore(tmp_path)
    store.save_state(7, half.state)
    *_, rest = train(run, rows, never, store.state(7))
    joined = begun + [dict(epoch.metrics) for epoch in rest.history]
    assert_identical((joined, rest.state.arrays), trained(run, rows))


def test_the_loop_is_the_one_asked_for(run_config: MakeRunConfig) -> None:
    for setting, name in (("auto", BACKEND), ("keras", "keras")):
        run = run_config(*KNOBS, f"train.loop={setting}")
        assert loop_for(run, (8, 8), 10).name == name


def test_a_backend_without_a_loop_of_its_own_takes_the_plain_one(
    run_config: MakeRunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert isinstance(loop_for(run_config("train.loop=auto"), (8, 8), 10), PlainLoop)


def test_mixed_precision_learns_what_float32_does_and_ends_in_float32(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    """After ten epochs on a hundred rows the accuracies, about 0.75, are within 0.05."""
    fast = (*KNOBS, "train.epochs=10", "train.learning_rate=0.01")
    run = run_config(*fast, "train.precision=mixed_bfloat16")
    model = build(run.model, (8, 8), 10, run.train.precision)
    dtypes = {layer.name: layer.compute_dtype for layer in model.layers}
    assert (dtypes["hidden_1"], dtypes["probabilities"]) == ("bfloat16", "float32")
    mixed = trained(run, rows)
    full = trained(run_config(*fast), rows)
    assert mixed[0] != full[0], "it computes in another precision"
    assert full[0][-1]["accuracy"] > 0.6
    assert mixed[0][-1]["accuracy"] == pytest.approx(full[0][-1]["accuracy"], abs=0.05)
    assert {array.dtype for array in mixed[1] if array.ndim == 2} == {np.dtype(np.float32)}


def test_the_data_are_on_the_device_once_for_all_loops(
    run_config: MakeRunConfig, rows: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident: OrderedDict[Any, Any] = OrderedDict()
    monkeypatch.setattr(base, "_on_device", resident)
    for settings in ("train.optimizer=adam", "train.precision=mixed_bfloat16", "train.seed=1"):
        trained(run_config(*KNOBS, settings), rows)
    assert len(resident) == 1


def test_data_with_other_labels_are_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_on_device", OrderedDict())
    inputs = np.zeros((4, 2), np.float32)
    one, other = (Arrays(inputs, np.full((4, 2), n, np.float32)) for n in (1, 2))
    for rows in (one, other, one):
        assert base.on_device(rows, np.copy)[1].sum() == rows.targets.sum()


def test_runs_that_split_the_rows_differently_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resident: OrderedDict[Any, Any] = OrderedDict()
    monkeypatch.setattr(base, "_on_device", resident)
    rows, test = (Arrays(*np.zeros((2, 40, 3), np.float32)) for _ in range(2))
    copied: list[int] = []

    def put(array: np.ndarray) -> np.ndarray:
        copied.append(len(array))
        return array.copy()

    for start in range(1, 20):
        parts = rows.part(0, start), rows.part(start, 40), test
        for part in (*parts, *parts):
            base.on_device(part, put)
    assert len(resident) < 6, "those of one run, and not yet twice as many"
    assert len(copied) == 2 * (1 + 2 * 19), "each part once, in spite of it, and the test rows once"


@pytest.mark.parametrize("name", ["auto", "keras"])
def test_predictions_are_the_networks_and_have_the_scores_that_evaluate_gives(
    run_config: MakeRunConfig, rows: Arrays, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (base, plain):
        # 10 rows are left over: parts are put together.
        monkeypatch.setattr(module, "rows_at_once", lambda _: 30)
    monkeypatch.setattr("pipeline.lanes.choice._compiled", OrderedDict())
    run = run_config(*KNOBS, f"train.loop={name}")
    keras.utils.set_random_seed(0)
    model = build(run.model, (8, 8), 10)
    loop = loop_for(run, (8, 8), 10)
    loop.begin(run, model, 100)
    found = loop.predict(rows)
    assert found.scores == loop.evaluate(rows)
    expected = np.asarray(keras.ops.convert_to_numpy(model(rows.inputs)))
    assert found.probabilities.shape == (100, 10)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-5, atol=1e-7)
