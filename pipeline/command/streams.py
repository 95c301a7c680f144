"""The standard streams of a command: always there, and never in the way of what it does."""

import errno
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from pipeline.command.errors import PlumblineError, StoppedError, StorageError


class OutputClosedError(StoppedError):
    """Nobody reads standard output any more: `| head -1`, a closed terminal. Exit code 75, not a word."""


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within the block output that can't be encoded is replaced, and a stream that is closed leads nowhere.

    The first write to standard output that fails raises OutputClosedError or StorageError, in the main
    thread; from then on what is written there is dropped, so that a command can end in order. What
    standard error can't take is dropped from the beginning.
    """
    _open_what_is_closed()
    replace_what_cannot_be_encoded()
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _Guarded(sys.stdout, tells=True))
    sys.stderr = cast(TextIO, _Guarded(sys.stderr, tells=False))
    try:
        yield
    finally:
        with suppress(PlumblineError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


def replace_what_cannot_be_encoded() -> None:
    """Write `?` for a character that the terminal or the log has no code for, in place of an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


class _Guarded:
    """A stream that raises once, an error of ours, when it can't be written. All else is the stream's own."""

    def __init__(self, stream: TextIO, tells: bool) -> None:
        self._stream = stream
        self._tells = tells
        self._is_terminal = stream.isatty()
        self._problem: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except OSError as error:
            self._lose(error)
        self._tell()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)
        self._tell()

    def _lose(self, problem: OSError) -> None:
        """Lead the stream to the null device, with what it still holds: Python writes that when it ends."""
        self._problem = problem
        with open(os.devnull, "wb") as nowhere, suppress(OSError):  # noqa: PTH123
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def _tell(self) -> None:
        # Other threads have work to do that needs no terminal, and nobody would hear of their end.
        if self._problem is None or threading.current_thread() is not threading.main_thread():
            return
        problem, self._problem = self._problem, None
        if not self._tells:
            return
        if problem.errno == errno.EPIPE or (self._is_terminal and problem.errno == errno.EIO):
            raise OutputClosedError("standard output was closed") from None
        raise StorageError(f"standard output: can't be written: {problem.strerror}") from None


def _open_what_is_closed() -> None:
    """Open what the shell closed (`<&-`, `>&-`, `2>&-`) on the null device: a file would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "w" if number else "r")  # noqa: PTH123, SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
