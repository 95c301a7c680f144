"""Signals: what was asked for once is done, wherever Python was when it came."""

import signal
from collections.abc import Iterator

import pytest

from pipeline.errors import StoppedError
from search.stopping import Stopper, stopping_at_once


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the test runner are put back."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


class Finaliser:
    """A signal comes while it is thrown away."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_dropped_in_a_finaliser_still_stops_the_launch() -> None:
    with pytest.raises(StoppedError), stopping_at_once():
        Finaliser()
        with Stopper(0, print).listening():
            pytest.fail("the study began")


def test_signals_that_come_after_a_study_was_stopped_change_nothing() -> None:
    with stopping_at_once():
        stopper = Stopper(0, print)
        with stopper.listening():
            signal.raise_signal(signal.SIGTERM)
        assert stopper.expired
        signal.raise_signal(signal.SIGTERM)


def test_a_study_that_was_not_stopped_can_be_stopped_while_it_ends() -> None:
    with pytest.raises(StoppedError, match="SIGINT"), stopping_at_once():
        with Stopper(0, print).listening():
            pass
        signal.raise_signal(signal.SIGINT)
