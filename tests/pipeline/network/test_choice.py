"""A compiled loop serves the runs that it was compiled for, and no others: no field is silently left out."""

from typing import Any

import pytest

from pipeline.network.shapes import compiled_with
from pipeline.run.config import ModelConfig, RunConfig, TrainConfig
from pipeline.run.fingerprint import fingerprint
from tests.conftest import MakeRunConfig

ANOTHER: dict[str, Any] = {
    "model.hidden_units": 48, "model.depth": 3, "model.activation": "tanh",
    "train.optimizer": "sgd", "train.momentum": 0.5, "train.batch_size": 77,
    "train.loss": "mse", "train.precision": "mixed_bfloat16", "train.schedule": "cosine",
}  # fmt: skip
"""Another value of every field that a loop is compiled with."""

READ_ANEW = {
    "model.dropout", "model.l1", "model.l2", "train.learning_rate", "train.seed", "train.epochs",
    "train.patience", "train.min_delta", "train.validation_split", "train.loop",
    "train.weight_decay", "train.warmup_epochs", "train.schedule_epochs",
}  # fmt: skip


@pytest.fixture
def run(run_config: MakeRunConfig) -> RunConfig:
    return run_config("model.depth=1", "train.optimizer=rmsprop")


def changed(run: RunConfig, path: str, value: Any) -> RunConfig:
    part, _, name = path.partition(".")
    return run.model_copy(update={part: getattr(run, part).model_copy(update={name: value})})


def test_the_tables_name_every_field() -> None:
    fields = {f"model.{name}" for name in ModelConfig.model_fields}
    fields |= {f"train.{name}" for name in TrainConfig.model_fields}
    assert ANOTHER.keys() | READ_ANEW == fields


@pytest.mark.parametrize("path", ANOTHER)
def test_another_value_is_another_loop(run: RunConfig, path: str) -> None:
    assert compiled_with(changed(run, path, ANOTHER[path])) != compiled_with(run)


@pytest.mark.parametrize(
    "path", ["model.dropout", "model.l1", "model.l2", "train.weight_decay", "train.warmup_epochs"]
)
def test_of_a_variable_only_whether_there_is_one_is_compiled_in(run: RunConfig, path: str) -> None:
    none, some, more = (changed(run, path, value) for value in (0, 1, 2))
    assert compiled_with(some) == compiled_with(more) != compiled_with(none)


def test_keras_own_weight_decay_is_no_weight_decay_of_zero(run: RunConfig) -> None:
    own, zero = (changed(run, "train.weight_decay", decay) for decay in (None, 0.0))
    assert compiled_with(own) != compiled_with(zero)


def test_a_field_that_is_added_counts_for_the_loop_and_for_the_run(run: RunConfig) -> None:
    """Nobody has to remember to add it to a list: three values of it would be three runs."""

    class More(TrainConfig):
        label_smoothing: float

    class MoreRun(RunConfig):
        train: More

    tree = run.model_dump()
    one, other = (
        MoreRun.model_validate({**tree, "train": {**tree["train"], "label_smoothing": share}})
        for share in (0.0, 5.0)
    )
    assert compiled_with(one) != compiled_with(other)
    assert fingerprint(one) != fingerprint(other)
