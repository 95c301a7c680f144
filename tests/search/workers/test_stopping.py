"""Signals: what was asked for once is done, wherever Python was when it came."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.command.errors import StoppedError
from pipeline.command.signals import SIGNALS, stopping_at_once
from search.workers import pool, stopping
from search.workers.pool import Pool
from search.workers.stopping import Stopper, Wish
from tests.search.fakes import FakeLauncher, trains


@pytest.fixture(autouse=True)
def before() -> Iterator[list[object]]:
    """Handlers of signals that are heard, whoever started the test runner; its own are put back."""
    handlers = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, handlers, strict=True):
        if handler == signal.SIG_IGN:  # as under nohup, whose wish a study respects
            signal.signal(number, signal.SIG_DFL)
    yield [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, handlers, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("signals", "grace", "expired"),
    [
        ([signal.SIGINT], 0.0, False),
        ([signal.SIGINT, signal.SIGINT], 9e9, True),
        ([signal.SIGTERM], 9e9, False),
        ([signal.SIGHUP], 9e9, False),
        ([signal.SIGTERM], 0.0, True),
        ([signal.SIGINT, signal.SIGTERM], 0.0, True),
    ],
)
def test_the_first_ctrl_c_drains_the_second_stops_and_sigterm_gives_its_grace(
    signals: list[signal.Signals], grace: float, expired: bool, before: list[object]
) -> None:
    notes: list[str] = []
    stopper = Stopper(grace, notes.append)
    with stopper.listening():
        assert (stopper.draining, stopper.expired) == (False, False)
        for number in signals:
            signal.raise_signal(number)
    assert (stopper.draining, stopper.expired) == (True, expired)
    assert len(notes) == len(signals)
    after = [signal.SIG_IGN] * len(SIGNALS) if expired else before
    assert [signal.getsignal(number) for number in SIGNALS] == after


def test_no_trial_begins_that_would_end_after_the_budget() -> None:
    notes: list[str] = []
    stopper = Stopper(0, notes.append, time.monotonic() + 1000)
    stopper.allow(500)
    assert not stopper.draining
    stopper.allow(2000)
    stopper.allow(2000)
    assert (stopper.draining, stopper.expired) == (True, False)
    assert len(notes) == 1
    assert "a trial takes 2000 s" in notes[0]
    assert 0 < stopper.seconds_left <= 1000


def test_a_budget_that_is_spent_ends_everything_and_begins_nothing() -> None:
    stopper = Stopper(0, print, time.monotonic() - 1)
    stopper.allow(0.0)
    assert (stopper.draining, stopper.expired) == (True, True)
    assert stopper.seconds_left == 0


class Finaliser:
    """A signal comes while it is thrown away."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_that_python_drops_in_a_finaliser_comes_again(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without a word of it."""

    def launch() -> None:
        Finaliser()
        threading.Event().wait(60)
        pytest.fail("no signal came")

    with pytest.raises(StoppedError, match="SIGTERM"), stopping_at_once():
        launch()
    assert capfd.readouterr().err == ""


def test_a_signal_that_python_drops_stops_a_study_that_begins_meanwhile() -> None:
    heard = threading.Event()
    stopper = Stopper(0, lambda _: heard.set())
    with stopping_at_once():
        Finaliser()
        with stopper.listening():
            assert heard.wait(60)
    assert (stopper.draining, stopper.told) == (True, True)


def test_a_hang_up_that_is_ignored_from_the_start_stays_so() -> None:
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopper = Stopper(0, print)
    with stopping_at_once():
        signal.raise_signal(signal.SIGHUP)
        with stopper.listening():
            signal.raise_signal(signal.SIGHUP)
    assert not stopper.draining


def test_a_study_that_was_not_stopped_can_be_stopped_while_it_ends() -> None:
    def launch() -> None:
        with Stopper(0, print).listening():
            pass
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the study went on")

    with pytest.raises(StoppedError, match="SIGINT"), stopping_at_once():
        launch()


def test_no_library_takes_a_signal_for_a_failure_of_its_own() -> None:
    def library() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:  # noqa: BLE001
            pytest.fail("the signal was swallowed")

    with pytest.raises(StoppedError, match="SIGTERM"), stopping_at_once():
        library()


def test_it_drains_as_the_first_ctrl_c_does_and_stops_as_the_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(stopping, "_LOOK_SHARE", 0)
    wish: list[Wish | None] = [None]
    notes: list[str] = []
    stopper = Stopper(0, notes.append, asked=lambda: wish[0])

    def look() -> tuple[bool, bool, bool]:
        stopper.look()
        return stopper.draining, stopper.told, stopper.expired

    assert look() == (False, False, False)
    wish[0] = "finish"
    assert look() == look() == (True, True, False)
    assert notes == ["Told to stop (search.studies): finishing the running trials."]
    wish[0] = "now"
    assert look() == look() == (True, True, True)
    assert notes[1:] == ["Stopping at once."]


def test_looking_costs_a_launch_next_to_nothing() -> None:
    """However often its events come, and however slow the table is: no more than a fiftieth of its time."""
    looks = []

    def slow() -> None:
        looks.append(time.monotonic())
        time.sleep(0.01)

    stopper = Stopper(0, print, asked=slow)
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        stopper.look()
    assert len(looks) == 1
    assert stopper._look_at - looks[0] >= 50 * 0.01


def test_a_wish_is_heard_within_a_second_by_a_pool_in_which_nothing_happens() -> None:
    assert stopping._LOOK_SECONDS + pool._POLL_SECONDS < 1


@pytest.mark.parametrize("wish", ["finish", "now"])
def test_a_pool_hears_what_is_asked_from_elsewhere(wish: Wish) -> None:
    stopper = Stopper(0, lambda _: None, asked=lambda: wish)
    given = Pool(FakeLauncher(trains), 1, stopper).run(lambda: pytest.fail("a trial began"))
    assert list(given) == []
