"""Worker processes that train several trials at once: who gets which, and what one costs the others."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.run.config import RunConfig
from search.workers.local import LocalLauncher
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Excused,
    Failed,
    Finished,
    LocalConfig,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from tests.search.workers.lane_trainers import DIES, LEAVES, QUIET, STARVES, WAITS
from tests.search.workers.launcher_contract import Launch, all_of, config, last, run_of, until
from tests.search.workers.test_hangs import Hand, hand

__all__ = ["hand"]  # a fixture

pytestmark = pytest.mark.faults  # processes, some of which are ended


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Makes launchers with lanes that are closed with the test."""
    with contextlib.ExitStack() as stack:

        def make(trainer: str, lanes: int = 3, workers: int = 1, **changes: Any) -> LocalLauncher:
            known = config("local", "curve_trainer", **changes)
            assert isinstance(known, LocalConfig)
            place = f"tests.search.workers.lane_trainers.{trainer}"
            settings = known.model_copy(update={"lanes": lanes, "trainer": place})
            launcher = LocalLauncher(settings, run_of().data, workers * lanes)
            stack.callback(launcher.close)
            return launcher

        yield make


def wide(units: int) -> RunConfig:
    """A run that waits, of a shape of its own."""
    run = run_of(epochs=WAITS)
    return run.model_copy(update={"model": run.model.model_copy(update={"hidden_units": units})})


def running(launcher: Any, *kinds: int) -> list[Started]:
    """Submit a trial of each kind; they are all taken up, and their first epochs wait for an answer."""
    for number, kind in enumerate(kinds):
        launcher.submit(Task(number, run_of(epochs=kind)))
    begun: list[Started] = []
    epochs = 0
    while len(begun) < len(kinds) or epochs < len(kinds):
        for event in launcher.poll(timeout=1.0):
            assert isinstance(event, Started | Epoch), event
            begun += [event] if isinstance(event, Started) else []
            epochs += isinstance(event, Epoch)
    return begun


def of(events: list[Event], kind: type[Any]) -> dict[int, str]:
    """The reasons of the events of a `kind`, by trial."""
    return {event.number: event.reason for event in events if isinstance(event, kind)}


def test_as_many_trials_run_at_once_in_a_process_as_it_has_lanes(launch: Launch) -> None:
    launcher = launch("meeting_trainer", trials_per_worker=1)
    assert launcher.free() == 3
    begun: list[Started] = []
    for first in (0, 3):
        for number in range(first, first + 3):
            launcher.submit(Task(number, run_of()))
        assert launcher.free() == 0
        events: list[Event] = []
        while sum(isinstance(event, Finished) for event in events) < 3:
            events += until(launcher, Finished)
        begun += [event for event in events if isinstance(event, Started)]
        assert launcher.free() == 3
    assert sorted(each.worker["worker"] for each in begun) == sorted(2 * ["0.0", "0.1", "0.2"])
    assert {each.worker["lanes"] for each in begun} == {"3"}
    pids = [each.worker["pid"] for each in begun]
    assert len(set(pids[:3])) == len(set(pids[3:])) == 1
    assert pids[0] != pids[3], "after a trial for each lane a fresh process takes over"


def test_an_answer_reaches_the_trial_that_it_is_for(launch: Launch) -> None:
    launcher = launch("mixed_trainer")
    running(launcher, QUIET, QUIET)
    launcher.reply(1, False)
    assert last(until(launcher, Finished), Finished).number == 1
    launcher.reply(0, False)
    assert last(until(launcher, Finished), Finished).number == 0


def test_a_trial_goes_where_its_shape_runs_else_where_the_fewest_do(launch: Launch) -> None:
    launcher = launch("mixed_trainer", lanes=2, workers=2)
    for number, units in enumerate((16, 32, 16, 64)):
        launcher.submit(Task(number, wide(units)))
    begun = {each.number: each.worker["worker"] for each in all_of(launcher, Started, 4)}
    assert begun == {0: "0.0", 1: "1.0", 2: "0.1", 3: "1.1"}


@pytest.mark.parametrize(
    ("end", "words"), [(DIES, "was ended by SIGKILL"), (LEAVES, "ended with exit code 1")]
)
def test_a_process_that_dies_costs_an_attempt_of_each_of_its_trials(
    launch: Launch, end: int, words: str
) -> None:
    launcher = launch("mixed_trainer")
    running(launcher, WAITS, end, WAITS)
    launcher.reply(1, False)
    events: list[Event] = []
    while len(of(events, Lost)) < 3:
        events += launcher.poll(timeout=1.0)
    assert set(of(events, Lost)) == {0, 1, 2}
    assert all(words in reason for reason in of(events, Lost).values())
    assert launcher.free() == 3


def test_those_beside_a_trial_past_its_deadline_are_excused(launch: Launch, hand: Hand) -> None:
    launcher = launch("mixed_trainer", trial_seconds=3600.0)
    launcher.submit(Task(0, run_of(epochs=WAITS)))
    events = until(launcher, Epoch, answer=False)
    hand.later += 2000
    for number in (1, 2):  # so these are not late when it is
        launcher.submit(Task(number, run_of(epochs=WAITS)))
    all_of(launcher, Started, 2)
    hand.later += 2000
    while not of(events, Failed):
        events += launcher.poll(timeout=0.1)
    assert of(events, Failed) == {0: "past its deadline of 3600 s"}
    beside = "trial 0, which the same worker trained, was past its deadline of 3600 s"
    assert of(events, Excused) == {1: beside, 2: beside}
    assert launcher.free() == 3


def test_without_memory_a_worker_goes_on_with_half_its_lanes_down_to_one(launch: Launch) -> None:
    launcher = launch("mixed_trainer", lanes=4)
    for lanes, kinds in ((4, (WAITS, STARVES, WAITS)), (2, (STARVES,))):
        begun = running(launcher, *kinds)
        assert {each.worker["lanes"] for each in begun} == {str(lanes)}
        launcher.reply(len(kinds) // 2, False)
        events = until(launcher, Excused)
        assert set(of(events, Excused)) == set(range(len(kinds)))
        half = f"worker 0 had no memory for {lanes} lanes and goes on with {lanes // 2}"
        assert half in last(events, Excused).reason
        assert launcher.free() == lanes // 2
    (begun_alone,) = running(launcher, STARVES)
    assert "lanes" not in begun_alone.worker
    launcher.reply(0, False)
    assert last(until(launcher, OutOfMemory), OutOfMemory).number == 0
    assert launcher.free() == 1


def test_a_result_that_came_before_the_memory_ran_out_is_kept(launch: Launch) -> None:
    launcher = launch("mixed_trainer")
    running(launcher, QUIET, STARVES)
    launcher.reply(0, False)
    launcher.reply(1, False)
    events: list[Event] = []
    while not of(events, Excused):
        events += launcher.poll(timeout=1.0)
    finished = {event.number for event in events if isinstance(event, Finished)}
    assert finished | set(of(events, Excused)) == {0, 1}
    assert 1 in of(events, Excused)


def test_a_trainer_that_trains_one_run_at_a_time_is_refused(launch: Launch) -> None:
    launcher = launch("mixed_trainer")
    launcher.close()
    known = config("local", "curve_trainer")
    alone = LocalLauncher(known.model_copy(update={"lanes": 2}), run_of().data, 2)  # type: ignore[arg-type]
    with contextlib.closing(alone):
        alone.submit(Task(0, run_of()))
        broken = last(until(alone, Broken), Broken)
    assert (
        broken.reason == "launcher.lanes: tests.search.fakes.curve_trainer trains one run at a time"
    )
