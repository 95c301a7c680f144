"""What the network gets to see of a data set: scaled by the rows that train, split as Keras does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.command.errors import ConfigError
from pipeline.data import Dataset, check_rows, grey_size, load, validation_start
from pipeline.run.config import DataConfig
from pipeline.training.execute import execute
from tests.conftest import MakeRunConfig
from tests.pipeline.datasets import images, own, rows, save


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 255, np.uint8), (0, 255, np.int64), (0, 16, np.uint8), (0, 1, np.uint8), (40, 90, np.uint8),
     (-128, 127, np.int8), (0, 65535, np.uint16), (-1, 3, np.float64)],
)  # fmt: skip
def test_images_are_scaled_over_all_pixels_however_they_are_counted(
    tmp_path: Path, low: int, high: int, dtype: Any
) -> None:
    pixels = np.linspace(low, high, 24).astype(dtype).reshape(6, 2, 2)
    test = np.full((3, 2, 2), (low + high) // 2, dtype)
    dataset = load(own(save(tmp_path, images(), x_train=pixels, x_test=test)))
    inputs = dataset.train_arrays.inputs
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0, 1)
    exact = (pixels.astype(np.float64) - low) / (high - low)
    np.testing.assert_allclose(inputs, exact, atol=1e-6)
    half = (test.astype(np.float64) - low) / (high - low)  # by the training rows' range
    np.testing.assert_allclose(dataset.test_arrays.inputs, half, atol=1e-6)


def test_feature_rows_are_scaled_column_by_column(tmp_path: Path) -> None:
    arrays = rows([0.0, 1, 2, 3, 4, 5], [10.0, 20, 10, 20, 10, 20])
    dataset = load(own(save(tmp_path, arrays)))
    np.testing.assert_allclose(dataset.train_arrays.inputs[:, 0], np.arange(6) / 5, rtol=1e-6)
    np.testing.assert_array_equal(dataset.train_arrays.inputs[:, 1], [0, 1, 0, 1, 0, 1])
    assert dataset.shape == (2,)
    assert dataset.classes == 2


@pytest.mark.parametrize("constant", [0.0, -3.5, 7, 1e9, 1e17, -1e300])
def test_a_constant_column_becomes_zero(tmp_path: Path, constant: float) -> None:
    dataset = load(own(save(tmp_path, rows([constant] * 6, [1.0, 2, 3, 4, 5, 6]))))
    np.testing.assert_array_equal(dataset.train_arrays.inputs[:, 0], 0)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_a_column_of_large_numbers_keeps_its_differences(tmp_path: Path, dtype: Any) -> None:
    times = np.array([1_700_000_000 + second for second in (0, 1, 2, 3, 4, 8)], dtype)
    dataset = load(own(save(tmp_path, rows(times))))
    np.testing.assert_allclose(
        dataset.train_arrays.inputs[:, 0], np.array([0, 1, 2, 3, 4, 8]) / 8, atol=1e-6
    )


def test_without_scaling_the_network_sees_the_numbers_as_they_are(tmp_path: Path) -> None:
    arrays = rows([0.0, 1, 2, 3, 4, 5], [10.0, 20, 10, 20, 10, 20])
    inputs = load(own(save(tmp_path, arrays), scale=False)).train_arrays.inputs
    np.testing.assert_array_equal(inputs, arrays["x_train"].astype(np.float32))


def test_rows_that_judge_have_no_say_in_the_scaling(tmp_path: Path) -> None:
    """The last row, held out, is far beyond the others; so is a test row."""
    arrays = rows([0.0, 1, 2, 3, 4, 100], [5.0, 5, 6, 7, 8, -50])
    arrays["x_test"] = arrays["x_test"] * 1000
    dataset = load(own(save(tmp_path, arrays)))
    fitted = dataset.fitted(0.2)
    np.testing.assert_array_equal(fitted.low, [0, 5])
    np.testing.assert_array_equal(fitted.high, [3, 7])
    np.testing.assert_allclose(fitted.train_arrays.inputs[:4, 0], [0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(fitted.train_arrays.inputs[5], [100 / 3, -55 / 2], rtol=1e-6)
    assert (fitted.digest, fitted.train) == (dataset.digest, dataset.train)
    assert dataset.fitted(0.2) is fitted, "or every trial scales anew"
    assert dataset.fitted(0) is dataset


def test_what_is_held_out_changes_nothing_that_training_sees(
    tmp_path: Path, run_config: MakeRunConfig
) -> None:
    run = run_config("model.hidden_units=4", "train.epochs=2", "train.batch_size=2")
    features = np.random.default_rng(0).uniform(size=(20, 3))
    labels = np.arange(20) % 2
    curves = []
    for held_out in (1.0, 1e6):
        table = features * np.where(np.arange(20) < 16, 1, held_out)[:, None]
        arrays = {"x_train": table, "y_train": labels, "x_test": table[:4], "y_test": labels[:4]}
        result = execute(run, load(own(save(tmp_path, arrays))), lambda _: False).result
        curves.append([(each.metrics["loss"], each.metrics["accuracy"]) for each in result.history])
    assert curves[0] == curves[1]


@pytest.mark.parametrize("split", [0.0, 0.1, 0.2, 0.5, 0.9])
def test_the_images_of_the_digits_are_scaled_alike_whatever_is_held_out(
    digits: Dataset, split: float
) -> None:
    assert digits.fitted(split) is digits


def test_the_images_of_mnist_are_scaled_alike_whatever_is_held_out(mnist_path: Path) -> None:
    real = load(DataConfig(name="mnist", path=str(mnist_path), scale=True))
    assert all(real.fitted(split) is real for split in (0.1, 0.2, 0.5, 0.99))


def test_without_scaling_nothing_is_fitted(tmp_path: Path) -> None:
    dataset = load(own(save(tmp_path, rows([0.0, 1, 2, 3, 4, 100])), scale=False))
    assert dataset.fitted(0.2) is dataset


@pytest.mark.parametrize(
    ("shape", "size"),
    [((8, 9), (8, 9)), ((8, 9, 1), (8, 9)), ((1, 8, 9), (8, 9)), ((8, 1), (8, 1)),
     ((8, 9, 3), None), ((8, 9, 2), None), ((64,), None)],
)  # fmt: skip
def test_grey_images_may_have_one_channel(
    shape: tuple[int, ...], size: tuple[int, int] | None
) -> None:
    assert grey_size(shape) == size


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 1), (1, 2, 2), (2, 2, 3)])
def test_images_are_scaled_over_all_pixels_with_and_without_channels(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(0)
    pixels = {f"x_{part}": generator.integers(9, 99, (6, *shape)) for part in ("train", "test")}
    labels = {f"y_{part}": np.arange(6) % 3 for part in ("train", "test")}
    dataset = load(own(save(tmp_path, {**pixels, **labels})))
    assert dataset.low.shape == dataset.high.shape == ()
    inputs = dataset.train_arrays.inputs
    assert (inputs.min(), inputs.max(), inputs.shape[1:]) == (0, 1, shape)


@pytest.mark.parametrize("split", [0.1, 0.2, 0.25, 1 / 3, 0.5, 0.3, 0.7, 0.9, 0.999])
def test_validation_rows_are_counted_as_keras_counts_them(split: float) -> None:
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    for count in (2, 3, 7, 10, 1437, 60_000):
        numbers = np.arange(count)
        start = validation_start(count, split)
        if start == 0:
            continue  # Keras refuses these, and so does check_rows
        (training,), (validation,) = train_validation_split((numbers,), split)
        np.testing.assert_array_equal(np.asarray(training), numbers[:start])
        np.testing.assert_array_equal(np.asarray(validation), numbers[start:])


@pytest.mark.parametrize(("split", "training"), [(0.95, 0), (0.999, 0), (1e-17, 6)])
def test_a_split_that_leaves_no_rows_is_refused(
    tmp_path: Path, split: float, training: int
) -> None:
    dataset = load(own(save(tmp_path, images())))
    with pytest.raises(ConfigError) as raised:
        check_rows(dataset, split)
    assert str(raised.value) == (
        f"train.validation_split: {split} of 6 rows leaves {training} to train on "
        f"and {6 - training} to validate on"
    )


@pytest.mark.parametrize("split", [0, 0.2, 0.5, 0.8])
def test_a_split_that_leaves_rows_on_both_sides_or_none_asked_is_accepted(
    tmp_path: Path, split: float
) -> None:
    check_rows(load(own(save(tmp_path, images()))), split)
