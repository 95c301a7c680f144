"""Shipped networks: raw features in, the trained network's probabilities out, in every format."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline.artifact.formats
from pipeline.artifact.formats import (
    DTYPES,
    NAMES,
    Format,
    check_writable,
    predict_apart,
    read,
    write,
)
from pipeline.artifact.serving import input_dtype, network, with_scaling
from pipeline.command.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.data import Dataset, Split
from pipeline.run.result import Weights
from pipeline.training.score import judge
from tests.conftest import MakeRunConfig


def rows(columns: NDArray[Any], low: object, high: object) -> Dataset:
    """Feature rows of two classes, scaled as `pipeline.data` would with these bounds."""
    split = Split(columns, np.arange(len(columns)) % 2)
    return Dataset("npz", "", split, split, 2, np.asarray(low, float), np.asarray(high, float))


def spread(low: list[float], high: list[float]) -> Dataset:
    columns = np.random.default_rng(0).uniform(low, high, (200, len(low)))
    return rows(columns, low, high)


def random_weights(run_config: MakeRunConfig, dataset: Dataset, *overrides: str) -> Weights:
    from pipeline.network.model import build

    keras.utils.set_random_seed(1)
    model = build(run_config(*overrides).model, dataset.shape, dataset.classes)
    return [np.asarray(weight) for weight in model.get_weights()]


@pytest.mark.parametrize(
    ("dataset", "dtype"),
    [
        (spread([0, -1], [1, 1]), "float32"),
        (spread([5, 0], [6, 0.001]), "float32"),
        (spread([1.6e9 + 0.3, 0], [1.6e9 + 60, 1]), "float64"),  # seconds of a minute as Unix times
        (rows(spread([1.6e9, 0], [1.7e9, 1]).train.features, 0, 1), "float32"),  # not scaled
    ],
    ids=["small", "narrow", "times", "unscaled"],
)
def test_feature_rows_go_in_as_they_were_read(
    run_config: MakeRunConfig, tmp_path: Path, dataset: Dataset, dtype: str
) -> None:
    overrides = ("model.hidden_units=8",)
    weights = random_weights(run_config, dataset, *overrides)
    model = network(run_config(*overrides), dataset, weights)
    raw = with_scaling(model, dataset)
    assert input_dtype(dataset) == dtype
    expected = model.predict(dataset.test_arrays.inputs, verbose=0)
    raw.save(tmp_path / "model.keras")
    given = read(tmp_path / "model.keras")(dataset.test.features.astype(dtype))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["gelu", "leaky_relu"])
@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_portable_formats_compute_the_same_function(
    run_config: MakeRunConfig, digits: Dataset, tmp_path: Path, activation: str, kind: Format
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("tf2onnx")
    overrides = (f"model.activation={activation}", "model.hidden_units=8", "model.dropout=0.1")
    run = run_config(*overrides)
    weights = random_weights(run_config, digits, *overrides)
    expected = network(run, digits, weights).predict(digits.test_arrays.inputs, verbose=0)
    model = with_scaling(network(run, digits, weights, portable=True), digits)
    path = write(model, kind, tmp_path)
    given = read(path)(digits.test.features.astype("float32"))
    np.testing.assert_allclose(given, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keras", "saved_model", "litert"])
def test_a_fresh_process_gives_the_same_probabilities(
    run_config: MakeRunConfig, digits: Dataset, tmp_path: Path, kind: Format
) -> None:
    run = run_config("model.hidden_units=8")
    weights = random_weights(run_config, digits, "model.hidden_units=8")
    model = with_scaling(network(run, digits, weights), digits)
    raw = digits.test.features.astype("float32")
    path = write(model, kind, tmp_path)
    assert path.name == NAMES[kind]
    np.testing.assert_allclose(predict_apart(path, raw), model.predict(raw, verbose=0), atol=1e-5)


def test_an_onnx_file_is_loaded_without_tensorflow_and_without_keras(
    run_config: MakeRunConfig, digits: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    weights = random_weights(run_config, digits, "model.depth=0")
    model = with_scaling(network(run_config("model.depth=0"), digits, weights, True), digits)
    path = write(model, "onnx", tmp_path)
    code = (
        "import sys, json, numpy as np; from pathlib import Path; from pipeline.artifact.formats import read;"
        f"read(Path({str(path)!r}))(np.zeros((1, 8, 8), np.float32));"
        "print(json.dumps([name for name in ('tensorflow', 'keras') if name in sys.modules]))"
    )
    root = str(Path(pipeline.artifact.formats.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_network_with_code_of_its_own_is_not_loaded(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Lambda(lambda x: x)])
    file = tmp_path / "model.keras"
    model.save(file)
    with pytest.raises(UnavailableError, match="run code of its own"):
        read(file)


def test_a_damaged_file_is_named_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(b"no model")
    with pytest.raises(UnavailableError, match=r"model\.keras: this model can't be loaded"):
        read(file)


def test_a_format_that_fails_in_its_process_says_why(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    with pytest.raises(PlumblineError, match=r"model\.onnx: can't be loaded again: .*parsing"):
        predict_apart(file, np.zeros((1, 8, 8), np.float32))


def test_onnx_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        return None if name == "tf2onnx" else find_spec(name)

    monkeypatch.setattr(pipeline.artifact.formats, "find_spec", absent)
    with pytest.raises(ConfigError, match=r"pip install 'plumbline\[onnx\]'"):
        check_writable("onnx")
    check_writable("litert")


def test_judging_counts_right_rows_and_undecided_ones(digits: Dataset) -> None:
    test = replace(digits.test, features=digits.test.features[:4], labels=np.array([0, 1, 1, 0]))
    given = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.501, 0.499]], np.float32)
    judged = judge(lambda _: given, test.features, test)
    assert judged.right == 3
    assert (judged.undecided(0.01), judged.undecided(0.3)) == (1, 2)
    with pytest.raises(ValueError, match="4 rows of numbers"):
        judge(lambda _: given * np.nan, test.features, test)


def pixels(*shape: int) -> Dataset:
    """Images of two classes, counted from 0 to 16."""
    images = np.random.default_rng(0).integers(0, 17, (20, *shape), np.uint8)
    images[0] = np.linspace(0, 16, images[0].size).reshape(shape)
    return rows(images, 0, 16)


TAKEN = {
    "images": lambda: pixels(4, 4),
    "images with a channel": lambda: pixels(4, 4, 1),
    "feature rows": lambda: rows(np.arange(60.0).reshape(20, 3) % 17, [0, 0, 0], [16, 16, 16]),
    "times": lambda: rows(np.arange(1_700_000_000, 1_700_000_060.0).reshape(20, 3), *TIMES),
}
TIMES = ([1_700_000_000] * 3, [1_700_000_060] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", TAKEN)
def test_a_saved_model_and_a_keras_file_take_numbers_of_any_dtype(
    run_config: MakeRunConfig, tmp_path: Path, case: str
) -> None:
    dataset = TAKEN[case]()
    overrides = ("model.hidden_units=4", "model.depth=1")
    weights = random_weights(run_config, dataset, *overrides)
    model = with_scaling(network(run_config(*overrides), dataset, weights), dataset)
    own = input_dtype(dataset)
    expected = np.asarray(model(dataset.test.features.astype(own)))
    exact = [dtype for dtype in DTYPES if (dataset.high <= largest(dtype)).all()]
    assert {"int64", "float64", *(["uint8"] if case != "times" else [])} <= set(exact)
    paths = [write(model, kind, tmp_path) for kind in ("keras", "saved_model")]
    for path in paths:
        predict = read(path)
        for dtype in exact:
            given = predict(dataset.test.features.astype(dtype))
            np.testing.assert_allclose(given, expected, atol=1e-5, err_msg=f"{path.name} {dtype}")


def largest(dtype: str) -> float:
    """Up to which number `dtype` holds every whole one."""
    kind = np.dtype(dtype)
    return float(np.iinfo(kind).max if kind.kind in "ui" else 2 ** (np.finfo(kind).nmant + 1))


def test_a_saved_model_is_served_with_the_dtype_of_its_network(
    run_config: MakeRunConfig, digits: Dataset, tmp_path: Path
) -> None:
    import tensorflow as tf

    weights = random_weights(run_config, digits, "model.depth=0")
    model = with_scaling(network(run_config("model.depth=0"), digits, weights), digits)
    loaded = tf.saved_model.load(str(write(model, "saved_model", tmp_path)))
    (_, taken) = loaded.signatures["serving_default"].structured_input_signature
    assert taken["inputs"] == tf.TensorSpec((None, 8, 8), tf.float32, name="inputs")
