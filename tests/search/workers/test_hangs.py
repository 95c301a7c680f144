"""Workers that stop moving, wherever they are: the coordinator is never held up by one."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.run.result import State
from search.workers import local
from search.workers.awake import AwakeClock
from search.workers.local import LocalLauncher
from search.workers.messages import Broken, Epoch, Failed, Finished, Lost, Started, Task
from tests.search.workers.launcher_contract import (
    Launch,
    all_of,
    assert_gone,
    last,
    run_of,
    train,
    until,
)
from tests.search.workers.test_local_launcher import TestLocalLauncher as Local

pytestmark = pytest.mark.faults

AT_ONCE = 20.0  # seconds: a bound for a busy machine; what hangs takes for ever


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Makes launchers that are closed with the test."""
    with contextlib.ExitStack() as stack:

        def make(trainer: str, workers: int = 1, **more: Any) -> LocalLauncher:
            launcher = Local.make(trainer, workers, **more)
            stack.callback(launcher.close)
            return launcher

        yield make


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of /tmp."""
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Hand(AwakeClock):
    """A clock that a test puts on."""

    def __init__(self) -> None:
        super().__init__()
        self.later = 0.0

    def __call__(self) -> float:
        return super().__call__() + self.later


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """The clock of the launchers."""
    clock = Hand()
    monkeypatch.setattr(local, "AwakeClock", lambda: clock)
    return clock


def stop(*pids: str | int | None) -> None:
    for pid in pids:
        os.kill(int(pid or 0), signal.SIGSTOP)


def stop_all() -> list[int]:
    found = [process.pid or 0 for process in multiprocessing.active_children()]
    stop(*found)
    return found


def test_a_worker_that_never_starts_is_replaced_and_its_trial_goes_to_the_next(
    launch: Launch, hand: Hand
) -> None:
    launcher = launch("curve_trainer", start_seconds=300)
    stopped = stop_all()
    launcher.submit(Task(0, run_of()))
    hand.later = 301
    events = until(launcher, Finished, Lost, Broken)
    assert last(events, Finished).number == 0
    assert_gone(*map(str, stopped))


def test_workers_none_of_which_ever_starts_are_no_trials_fault(launch: Launch) -> None:
    launcher = launch("curve_trainer", start_seconds=0.01, attempts=2)
    launcher.submit(Task(0, run_of()))
    broken = last(until(launcher, Broken), Broken)
    assert "was not ready within 0.01 s (launcher.start_seconds)" in broken.reason


def test_an_idle_worker_that_is_stopped_is_replaced_when_it_does_not_take_a_trial_up(
    launch: Launch, hand: Hand
) -> None:
    launcher = launch("curve_trainer", start_seconds=300)
    stop(pid := train(launcher, 0))
    launcher.submit(Task(1, run_of()))
    hand.later = 301
    events = until(launcher, Finished, Lost, Broken)
    assert last(events, Started).worker["pid"] != pid
    assert last(events, Finished).number == 1


def test_a_stopped_worker_that_is_sent_more_than_it_can_take_holds_nobody_up(
    launch: Launch, hand: Hand
) -> None:
    """A state to go on from has megabytes; a pipe takes a fraction of one."""
    launcher = launch("curve_trainer", start_seconds=300)
    stop(train(launcher, 0))
    large = State(1, [np.zeros(8_000_000, np.uint8)])
    began = time.monotonic()
    launcher.submit(Task(1, run_of(), large))
    launcher.poll(0.0)
    assert time.monotonic() - began < AT_ONCE
    hand.later = 301
    assert last(until(launcher, Finished, Lost, Broken), Finished).number == 1


@pytest.mark.parametrize("trainer", ["stopped_trainer", "torn_trainer"])
def test_a_worker_that_is_stopped_in_a_trial_costs_it_its_deadline(
    launch: Launch, trainer: str
) -> None:
    """In the middle of its result too."""
    launcher = launch(trainer, trial_seconds=1)
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Failed, Lost, Finished)
    assert last(events, Failed).reason == "past its deadline of 1 s"
    assert_gone(last(events, Started).worker["pid"])
    assert launcher.free() == 1


def test_a_worker_that_says_half_a_message_and_no_more_is_lost(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any deadline for trials. Polling takes no longer than it may meanwhile."""
    monkeypatch.setattr(local, "_TORN_SECONDS", 0.5)
    launcher = launch("torn_trainer")
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Lost, Finished)
    assert "stopped in the middle of a message" in last(events, Lost).reason
    assert_gone(last(events, Started).worker["pid"])
    assert launcher.free() == 1


