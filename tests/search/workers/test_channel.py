"""Messages between two processes, of which one may stop anywhere."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from search.workers.channel import Channel, wait

LARGE = np.zeros(4_000_000, np.uint8)  # more than a line has room for


@pytest.fixture
def line() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def raw(sent: Any) -> bytes:
    """`sent` as it travels."""
    one, other = socket.socketpair()
    with one, other:
        threading.Thread(target=Channel(one).send, args=[sent], daemon=True).start()
        whole = Channel(other)
        assert np.array_equal(whole.recv(), sent)
        threading.Thread(target=Channel(one).send, args=[sent], daemon=True).start()
        found = b""
        while len(found) < 8 or len(found) < 8 + int.from_bytes(found[:8], "big"):
            found += other.recv(1 << 20)
        return found


def test_messages_arrive_whole_and_in_order(line: tuple[Channel, Channel]) -> None:
    ours, theirs = line
    for message in ("one", None, {"two": 2}):
        theirs.send(message)
    assert ours.received() == ["one", None, {"two": 2}]
    assert ours.received() == []
    ours.send("three")
    assert theirs.recv() == "three"


@pytest.mark.parametrize("part", [1, 8, 9, -1])
def test_a_message_in_part_is_not_waited_for_and_is_given_when_it_is_whole(
    part: int,
) -> None:
    text = raw("a message")
    one, other = socket.socketpair()
    other.setblocking(False)
    with one, other:
        ours = Channel(other)
        one.sendall(text[:part])
        assert ours.received() == []
        assert ours.unread == len(text[:part])
        one.sendall(text[part:])
        assert ours.received() == ["a message"]
        assert ours.unread == 0


def test_one_who_does_not_read_is_not_waited_for(line: tuple[Channel, Channel]) -> None:
    ours, theirs = line
    ours.send(LARGE)
    assert ours.unsent
    ours.send("after it")
    heard: list[Any] = []
    reader = threading.Thread(target=lambda: heard.extend([theirs.recv(), theirs.recv()]))
    reader.start()
    while ours.unsent:
        wait([ours], 1.0)
    reader.join()
    assert np.array_equal(heard[0], LARGE)
    assert heard[1] == "after it"


def test_what_was_said_before_the_end_is_heard_before_it(line: tuple[Channel, Channel]) -> None:
    ours, theirs = line
    theirs.send("last words")
    theirs.close()
    assert ours.received() == ["last words"]
    with pytest.raises(EOFError):
        ours.received()


def test_an_end_within_a_message_is_an_end() -> None:
    one, other = socket.socketpair()
    other.setblocking(False)
    with other:
        with one:
            one.sendall(raw("a message")[:-1])
        ours = Channel(other)
        with pytest.raises(EOFError):
            ours.received()


def test_waiting_ends_when_there_is_something_to_read(line: tuple[Channel, Channel]) -> None:
    ours, theirs = line
    wait([ours], 0.0)  # nothing: it does not take longer than it may
    theirs.send("news")
    wait([ours], 600.0)
    assert ours.received() == ["news"]


def test_one_who_is_gone_with_something_unsent_is_found_gone_by_reading(
    line: tuple[Channel, Channel],
) -> None:
    ours, theirs = line
    ours.send(LARGE)
    theirs.close()
    wait([ours], 600.0)
    with pytest.raises((EOFError, OSError)):
        ours.received()
