"""Data sets: where they are looked for, and what they are once they were read."""

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.data import MNIST_DIGEST, Dataset, Split, load, locate, source
from pipeline.run.config import DataConfig
from tests.conftest import RunPython
from tests.pipeline.datasets import images, mnist, own, refusal, save, save_idx


@pytest.fixture(scope="module")
def real(mnist_path: Path) -> Dataset:
    return load(mnist(mnist_path))


def test_mnist_is_recognized_by_its_digest(real: Dataset) -> None:
    assert real.digest == MNIST_DIGEST
    assert real.train.features.shape == (60_000, 28, 28)
    assert real.test.features.shape == (10_000, 28, 28)
    assert real.classes == 10
    assert real.shape == (28, 28)
    assert (real.low, real.high) == (0, 255)


def test_mnist_is_the_same_from_npz_and_from_idx(real: Dataset, tmp_path: Path) -> None:
    """Gzipped, as it is published; smaller files below are tried both ways."""
    arrays = {
        "x_train": real.train.features,
        "y_train": real.train.labels.astype(np.uint8),
        "x_test": real.test.features,
        "y_test": real.test.labels.astype(np.uint8),
    }
    again = load(mnist(save_idx(tmp_path / "idx", arrays, zipped=True)))
    assert again.digest == real.digest
    np.testing.assert_array_equal(again.train.features, real.train.features)
    np.testing.assert_array_equal(again.test.labels, real.test.labels)


def test_mnist_pixels_are_brought_to_zero_and_one(real: Dataset) -> None:
    inputs, targets = real.test_arrays
    assert (inputs.min(), inputs.max()) == (0, 1)
    np.testing.assert_array_equal(inputs[0], real.test.features[0].astype(np.float32) / 255)
    np.testing.assert_array_equal(targets.argmax(axis=1), real.test.labels)
    assert targets.sum() == len(real.test)


@pytest.fixture
def three_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A file in each place where MNIST is looked for."""
    cache = tmp_path / "keras" / "datasets"
    cache.mkdir(parents=True)
    places = {
        "path": tmp_path / "given.npz",
        "variable": tmp_path / "variable.npz",
        "cache": cache / "mnist.npz",
    }
    for path in places.values():
        path.touch()
    monkeypatch.setenv("MNIST_PATH", str(places["variable"]))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return places


def test_mnist_is_looked_for_in_the_path_first(three_places: dict[str, Path]) -> None:
    assert locate(mnist(three_places["path"])).path == str(three_places["path"])


def test_mnist_is_looked_for_in_the_variable_second(three_places: dict[str, Path]) -> None:
    assert locate(mnist()).path == str(three_places["variable"])


def test_mnist_is_looked_for_in_the_cache_third(
    three_places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MNIST_PATH")
    assert locate(mnist()).path == str(three_places["cache"])
    monkeypatch.setenv("MNIST_PATH", "")
    assert locate(mnist()).path == str(three_places["cache"])


def test_a_named_place_that_is_empty_is_an_error_not_a_fallback(
    three_places: dict[str, Path],
) -> None:
    for place in ("path", "variable"):
        three_places[place].unlink()
    with pytest.raises(UnavailableError, match=r"^data.path: there is no file or folder .*given"):
        locate(mnist(three_places["path"]))
    with pytest.raises(UnavailableError, match=r"^MNIST_PATH: there is no .*variable.*unset it"):
        locate(mnist())


def test_workers_are_given_an_absolute_path(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(workdir, images())
    assert locate(own(Path("mine.npz"))).path == str(workdir.resolve() / "mine.npz")
    monkeypatch.setenv("HOME", str(workdir))
    assert locate(own(Path("~/mine.npz"))).path == str(workdir.resolve() / "mine.npz")


def test_the_digits_need_no_path() -> None:
    config = DataConfig(name="digits", path=None, scale=True)
    assert locate(config) == config


@pytest.fixture
def closed_port() -> Iterator[str]:
    """The URL of a loopback port that refuses connections: bound, never listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_failed_download_is_one_error_that_names_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_port: str
) -> None:
    monkeypatch.delenv("MNIST_PATH", raising=False)
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, closed_port)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    message = refusal(mnist())
    assert str(tmp_path / "datasets" / "mnist.npz") in message
    assert "download failed" in message
    assert "refused" in message, "the reason is told"
    for way_out in ("data.path=FILE.npz", "FOLDER of IDX files", "MNIST_PATH=", "data=digits"):
        assert way_out in message
    assert "Traceback" not in message