def test_other_trials_go_on_beside_a_worker_that_is_stopped_within_a_message(
    launch: Launch,
) -> None:
    launcher = launch("torn_trainer", workers=2)
    launcher.submit(Task(0, run_of()))
    pid = last(until(launcher, Started), Started).worker["pid"]
    all_of(launcher, Epoch, 2)
    launcher.poll(0.2)
    began = time.monotonic()
    for _ in range(3):
        launcher.poll(0.01)
    assert time.monotonic() - began < AT_ONCE
    launcher.submit(Task(1, run_of()))
    other = last(until(launcher, Started), Started)
    assert (other.number, other.worker["pid"] != pid) == (1, True)


def test_a_trial_is_not_late_because_the_coordinator_was_stopped(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour passes while the machine is suspended."""
    launcher = launch("curve_trainer", trial_seconds=60, start_seconds=60)
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Epoch, answer=False)
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600)
    launcher.poll(0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 7200)
    launcher.reply(0, False)
    events = until(launcher, Finished, Failed, Lost)
    assert last(events, Finished).number == 0


def test_close_ends_stopped_workers_too(launch: Launch) -> None:
    launcher = launch("curve_trainer", workers=2)
    train(launcher, 0)
    pids = stop_all()
    began = time.monotonic()
    launcher.close()
    assert time.monotonic() - began < AT_ONCE
    assert_gone(*map(str, pids))


# What workers leave behind.


@pytest.mark.parametrize("end", ["close", "kill", "recycle"])
def test_what_a_worker_made_goes_with_it(launch: Launch, temp: Path, end: str) -> None:
    launcher = launch("littering_trainer", trials_per_worker=1 if end == "recycle" else 50)
    launcher.submit(Task(0, run_of()))
    about = last(events := until(launcher, Finished), Started).worker
    assert last(events, Finished)
    litter = Path(about["temp"])
    assert litter.is_relative_to(temp)
    assert list(litter.glob("__autograph_generated_file*.py"))
    if end == "kill":
        os.kill(int(about["pid"]), signal.SIGKILL)
    if end != "close":
        launcher.submit(Task(1, run_of()))
        until(launcher, Finished)
        assert not litter.exists()
    launcher.close()
    assert list(temp.iterdir()) == []


def test_a_temporary_folder_that_is_swept_ends_nothing(launch: Launch, temp: Path) -> None:
    launcher = launch("littering_trainer")
    pid = train(launcher, 0)
    for folder in temp.iterdir():
        shutil.rmtree(folder)
    assert train(launcher, 1) == pid  # the worker that is there
    for folder in temp.iterdir():
        shutil.rmtree(folder)
    os.kill(int(pid), signal.SIGKILL)
    assert train(launcher, 2) != pid  # and the next one
    launcher.close()
    assert list(temp.iterdir()) == []


def test_the_last_words_of_a_worker_are_heard_though_its_log_was_swept_away(
    launch: Launch, temp: Path
) -> None:
    launcher = launch("killed_trainer")
    launcher.submit(Task(0, run_of()))
    until(launcher, Epoch, answer=False)
    for folder in temp.iterdir():
        shutil.rmtree(folder)
    launcher.reply(0, False)
    assert "the last words of a worker" in last(until(launcher, Lost), Lost).reason


def test_idle_workers_end_in_order(launch: Launch) -> None:
    """So that what they would do at their end is done."""
    launcher = launch("curve_trainer")
    train(launcher, 0)
    (process,) = multiprocessing.active_children()
    launcher.close()
    assert process.exitcode == 0
