"""Arrays from the IDX files in which MNIST and its relatives are published, gzipped or not.

The format: two zero bytes, a type byte (8: unsigned byte), the number of dimensions, then each
dimension as a big-endian 32-bit integer, then the data (http://yann.lecun.com/exdb/mnist).
"""

import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import UnavailableError
from pipeline.data.checks import check_layout
from pipeline.data.files import Announced, BoundedFile, check_size, opened, shown, told

_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's number for a gzip stream: its header, its sum and its length are checked


class _Open(NamedTuple):
    """An IDX file, read up to the end of its header. `packed`: its size where it is gzipped."""

    stream: "io.BufferedReader[Any]"
    announced: Announced
    packed: int | None


def read_idx_folder(folder: Path, prefer: str | None) -> tuple[dict[str, NDArray[Any]], Path]:
    """The four arrays in `folder` or in torchvision's `NAME/raw` below it, and the folder they are in.

    `prefer`: the NAME to take where there are several, if any. All headers are read and compared with the
    sizes of their files before any data. Raises UnavailableError where a file is missing, damaged,
    or not what it should be.
    """
    with told(shown(folder)):
        found = _folder(folder, prefer)
        files = {name: _file(found, stem) for name, stem in _FILES.items()}
    announced: dict[str, Announced] = {}
    for name, file in files.items():
        with _behind_header(file) as (_, of_file, packed):
            check_size(shown(file), {name: of_file}, packed)
            announced[name] = of_file
    check_layout(announced, shown(found))
    check_size(shown(found), announced, None)
    return {name: _read(file) for name, file in files.items()}, found


def _folder(folder: Path, prefer: str | None) -> Path:
    """`folder`, or the one below it that has the files."""

    def has_files(folder: Path) -> bool:
        return _spelled(folder, _FILES["x_train"]) is not None

    for near in (folder, folder / "raw"):
        if has_files(near):
            return near
    below = {each.parent.name: each for each in sorted(folder.glob("*/raw")) if has_files(each)}
    if prefer in below:
        return below[prefer]
    if len(below) > 1:
        names = ", ".join(f"{shown(name)}/raw" for name in below)
        raise UnavailableError(
            f"{shown(folder)}: has several data sets, {names} (give data.path one of these folders)"
        )
    return next(iter(below.values()), folder)


def _file(folder: Path, stem: str) -> Path:
    if (file := _spelled(folder, stem)) is None:
        raise UnavailableError(
            f"{shown(folder)}: expected the four IDX files of MNIST, there is no {stem}[.gz]"
        )
    return file


def _spelled(folder: Path, stem: str) -> Path | None:
    """The file of `stem` in `folder` as it is spelled there, by its name alone."""
    dotted = stem.replace("-idx", ".idx")
    names = (stem, f"{stem}.gz", dotted, f"{dotted}.gz")
    return next((folder / name for name in names if (folder / name).exists()), None)


@contextmanager
def _behind_header(path: Path) -> Iterator[_Open]:
    """The file at `path` behind its header, which is checked. Its faults are told."""
    place = shown(path)
    dimensions = 1 if "idx1" in path.name else 3
    magic = bytes([0, 0, 8, dimensions])
    length = 4 + 4 * dimensions
    with opened(path) as file:
        zipped = file.read(2) == _GZIP
        file.seek(0)
        raw: Any = _Gunzip(file) if zipped else file
        stream = io.BufferedReader(raw)
        header = stream.read(length)
        if header[:4] != magic:
            raise UnavailableError(
                f"{place}: expected IDX magic {magic.hex()}, got {header[:4].hex()!r}"
            )
        if len(header) < length:
            raise UnavailableError(f"{place}: the file is cut short: {len(header)} bytes")
        shape = tuple(np.frombuffer(header[4:], dtype=">u4").astype(int).tolist())
        announced = Announced(shape, np.dtype(np.uint8))
        if not zipped:
            _check_count(place, announced, file.size - length)
        yield _Open(stream, announced, file.size if zipped else None)


def _read(path: Path) -> NDArray[np.uint8]:
    with _behind_header(path) as (stream, announced, _):
        data = np.empty(math.prod(announced.shape), np.uint8)
        count = stream.readinto(data.data)
        if stream.read(1):
            raise UnavailableError(
                f"{shown(path)}: the file holds more than the {announced.size} bytes that its header "
                "announces"
            )
        _check_count(shown(path), announced, count)
        return data.reshape(announced.shape)


def _check_count(place: str, announced: Announced, count: int) -> None:
    if count != announced.size:
        raise UnavailableError(
            f"{place}: the header announces {' x '.join(map(str, announced.shape))} bytes, "
            f"the file holds {count}"
        )


class _Gunzip(io.RawIOBase):
    """What a gzip stream in a file unpacks to, never more of it at once than is asked for."""

    def __init__(self, file: BoundedFile) -> None:
        self._file = file
        self._decoder = zlib.decompressobj(_GZIP_WINDOW)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._decoder.eof:
            packed = self._decoder.unconsumed_tail or self._file.read(io.DEFAULT_BUFFER_SIZE)
            unpacked = self._decoder.decompress(packed, len(buffer))
            if unpacked:
                buffer[: len(unpacked)] = unpacked
                return len(unpacked)
            if not packed and not self._decoder.eof:
                raise EOFError("the gzip stream ends before its end")
        if self._decoder.unused_data.strip(b"\0") or self._file.read(1):
            raise ValueError("something follows the gzip stream")
        return 0
