"""Arrays from an `.npz` file, as NumPy and Keras write it."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from pipeline.command.errors import UnavailableError
from pipeline.data.checks import ARRAYS, check_layout
from pipeline.data.files import Announced, check_size, opened, shown, told

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LONGEST_HEADER = 1024  # NumPy's of numbers are 118 bytes long
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA takes as much memory as a header says
_ENCRYPTED = 0x1


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The four arrays in the file at `path`. All headers are read and compared with its size first.

    Raises UnavailableError where they are not there, damaged, or not what they should be.
    """
    source = shown(path)
    with opened(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 2, and of what else a header may spell
        head = file.read(16)
        if head.startswith(npy.MAGIC_PREFIX):
            raise UnavailableError(f"{source}: expected an .npz of four arrays, got one .npy array")
        if head and not b"PK".startswith(head[:2]):
            raise UnavailableError(f"{source}: this is not an .npz file, it starts with {head!r}")
        with zipfile.ZipFile(file) as archive:
            members = _members(archive, source)
            announced = {
                name: _announced(archive, members[name], f"{source}: {name}", file.size)
                for name in ARRAYS
            }
            check_layout(announced, source)
            wanted = [members[name] for name in ARRAYS]
            stored = all(member.compress_type == zipfile.ZIP_STORED for member in wanted)
            check_size(
                source, announced, None if stored else sum(each.compress_size for each in wanted)
            )
            return {name: _array(archive, members[name]) for name in ARRAYS}


def _members(archive: zipfile.ZipFile, source: str) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in ARRAYS and name in found:
            raise UnavailableError(f"{source}: {name}: is in the file twice")
        found[name] = member
    if missing := [name for name in ARRAYS if name not in found]:
        names = shown(", ".join(list(found)[:10]))[:200]
        raise UnavailableError(
            f"{source}: expected the arrays {', '.join(ARRAYS)}, got {names or 'none'} "
            f"({', '.join(missing)} missing)"
        )
    return found


def _announced(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str, file_size: int
) -> Announced:
    if member.flag_bits & _ENCRYPTED:
        raise UnavailableError(f"{place}: is encrypted (save it without a password)")
    if member.compress_type not in _METHODS:
        raise UnavailableError(
            f"{place}: expected what NumPy writes, stored or deflated, got compression method "
            f"{member.compress_type} (save it with numpy.savez)"
        )
    with archive.open(member) as packed:
        start = io.BytesIO(packed.read(2 * _LONGEST_HEADER))
    if not start.getvalue().startswith(npy.MAGIC_PREFIX):
        raise UnavailableError(f"{place}: this is no NumPy array (save it with numpy.savez)")
    with told(place, "its header is broken"):
        version = npy.read_magic(start)
        if version not in _HEADERS:
            raise ValueError(f"expected version 1 or 2, got {'.'.join(map(str, version))}")
        shape, _, dtype = _HEADERS[version](start, max_header_size=_LONGEST_HEADER)
        if any(side < 0 for side in shape):
            raise ValueError(f"shape {shape}")
    if dtype.hasobject:
        raise UnavailableError(
            f"{place}: holds object arrays, which are pickles and could run code: not loaded "
            "(save the arrays with a numeric dtype)"
        )
    stored = member.compress_type == zipfile.ZIP_STORED
    if member.compress_size > file_size or (stored and member.file_size > member.compress_size):
        raise UnavailableError(f"{place}: claims {member.file_size:,} bytes that the file has not")
    announced = Announced(shape, dtype)
    there = member.file_size - start.tell()
    if announced.size != there:
        raise UnavailableError(
            f"{place}: its header announces shape {str(shape)[:100]} of {dtype.itemsize} bytes each, "
            f"the file holds {there:,} bytes"
        )
    return announced


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as packed:
        array: NDArray[Any] = npy.read_array(packed, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
