"""A call has a bound as a whole, and is otherwise itself."""

import threading

import pytest

from pipeline.command.deadline import bounded


def test_a_call_that_does_not_end_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        bounded(0.01)(never.wait)()
    never.set()


def test_a_call_that_ends_gives_what_it_gave() -> None:
    @bounded(60)
    def halve(number: int, *, by: int = 2) -> float:
        return number / by

    assert halve(3, by=4) == 0.75
    with pytest.raises(ZeroDivisionError):
        halve(1, by=0)
