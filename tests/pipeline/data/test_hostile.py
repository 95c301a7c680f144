"""Hostile data files: nothing is allocated, unpacked or waited for before it was checked."""

import gzip
import io
import math
import os
import re
import socket
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.command.errors import UnavailableError
from pipeline.data import load
from tests.pipeline.datasets import IDX, Arrays, idx_bytes, images, mnist, own, save_idx

_MAGIC = b"\x93NUMPY"
_DIRECTORY, _MEMBER, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def npy(shape: object, descr: str = "'|u1'", data: bytes = b"", header: str | None = None) -> bytes:
    """An array as NumPy writes it, with a header that may lie."""
    if header is None:
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return _MAGIC + b"\1\0" + struct.pack("<H", len(header)) + header.encode() + data


def save_raw(
    folder: Path, arrays: Arrays, method: int = zipfile.ZIP_DEFLATED, **changes: bytes
) -> Path:
    """An `.npz` with `changes` as the bytes of its members."""
    path = folder / "mine.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array)
            archive.writestr(f"{name}.npy", changes.get(name, content.getvalue()))
    return path


def told(config: Any) -> str:
    """The one line in which `config` is refused, within two seconds and 200 MB."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(UnavailableError) as raised:
            load(config)
        assert time.monotonic() - began < 2
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
    (line,) = str(raised.value).splitlines()
    assert line.isprintable()
    return line


MEMBERS = {
    "no array": (b"hello", "is no NumPy array"),
    "empty": (b"", "is no NumPy array"),
    "only a magic": (_MAGIC, "its header is broken"),
    "unfinished header": (npy(0, header="{'descr': '|u1', 'shape': (6, "), "its header is broken"),
    "nested header": (npy(0, header="(" * 900), "its header is broken"),
    "long header": (npy((6, 2, 2), header=" " * 60_000), "its header is broken"),
    "header of 4 GB": (_MAGIC + b"\2\0" + b"\xff" * 4, "its header is broken"),
    "header that unpacks": (_MAGIC + b"\2\0\0\0\0\x09" + bytes(150 << 20), "its header is broken"),
    "unknown version": (_MAGIC + b"\x09\0" + bytes(90), "expected version 1 or 2, got 9.0"),
    "5 TiB": (npy((1 << 40, 5)), r"announces shape \(1099511627776, 5\) of 1 bytes .* holds 0 by"),
    "overflow": (npy((1 << 63, 1 << 63, 1 << 5)), "announces shape"),
    "less than it has": (npy((6, 2, 1), data=bytes(24)), "the file holds 24 bytes"),
    "two negative sides": (npy((-6, -4), data=bytes(24)), "its header is broken: shape"),
    "no rows of many": (npy((0, 1 << 62)), "at least one row and one feature"),
    "letters of no size": (npy((1 << 62,), "'<U0'"), "expected numbers, got dtype <U0"),
    "objects": (npy((6, 2, 2), "'|O'", bytes(24)), "holds object arrays"),
    "huge elements": (npy((6, 2), "('<f4', (1 << 30,))"), "its header is broken"),
}


@pytest.mark.parametrize("case", MEMBERS)
def test_a_member_that_is_no_array_of_numbers_is_named(tmp_path: Path, case: str) -> None:
    content, rule = MEMBERS[case]
    path = save_raw(tmp_path, images(), x_train=content)
    line = told(own(path))
    assert line.startswith(f"{path}: x_train: ")
    assert re.search(rule, line), line


def changed(content: bytes, mark: bytes, at: int, value: bytes) -> bytes:
    """`content` with `value` in each record that begins with `mark`, `at` bytes behind that."""
    found = bytearray(content)
    place = content.find(mark)
    while place >= 0:
        found[place + at : place + at + len(value)] = value
        place = content.find(mark, place + 1)
    return bytes(found)


_MUCH = b"\xff\xff\xff\x7f"
DIRECTORIES: dict[str, tuple[bytes, int, bytes, str]] = {
    "encrypted": (_DIRECTORY, 8, b"\1\0", "x_train: is encrypted"),
    "strongly encrypted": (_DIRECTORY, 8, b"\x41\0", "x_train: is encrypted"),
    "unknown method": (
        _DIRECTORY,
        10,
        b"\x63\0",
        "x_train: expected what NumPy .* method 99",
    ),
    "more than it is": (_DIRECTORY, 24, _MUCH, "x_train: (claims|its header announces)"),
    "more than there is": (_DIRECTORY, 20, _MUCH * 2, "(x_train: claims|damaged or cut short)"),
    "beyond the file": (_DIRECTORY, 42, _MUCH, "damaged or cut short"),
    "a long name": (_DIRECTORY, 28, b"\xff\x7f", "(damaged or cut short|missing)"),
    "a directory of 2 GB": (_END, 12, _MUCH, "damaged or cut short"),
    "a directory elsewhere": (_END, 16, _MUCH, "can't be read|damaged or cut short"),
}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_numpy_does_not_write_is_not_unpacked(tmp_path: Path, method: int) -> None:
    """LZMA takes gigabytes of memory where its header says so."""
    path = save_raw(tmp_path, images(), method=method)
    assert f"got compression method {method} (save it with numpy.savez)" in told(own(path))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("case", DIRECTORIES)
def test_a_directory_that_lies_is_not_believed(tmp_path: Path, case: str, method: int) -> None:
    path = save_raw(tmp_path, images(), method=method)
    mark, at, value, rule = DIRECTORIES[case]
    path.write_bytes(changed(path.read_bytes(), mark, at, value))
    line = told(own(path))
    assert line.startswith(f"{path}: ")
    assert re.search(rule, line), line


def sparse(path: Path, size: int, *, directory: int) -> Path:
    """A file of `size` bytes, nearly all holes, whose end says that its directory has so many."""
    end = struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 4, 4, directory, size - directory)
    locator = struct.pack("<IQI", 0, size, 1)
    with path.open("wb") as file:
        file.write(_MEMBER)
        file.truncate(size)
        file.seek(size)
        file.write(b"PK\6\6" + end + b"PK\6\7" + locator)
        file.write(_END + struct.pack("<HHHHIIH", 0, 0, 4, 4, 2**32 - 1, 2**32 - 1, 0))
    return path


@pytest.mark.parametrize(
    ("directory", "rule"), [(0, "expected the arrays"), (40 << 30, "damaged or cut short")]
)
def test_a_file_of_fifty_gigabytes_is_not_read_whole(
    tmp_path: Path, directory: int, rule: str
) -> None:
    assert rule in told(own(sparse(tmp_path / "a.npz", 50 << 30, directory=directory)))
    holes = tmp_path / "b.npz"
    holes.touch()
    os.truncate(holes, 50 << 30)
    assert "this is not an .npz file" in told(own(holes))


def test_arrays_that_exceed_the_memory_are_not_begun(tmp_path: Path) -> None:
    """The files are as long as they say: in holes, that is."""
    folder = save_idx(tmp_path / "idx", images())
    for name, shape in {"x_train": (1 << 31, 1 << 5, 1 << 4), "y_train": (1 << 31,)}.items():
        with (folder / IDX[name]).open("wb") as file:
            file.write(bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes())
            file.truncate(file.tell() + math.prod(shape))
    assert re.search(r"the arrays need [\d,.]+ GB of memory, this machine has", told(own(folder)))


def test_what_unpacks_to_far_more_than_it_is_stays_packed(tmp_path: Path) -> None:
    side, rows = 1 << 14, 1 << 14
    bomb = npy((rows, side), data=bytes(rows * side))
    few = npy((3, side), data=bytes(3 * side))
    labels = {"y_train": np.arange(rows) % 2}
    path = save_raw(tmp_path, {**images(), **labels}, x_train=bomb, x_test=few)
    assert "more than 100 times as many is not unpacked (save the arrays unco" in told(own(path))


PIXELS = idx_bytes(images()["x_train"])
LARGE = bytes([0, 0, 8, 3]) + np.array((500, 1000, 1000), ">u4").tobytes()
GZIPS = {
    "lies": (gzip.compress(LARGE), "announce 500,000,000, more than 100 times"),
    "bomb": (gzip.compress(LARGE + bytes(500_000_000), 1), "more than 100 times"),
    "bomb behind": (gzip.compress(PIXELS + bytes(200_000_000), 1), "holds more than the 24 bytes"),
    "too few": (gzip.compress(PIXELS[:-1]), "announces 6 x 2 x 2 bytes, the file holds 23"),
    "garbage behind": (gzip.compress(PIXELS) + b"garbage", "something follows the gzip stream"),
    "a second one behind": (gzip.compress(PIXELS) * 2, "something follows the gzip stream"),
    "wrong sum": (gzip.compress(PIXELS)[:-8] + bytes(8), "damaged or cut short"),
    "endless name": (b"\x1f\x8b\x08\x08" + b"A" * 1_000_000, "damaged or cut short"),
    "gzip in gzip": (gzip.compress(gzip.compress(PIXELS)), "expected IDX magic"),
}


@pytest.mark.parametrize("case", GZIPS)
def test_a_gzipped_idx_file_is_unpacked_as_far_as_its_header_says(
    tmp_path: Path, case: str
) -> None:
    content, rule = GZIPS[case]
    folder = save_idx(tmp_path / "idx", images(), zipped=True)
    path = folder / f"{IDX['x_train']}.gz"
    path.write_bytes(content)
    line = told(own(folder))
    assert line.startswith(f"{path}: ")
    assert rule in line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with what is there under a name and is no file."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    for name, target in {"loop": "loop", "dangling": "nowhere", "endless": "/dev/zero"}.items():
        Path(name).symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield tmp_path


NAMES = {
    "pipe": "expected a file, this is a pipe",
    "socket": "expected a file, this is a socket",
    "endless": "/dev/zero: expected a file, this is a device",
    "/dev/zero": "expected a file, this is a device",
    "/dev/stdin": "expected a file, this is a",
    "dangling": "there is no file or folder",
    "/proc/self/status": "damaged or cut short: it is empty",
    "loop": "there can be no such file",
    "pipe/x": "there is no file or folder",
    "~nobody-of-this-name/x": "there can be no such file",
    "a\0b": "there can be no such file",
    "a\nb\x1b[31m": r"a\nb\x1b[31m",
    "x" * 5000: "File name too long",
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", NAMES)
def test_a_path_that_leads_to_no_file_is_not_waited_for(name: str) -> None:
    assert NAMES[name] in told(mnist(Path(name)))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", [name for name in NAMES if "\0" not in name])
def test_a_variable_that_leads_to_no_file_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("MNIST_PATH", name)
    assert NAMES[name] in told(mnist())


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_an_idx_file_that_is_no_file_is_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = save_idx(tmp_path / "idx", images())
    path = folder / IDX["y_test"]
    path.unlink()
    make(path)
    assert f"{path}: expected a file, this is a" in told(own(folder))


def mutated(content: bytes, other: bytes, generator: np.random.Generator) -> bytes:
    """`content` with bits flipped, cut short, with a part doubled or left out, or with one of `other`."""
    found = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        at, length = generator.integers(0, len(found) + 1), int(generator.integers(1, 40))
        kind = generator.integers(0, 6)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << generator.integers(0, 8)
        elif kind == 1:
            found[at : at + length] = generator.bytes(length)
        elif kind == 2:
            del found[at:]
        elif kind == 3:
            found[at:at] = found[at : at + length]
        elif kind == 4:
            del found[at : at + length]
        else:
            start = generator.integers(0, len(other))
            found[at : at + length] = other[start : start + length]
    return bytes(found)


@pytest.mark.slow
def test_two_thousand_mutated_files_are_read_or_refused_in_a_line(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = images(30, 9)
    originals = {}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        originals[f"{method}.npz"] = save_raw(tmp_path, arrays, method=method).read_bytes()
    originals["array.npz"] = originals["0.npz"][originals["0.npz"].index(_MAGIC) :]
    pixels = idx_bytes(arrays["x_train"])
    originals |= {"idx": pixels, "idx.gz": gzip.compress(pixels)}
    every = b"".join(originals.values())
    folder = save_idx(tmp_path / "idx", arrays)
    (folder / IDX["x_train"]).unlink()
    read, refusals = 0, []
    tracemalloc.start()
    for number in range(2000):
        name = list(originals)[number % len(originals)]
        content = mutated(originals[name], every, generator)
        if name.startswith("idx"):
            file, path = folder / (IDX["x_train"] + name.removeprefix("idx")), folder
        else:
            file = path = tmp_path / name
        file.write_bytes(content)
        try:
            load(own(path))
            read += 1
        except UnavailableError as error:
            refusals.append(str(error))
        finally:
            file.unlink()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert read > 10
    assert len(refusals) > 1000
    assert all(len(line.splitlines()) == 1 and str(tmp_path) in line for line in refusals)
