"""Data sets: where they are looked for, what is refused, and what the network gets to see."""

import gzip
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config import DataConfig
from pipeline.data import MNIST_DIGEST, Dataset, Split, check_rows, load, locate, validation_start
from pipeline.errors import ConfigError, UnavailableError
from tests.conftest import RunPython

Arrays = dict[str, NDArray[Any]]

IDX = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def own(path: Path | None, scale: bool = True) -> DataConfig:
    return DataConfig(name="npz", path=str(path), scale=scale)


def mnist(path: Path | None = None) -> DataConfig:
    return DataConfig(name="mnist", path=None if path is None else str(path), scale=True)


def images(train: int = 6, test: int = 3, side: int = 2) -> Arrays:
    """A small data set of images with three classes."""
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(0, 256, (train, side, side), dtype=np.uint8),
        "y_train": np.arange(train, dtype=np.uint8) % 3,
        "x_test": generator.integers(0, 256, (test, side, side), dtype=np.uint8),
        "y_test": np.arange(test, dtype=np.uint8) % 3,
    }


def save(folder: Path, arrays: Arrays, **changes: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **{**arrays, **changes})
    return path


def idx_bytes(array: NDArray[Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def save_idx(folder: Path, arrays: Arrays, zipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, stem in IDX.items():
        content = idx_bytes(arrays[name])
        if zipped:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(content, compresslevel=1))
        else:
            (folder / stem).write_bytes(content)
    return folder


def refusal(config: DataConfig) -> str:
    with pytest.raises(UnavailableError) as raised:
        load(config)
    return str(raised.value)


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


BROKEN_ARRAYS: list[tuple[dict[str, Any], str]] = [
    ({"x_train": np.array([["a"]] * 6)}, r"x_train: expected numbers, got dtype <U1"),
    ({"x_train": np.ones((6, 2), bool)}, r"x_train: expected numbers, got dtype bool"),
    ({"y_train": np.zeros(6)}, r"y_train: expected integer labels, got dtype float64"),
    ({"y_test": np.zeros(3, np.float32)}, r"y_test: expected integer labels, got dtype float32"),
    ({"x_train": np.zeros(6, np.uint8)}, r"x_train: expected rows of .*, got shape \(6,\)"),
    ({"y_train": np.eye(6, dtype=int)}, r"y_train: expected one label per row, got shape \(6, 6\)"),
    ({"y_train": np.array(3)}, r"y_train: expected one label per row, got shape \(\)"),
    ({"x_train": np.zeros((0, 2, 2))}, r"x_train: expected at least one row .* \(0, 2, 2\)"),
    ({"x_test": np.zeros((3, 0))}, r"x_test: expected at least one .* feature, got shape \(3, 0\)"),
    ({"y_train": np.arange(5)}, r"y_train: expected 6 labels, one per row of x_train, got 5"),
    ({"y_test": np.arange(4)}, r"y_test: expected 3 labels, one per row of x_test, got 4"),
    ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, r"y_train: expected labels from 0 to 999, got -1"),
    ({"y_train": np.array([0, 1, 2, 0, 1, 1000])}, r"labels from 0 to 999, got 0 to 1000"),
    ({"y_train": np.array([0, 1, 2, 0, 1, 2**63], np.uint64)}, r"labels from 0 to 999"),
    ({"x_test": np.zeros((3, 2, 3), np.uint8)}, r"x_test: expected rows of shape \(2, 2\), got"),
    ({"y_train": np.ones(6, int)}, r"y_train: expected two classes or more, got one"),
    ({"x_train": np.full((6, 2, 2), np.nan)}, r"x_train: expected finite numbers, got NaN"),
    ({"x_test": np.full((3, 2, 2), np.inf)}, r"x_test: expected finite numbers, got NaN or inf"),
    ({"y_train": np.array([0, None, 2, 0, 1, 2], object)}, r"object arrays.*could run code"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN_ARRAYS)
def test_broken_arrays_are_refused_with_file_array_rule_and_finding(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = save(tmp_path, images(), **changes)
    with pytest.raises(UnavailableError, match=message) as raised:
        load(own(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value).splitlines()) == 1


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=np.zeros((2, 2)), labels=np.zeros(2))
    message = refusal(own(path))
    assert "expected the arrays x_train, y_train, x_test, y_test" in message
    assert "got x_train, labels" in message
    assert "(y_train, x_test, y_test missing)" in message


def test_a_torn_npz_is_refused_wherever_it_is_torn(tmp_path: Path) -> None:
    path = save(tmp_path, images())
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert refusal(own(path)).startswith(f"{path}: the file is damaged or cut short")


def test_an_npz_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, images())
    content = bytearray(path.read_bytes())
    at = content.index(images()["x_train"].tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert refusal(own(path)).startswith(f"{path}: the file is damaged or cut short")


def test_a_web_page_saved_as_npz_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_text("<!DOCTYPE html><html>404 Not Found</html>")
    message = refusal(own(path))
    assert message.startswith(f"{path}: this is not an .npz file")
    assert "<!DOCTYPE html" in message


def test_a_single_npy_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "expected an .npz of four arrays" in refusal(own(path))


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_an_idx_folder_holds_the_same_as_an_npz(tmp_path: Path, zipped: bool) -> None:
    arrays = images()
    from_idx = load(own(save_idx(tmp_path / "idx", arrays, zipped)))
    from_npz = load(own(save(tmp_path, arrays)))
    np.testing.assert_array_equal(from_idx.train.features, arrays["x_train"])
    np.testing.assert_array_equal(from_idx.test.labels, arrays["y_test"])
    assert from_idx.digest == from_npz.digest


def test_idx_files_may_be_spelled_with_a_dot(tmp_path: Path) -> None:
    folder = save_idx(tmp_path / "idx", images())
    for file in list(folder.iterdir()):
        file.rename(folder / file.name.replace("-idx", ".idx"))
    assert len(load(own(folder)).train) == 6


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    folder = save_idx(tmp_path / "idx", images())
    (folder / IDX["y_test"]).unlink()
    assert refusal(own(folder)).endswith(f"there is no {IDX['y_test']}[.gz]")


def test_a_torn_gzip_is_refused(tmp_path: Path) -> None:
    folder = save_idx(tmp_path / "idx", images(), zipped=True)
    path = folder / f"{IDX['x_train']}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert refusal(own(folder)).startswith(f"{path}: the file is damaged or cut short")


def test_a_wrong_idx_magic_number_is_refused(tmp_path: Path) -> None:
    folder = save_idx(tmp_path / "idx", images())
    path = folder / IDX["x_train"]
    path.write_bytes(idx_bytes(images()["y_train"]))
    assert refusal(own(folder)) == f"{path}: expected IDX magic 00000803, got '00000801'"


def test_a_wrong_count_in_an_idx_header_is_refused(tmp_path: Path) -> None:
    folder = save_idx(tmp_path / "idx", images())
    path = folder / IDX["x_train"]
    content = bytearray(path.read_bytes())
    content[7] += 1
    path.write_bytes(content)
    message = refusal(own(folder))
    assert message == f"{path}: the header announces 7 x 2 x 2 bytes, the file holds 24"


@pytest.mark.parametrize("size", [0, 3, 4, 6, 15])
def test_an_idx_file_torn_inside_its_header_is_refused(tmp_path: Path, size: int) -> None:
    folder = save_idx(tmp_path / "idx", images())
    path = folder / IDX["x_train"]
    path.write_bytes(path.read_bytes()[:size])
    assert refusal(own(folder)).startswith(f"{path}: ")


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


def rows(*columns: Any) -> Arrays:
    """Feature rows from columns of six numbers; the test rows are the first three."""
    table = np.stack([np.asarray(column) for column in columns], axis=1)
    labels = np.arange(6) % 2
    return {"x_train": table, "y_train": labels, "x_test": table[:3], "y_test": labels[:3]}


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


def test_reading_data_never_imports_keras_or_tensorflow(run_python: RunPython) -> None:
    done = run_python(
        "-c",
        "import sys, pipeline.data as data\n"
        "config = data.DataConfig(name='digits', path=None, scale=True)\n"
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
