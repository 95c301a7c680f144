"""Files that somebody else made: opened without waiting, read within bounds, their faults told in a line."""

import io
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.command.errors import PlumblineError, UnavailableError

BLOCK = 1 << 20
"""Bytes that are read at once: no header and no directory of four arrays is longer."""

_PLENTY = 64 << 20
"""Bytes that any file may announce unchecked: so few do no harm."""

_DENSE = 100
"""How many times its compressed size a file may announce beyond them; real data stay far below."""

_LONGEST = 1000  # characters of a name or a reason in an error

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Announced(NamedTuple):
    """What the header of an array says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


class BoundedFile(io.FileIO):
    """A file that refuses to read more than a block at once, whatever a header asks for."""

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, or all that are left."""
        if size is None or size < 0:
            size = max(0, self.size - self.tell())
        if size > BLOCK:
            raise ValueError(f"a part of it claims {size:,} bytes")
        return super().read(size) or b""


@contextmanager
def told(
    place: str,
    fault: str = "the file is damaged or cut short",
    kind: type[PlumblineError] = UnavailableError,
) -> Iterator[None]:
    """Raise an error of `kind` with `place` and one line for whatever goes wrong in the block.

    `fault`: what it means when a parser fails, as parsers raise whatever they like.
    """
    try:
        yield
    except PlumblineError:
        raise
    except OSError as error:
        raise kind(f"{place}: can't be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise kind(f"{place}: there is not enough memory to read it") from error
    except Exception as error:
        reason = shown((str(error).splitlines() or [""])[0][:200] or type(error).__name__)
        raise kind(f"{place}: {fault}: {reason}") from error


@contextmanager
def opened(path: Path) -> Iterator[BoundedFile]:
    """The file at `path`, in a block whose faults are told. Only a real file is opened.

    Raises UnavailableError for what would block or never end: pipes, sockets, devices.
    """
    with told(shown(path)):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise UnavailableError(f"{shown(path)}: expected a file, this is {kind}")
        if status.st_size == 0:  # so are files of the system that have no end, or wait
            raise EOFError("it is empty")
        with BoundedFile(path) as file:
            yield file


def check_size(place: str, announced: Mapping[str, Announced], compressed: int | None) -> None:
    """Raise UnavailableError where `announced` arrays are too large to be true, or for this machine.

    `compressed`: bytes in the file that they are to come from; None where they are not compressed.
    """
    total = sum(array.size for array in announced.values())
    if compressed is not None and total > max(_PLENTY, _DENSE * compressed):
        raise UnavailableError(
            f"{place}: {compressed:,} compressed bytes announce {total:,}, more than {_DENSE} times as "
            "many is not unpacked (save the arrays uncompressed)"
        )
    # As they were read, and as the network sees them.
    needed = total + sum(4 * math.prod(array.shape) for array in announced.values())
    if needed > (memory := _memory()):
        raise UnavailableError(
            f"{place}: the arrays need {needed / 1e9:,.1f} GB of memory, this machine has "
            f"{memory / 1e9:,.1f} GB"
        )


def shown(text: object) -> str:
    """`text` in one line that any terminal can print, cut where it is far too long."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(text)
    )
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]}...{line[-_LONGEST // 2 :]}"


def _memory() -> int:
    """Bytes of memory that this process may fill, as far as the system tells."""
    known = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # a container's
        file = Path("/sys/fs/cgroup") / limit
        if file.exists() and (text := file.read_text().strip()).isdigit():
            known.append(int(text))
    return min(known)
