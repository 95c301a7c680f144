"""Data files: whatever they hold, they are read whole or refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.command.errors import UnavailableError
from pipeline.data import load
from tests.pipeline.datasets import IDX, idx_bytes, images, mnist, own, refusal, save, save_idx

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
    ({"x_train": np.zeros((6, 1, 1, 1, 1))}, r"x_train: expected rows of features or images"),
    ({"x_train": np.zeros((6, 2, 2), complex)}, r"x_train: expected numbers, got dtype complex128"),
    ({"x_train": np.zeros((6, 2, 2), "M8[s]")}, r"x_train: expected numbers, got dtype datetime64"),
    ({"x_train": np.zeros((6, 2), "f4,f4")}, r"x_train: expected numbers, got dtype \[\('f0'"),
    (
        {"x_train": np.zeros((6, 2, 2), np.longdouble)},
        r"x_train: expected numbers of up to 64 bits",
    ),
    ({"x_test": np.full((3, 2, 2), 1e308)}, r"x_test: expected numbers up to 4e\+307, got 1e\+308"),
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


@pytest.mark.parametrize("dtype", [">f4", ">i2", "<u8", "f2", "i1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_the_same_in_whatever_order_they_are_stored(
    tmp_path: Path, dtype: str, order: Any
) -> None:
    arrays = images()
    pixels = arrays["x_train"].astype(np.int8).astype(dtype, order=order) % 100
    dataset = load(own(save(tmp_path, arrays, x_train=pixels)))
    np.testing.assert_array_equal(dataset.train.features, pixels)
    plain = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("=")))
    assert dataset.train.features.dtype == plain.dtype
    assert load(own(save(tmp_path, arrays, x_train=plain))).digest == dataset.digest


@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw", "FashionMNIST/raw"])
def test_idx_files_are_found_where_torchvision_puts_them(tmp_path: Path, below: str) -> None:
    folder = tmp_path / "given" / below
    folder.mkdir(parents=True)
    save_idx(folder, images())
    dataset = load(own(tmp_path / "given"))
    assert (len(dataset.train), dataset.source) == (6, str(folder))


def test_of_several_data_sets_below_a_folder_none_is_taken_but_mnist_for_mnist(
    tmp_path: Path,
) -> None:
    for name in ("MNIST", "KMNIST"):
        (tmp_path / name).mkdir()
        save_idx(tmp_path / name / "raw", images())
    message = refusal(own(tmp_path))
    assert message.startswith(f"{tmp_path}: has several data sets, KMNIST/raw, MNIST/raw (give")
    assert refusal(mnist(tmp_path)).startswith(f"{tmp_path / 'MNIST' / 'raw'}: this is not MNIST")


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