def test_another_data_set_is_not_taken_for_mnist(tmp_path: Path) -> None:
    path = save(tmp_path, images())
    message = refusal(mnist(path))
    assert message.startswith(f"{path}: this is not MNIST")
    assert MNIST_DIGEST[:12] in message
    assert "data=npz" in message


def test_a_random_split_takes_the_test_set_from_the_training_rows(digits: Dataset) -> None:
    """Always the same rows, none of them twice, and none of the data set's own test rows."""
    config = DataConfig(name="digits", path=None, scale=False, test_split=0.25)
    split, again = load(config), load(config)
    assert (len(split.train), len(split.test)) == (1077, 360)
    assert split.digest == again.digest

    def images(part: Split) -> list[bytes]:
        return [
            image.tobytes() + bytes([label])
            for image, label in zip(part.features, part.labels, strict=True)
        ]

    together = images(split.train) + images(split.test)
    assert sorted(together) == sorted(images(digits.train))
    assert together != images(digits.train), "shuffled"
    ends = [images(digits.train)[-360:], images(digits.train)[:360]]
    assert images(split.test) not in ends


@pytest.mark.parametrize("split", [1e-17, 0.999])
def test_a_random_split_that_leaves_no_rows_is_refused(tmp_path: Path, split: float) -> None:
    config = own(save(tmp_path, images())).model_copy(update={"test_split": split})
    with pytest.raises(ConfigError, match=rf"^data.test_split: {split} of 6 rows leaves"):
        load(config)


def test_the_digits_are_split_by_class_and_scaled_from_sixteen(digits: Dataset) -> None:
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.shape == (8, 8)
    assert np.bincount(digits.test.labels).min() >= 34
    assert (digits.train_arrays.inputs.min(), digits.train_arrays.inputs.max()) == (0, 1)
    np.testing.assert_array_equal(
        digits.train_arrays.inputs, digits.train.features.astype(np.float32) / 16
    )


def test_the_digest_is_of_the_values_not_of_the_file(tmp_path: Path) -> None:
    arrays = images()
    digest = load(own(save(tmp_path, arrays))).digest
    wide = {name: array.astype(np.int64) for name, array in arrays.items()}
    assert load(own(save(tmp_path, wide))).digest == digest
    changed = {**arrays, "y_test": arrays["y_test"][::-1].copy()}
    assert load(own(save(tmp_path, changed))).digest != digest
    reshaped = {name: arrays[name].reshape(-1, 4) for name in ("x_train", "x_test")}
    assert load(own(save(tmp_path, {**arrays, **reshaped}))).digest != digest


def test_a_class_that_only_the_test_set_has_counts(tmp_path: Path) -> None:
    dataset = load(own(save(tmp_path, images(), y_test=np.array([0, 1, 5]))))
    assert dataset.classes == 6
    assert dataset.train_arrays.targets.shape == (6, 6)


def test_reading_data_never_imports_keras_or_tensorflow(run_python: RunPython) -> None:
    done = run_python(
        "-c",
        "import sys, pipeline.data as data\n"
        "from pipeline.run.config import DataConfig\n"
        "config = DataConfig(name='digits', path=None, scale=True)\n"
        "data.check_rows(data.load(config), 0.2)\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))",
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_data_command_answers_with_what_can_be_had(
    tmp_path: Path, run_python: RunPython
) -> None:
    nowhere = str(tmp_path / "missing.npz")
    done = run_python("-m", "pipeline.data", MNIST_PATH=nowhere)
    assert done.stdout == "digits\n"
    assert nowhere in done.stderr
    assert done.returncode == 0


def test_the_data_command_finds_mnist(mnist_path: Path, run_python: RunPython) -> None:
    done = run_python("-m", "pipeline.data", MNIST_PATH=str(mnist_path))
    assert done.stdout == "mnist\n"
    assert str(mnist_path) in done.stderr


def test_what_only_reads_mnist_never_downloads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("MNIST_PATH", raising=False)
    monkeypatch.setattr(source, "_download_with_keras", pytest.fail)
    with pytest.raises(UnavailableError, match="MNIST is not in Keras's cache"):
        load(DataConfig(name="mnist", path=None, scale=True), download=False)
