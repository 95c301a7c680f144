"""What TensorFlow's loop does its own way: kernels for an update, rows that are taken as they lie."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.data import Dataset
from pipeline.data.dataset import ALIGNMENT, aligned
from pipeline.lanes.choice import loop_for
from pipeline.network.kernels import KERNELS, use_kernel
from pipeline.network.tensorflow import resident
from search.forecasting import cost
from tests.conftest import MakeRunConfig


@pytest.mark.parametrize(
    ("settings", "kernel"),
    [
        ("train.optimizer=adam", "ResourceApplyAdam"),
        ("train.optimizer=adamw", "ResourceApplyAdam"),
        ("train.optimizer=sgd", "ResourceApplyGradientDescent"),
        ("train.optimizer=sgd train.momentum=0.9", "ResourceApplyKerasMomentum"),
    ],
)
def test_each_weight_is_moved_by_one_kernel(
    run_config: MakeRunConfig, settings: str, kernel: str
) -> None:
    loop: Any = loop_for(run_config("model.hidden_units=16", *settings.split()), (8, 8), 10)
    step = tf.function(loop._apply).get_concrete_function(
        [tf.TensorSpec(weight.shape) for weight in loop.model.trainable_variables]
    )
    updates = [each.type for each in step.graph.get_operations() if "Apply" in each.type]
    assert updates == [kernel] * len(loop.model.trainable_variables)


@pytest.mark.parametrize(
    "make",
    [
        keras.optimizers.Adam,
        lambda: keras.optimizers.AdamW(weight_decay=0.1),
        lambda: keras.optimizers.SGD(weight_decay=0.1),
        lambda: keras.optimizers.SGD(momentum=0.9),
        lambda: keras.optimizers.SGD(momentum=0.9, nesterov=True),
    ],
)
def test_a_kernel_is_keras_s_formula_also_for_the_rows_of_an_embedding(make: Any) -> None:
    """An embedding's gradient is of the rows that were looked up, and no dense one."""
    words = np.arange(12).reshape(4, 3) % 7

    def weights(with_kernel: bool) -> list[Any]:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Embedding(9, 4), keras.layers.Flatten(), keras.layers.Dense(3)]
        model = keras.Sequential(layers)
        model(words)
        optimizer = make()
        optimizer.build(model.trainable_variables)
        assert not with_kernel or use_kernel(optimizer)
        for _ in range(5):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(words) ** 2)
            values = [weight.value for weight in model.trainable_variables]
            optimizer.apply(tape.gradient(loss, values), model.trainable_variables)
        return [weight.numpy() for weight in model.trainable_variables]

    for one, other in zip(weights(True), weights(False), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_an_optimizer_without_a_kernel_is_left_as_it_is() -> None:
    optimizer = keras.optimizers.Nadam()
    assert not use_kernel(optimizer)
    assert "update_step" not in vars(optimizer)


def test_a_forecast_knows_which_updates_are_a_kernel() -> None:
    assert {kind.__name__.lower() for kind in KERNELS} == set(cost.KERNELS)


@pytest.mark.parametrize("start", [0, 64, 7])
def test_rows_are_taken_as_they_lie_or_copied_to_where_tensorflow_needs_them(start: int) -> None:
    values = aligned(np.arange(4 * 100), np.dtype(np.float32))[start:]
    tensor = resident(values)
    np.testing.assert_array_equal(tf.reverse(tensor, [0]), values[::-1])
    values[0] = -1.0
    assert (tensor[0] == -1.0) == (start != 7), "the very memory, unless it begins between"


def test_rows_that_nobody_may_write_to_are_copied() -> None:
    values = aligned(np.arange(100), np.dtype(np.float32))
    values.flags.writeable = False  # no DLPack of NumPy's is made of such
    np.testing.assert_array_equal(resident(values), values)


def test_the_rows_of_a_data_set_lie_so_that_none_is_copied(digits: Dataset) -> None:
    for rows in (digits.train_arrays, digits.test_arrays):
        assert rows.inputs.ctypes.data % ALIGNMENT == 0
