"""Schedules of the learning rate and weight decay: Keras's numbers, in every loop, for run after run."""

import math
from collections import OrderedDict
from typing import Any, get_args

import keras
import numpy as np
import pytest

from pipeline.data import Arrays, Dataset
from pipeline.lanes.choice import loop_for
from pipeline.network.model import build
from pipeline.network.optimizer import make_optimizer
from pipeline.run.config import OptimizerName, RunConfig, Schedule
from pipeline.run.fingerprint import default_decay
from pipeline.training.fit import train
from search.coordination.prefixes import key_of
from tests.conftest import MakeRunConfig

# 100 rows in batches of 32 are 4 steps an epoch, 16 in all.
SMALL = (
    *("model.hidden_units=16", "model.depth=1", "model.activation=tanh"),
    *("train.batch_size=32", "train.epochs=4", "train.validation_split=0"),
    *("objective.metric=accuracy", "objective.select=last", "train.learning_rate=0.01"),
)
PEAK, STEPS = 0.01, 16
SCHEDULES = {
    "train.schedule=cosine": keras.optimizers.schedules.CosineDecay(PEAK, STEPS),
    "train.schedule=cosine train.warmup_epochs=1": keras.optimizers.schedules.CosineDecay(
        0.0, STEPS - 4, warmup_target=PEAK, warmup_steps=4
    ),
    # Keras's boundaries are the last steps at a rate.
    "train.schedule=step": keras.optimizers.schedules.PiecewiseConstantDecay(
        [7, 11], [PEAK, PEAK / 10, PEAK / 100]
    ),
    "train.warmup_epochs=1": lambda step: PEAK * min(int(step) / 4, 1),
}


@pytest.fixture(scope="module")
def rows(digits: Dataset) -> Arrays:
    return digits.train_arrays.part(0, 100)


def numbers(run: RunConfig, rows: Arrays) -> tuple[list[dict[str, float]], list[Any]]:
    *_, done = train(run, rows, lambda _: False)
    return [dict(epoch.metrics) for epoch in done.history], done.loop.weights()


@pytest.mark.parametrize("settings", SCHEDULES)
def test_the_rate_of_every_step_is_the_one_of_keras(
    run_config: MakeRunConfig, settings: str
) -> None:
    optimizer = make_optimizer(run_config(*SMALL, *settings.split()), 100)
    for step in range(STEPS):
        optimizer.iterations.assign(step)
        expected = float(SCHEDULES[settings](np.float32(step)))
        assert float(optimizer.learning_rate) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_without_a_schedule_the_optimizer_has_no_more_variables_than_it_had(
    run_config: MakeRunConfig,
) -> None:
    """What is on record of earlier versions goes on: the variables are the state that is kept."""
    plain = run_config(*SMALL, "train.schedule_epochs=9")
    names = [variable.name for variable in make_optimizer(plain, 100).variables]
    assert names == ["iteration", "learning_rate"]


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_a_decay_of_null_is_the_one_that_keras_takes_and_zero_is_none(
    run_config: MakeRunConfig, optimizer: OptimizerName
) -> None:
    def decay(text: str) -> float:
        settings = (f"train.optimizer={optimizer}", f"train.weight_decay={text}")
        found = make_optimizer(run_config(*SMALL, *settings), 100).weight_decay
        return 0.0 if found is None else float(found)

    assert decay("null") == pytest.approx(default_decay(optimizer))
    assert (decay("0.0"), decay("0.5")) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        ("sgd", "train.schedule=cosine train.weight_decay=0.1"),
        ("adam", "train.schedule=step train.warmup_epochs=1 train.weight_decay=0.1"),
        ("adamw", "train.warmup_epochs=2 train.weight_decay=0.0"),
        *(
            (each, "train.schedule=cosine train.weight_decay=0.1")
            for each in get_args(OptimizerName)
            if each != "sgd"
        ),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_compiled_loop_gives_the_numbers_of_model_fit(
    run_config: MakeRunConfig, rows: Arrays, optimizer: str, settings: str
) -> None:
    words = (*SMALL, f"train.optimizer={optimizer}", *settings.split())
    compiled = numbers(run_config(*words), rows)
    plain = numbers(run_config(*words, "train.loop=keras"), rows)
    for one, other in zip(compiled[0], plain[0], strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for first, second in zip(compiled[1], plain[1], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-5)
    usual = numbers(run_config(*SMALL, f"train.optimizer={optimizer}"), rows)
    assert usual[0][-1] != pytest.approx(compiled[0][-1], rel=1e-4), "the settings have an effect"


@pytest.mark.slow
def test_a_loop_used_before_has_the_schedule_and_the_decay_of_the_next_run(
    run_config: MakeRunConfig, rows: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*SMALL, "train.schedule=cosine")
    one = run_config(*words, "train.weight_decay=0.1", "train.warmup_epochs=1")
    other = run_config(*words, "train.weight_decay=0.5", "train.warmup_epochs=2", "train.epochs=3")
    between, first = numbers(other, rows), numbers(one, rows)
    assert loop_for(one, (8, 8), 10) is loop_for(other, (8, 8), 10)
    for run, found in ((one, first), (other, between)):
        monkeypatch.setattr("pipeline.lanes.choice._compiled", OrderedDict())
        assert numbers(run, rows)[0] == found[0]


@pytest.mark.slow
def test_a_step_of_sgd_with_decay_is_what_arithmetic_says(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    """Decoupled: rate x decay x weight is taken away beside the gradient, and the loss has no part of it."""
    one_batch = ("train.batch_size=100", "train.epochs=1", "train.optimizer=sgd")
    usual, decayed = (
        numbers(run_config(*SMALL, *one_batch, f"train.weight_decay={decay}"), rows)
        for decay in (0.0, 0.5)
    )
    assert usual[0] == decayed[0], "scored on the way, before the step"
    keras.utils.set_random_seed(0)
    start = build(run_config(*SMALL).model, (8, 8), 10).get_weights()
    for before, one, other in zip(start, usual[1], decayed[1], strict=True):
        np.testing.assert_allclose(one - other, 0.01 * 0.5 * before, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", get_args(Schedule))
@pytest.mark.parametrize("more", ["", "train.warmup_epochs=1", "train.schedule_epochs=9"])
def test_runs_are_the_beginning_of_one_another_exactly_where_their_numbers_are(
    run_config: MakeRunConfig, rows: Arrays, kind: str, more: str
) -> None:
    """The law that reading off and going on rest on, for each schedule that there is."""
    words = (*SMALL, f"train.schedule={kind}", *more.split())
    short, long = (run_config(*words, f"train.epochs={epochs}") for epochs in (2, 4))
    is_beginning = numbers(short, rows)[0] == numbers(long, rows)[0][:2]
    assert key_of(short) != key_of(long) or is_beginning
    assert (key_of(short) == key_of(long)) == (not short.train.plans_ahead)
    if not is_beginning:
        with pytest.raises(ValueError, match="milestones"):
            next(train(long, rows, lambda _: False, milestones=(2,)))


@pytest.mark.slow
def test_a_run_that_goes_on_keeps_to_its_schedule(run_config: MakeRunConfig, rows: Arrays) -> None:
    words = (*SMALL, "train.schedule=cosine", "train.schedule_epochs=4", "train.weight_decay=0.1")
    whole = numbers(run_config(*words), rows)[0]
    *_, half = train(run_config(*words, "train.epochs=2"), rows, lambda _: False)
    *_, rest = train(run_config(*words), rows, lambda _: False, half.state)
    assert [dict(epoch.metrics) for epoch in rest.history] == whole[2:]
    assert math.isfinite(whole[-1]["loss"])
