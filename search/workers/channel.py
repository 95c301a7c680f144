"""Whole messages between two processes, without ever waiting for the other one to move."""

import pickle
import queue
import selectors
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_LENGTH = struct.Struct("!Q")  # before each message: how many bytes it has
_CHUNK = 1 << 20
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Channel:
    """One end of a line between two processes. Messages are pickled, so both have to be trusted.

    `send` and `received` never wait: a process that is stopped in the middle of a message keeps the
    rest of it, and nothing else. `recv` waits, for a process that has nothing else to do.
    Raises EOFError or OSError where the other process is gone.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._unread = bytearray()
        self._unsent = bytearray()

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """Both ends. One goes to the other process with the arguments that it is started with."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._line.fileno()

    def close(self) -> None:
        self._line.close()

    @property
    def unsent(self) -> bool:
        """Whether the other process has yet to make room for something."""
        return bool(self._unsent)

    @property
    def unread(self) -> int:
        """How many bytes have come of a message that is not whole yet."""
        return len(self._unread)

    def send(self, obj: Any, /) -> None:
        """Say something. What the line has no room for follows with `flush`."""
        text = pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)
        self._unsent += _LENGTH.pack(len(text)) + text
        self.flush()

    def flush(self) -> None:
        """Send what is left, as far as the line has room for it."""
        try:
            while self._unsent:
                del self._unsent[: self._line.send(memoryview(self._unsent)[:_CHUNK].tobytes())]
        except BlockingIOError:
            pass

    def received(self) -> list[Any]:
        """The messages that have come whole. EOFError only once all of them were given."""
        ended: EOFError | OSError | None = None
        try:
            while chunk := self._line.recv(_CHUNK):
                self._unread += chunk
            ended = EOFError("the other process closed the line")
        except BlockingIOError:
            pass
        except OSError as error:
            ended = error
        found = self._whole()
        if ended is not None and not found:
            raise ended
        return found

    def recv(self) -> Any:
        """The next message, as soon as it is there. For an end that blocks."""
        size = _LENGTH.unpack(self._exactly(_LENGTH.size))[0]
        return pickle.loads(self._exactly(size))  # noqa: S301  # from a process of this launch

    def _whole(self) -> list[Any]:
        found = []
        while len(self._unread) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                break
            found.append(pickle.loads(memoryview(self._unread)[_LENGTH.size : end].tobytes()))  # noqa: S301
            del self._unread[:end]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            if not (chunk := self._line.recv(_CHUNK)):
                raise EOFError("the other process closed the line")
            self._unread += chunk
        found = bytes(memoryview(self._unread)[:size])
        del self._unread[:size]
        return found


@dataclass(frozen=True)
class Own:
    """A line with one trial on it at a time, whose thread reads the answers itself."""

    line: Channel

    def send(self, obj: Any, /) -> None:
        self.line.send(obj)

    def recv(self) -> Any:
        """The next answer, without the number of its trial."""
        return self.line.recv()[1]


@dataclass(frozen=True)
class Shared:
    """What one of several trials has of a line: another thread reads it, and puts the `answers` here."""

    line: Channel
    sending: threading.Lock
    answers: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)

    def send(self, obj: Any, /) -> None:
        with self.sending:
            self.line.send(obj)

    def recv(self) -> Any:
        """The next answer, waited for."""
        return self.answers.get()


def wait(channels: Iterable[Channel], timeout: float) -> None:
    """Return when one of them has something to read or room to write, or after `timeout` seconds.

    What was left to send is sent as far as there is room.
    """
    with _Selector() as selector:
        for channel in channels:
            writes = selectors.EVENT_WRITE if channel.unsent else 0
            selector.register(channel, selectors.EVENT_READ | writes)
        for key, ready in selector.select(timeout):
            if ready & selectors.EVENT_WRITE and isinstance(key.fileobj, Channel):
                with suppress(OSError):  # it is gone: reading says so
                    key.fileobj.flush()
