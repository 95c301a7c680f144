"""What every launcher promises the coordinator. A test class inherits it and says how one is made."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.config import RunConfig
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Failed,
    Finished,
    Launcher,
    LocalConfig,
    Lost,
    RayConfig,
    Started,
    Task,
    launcher_config,
)
from tests.search.conftest import composed, environment, setup_of
from tests.search.fakes import curve, run_result, state

PATIENCE = 240.0  # seconds until a test gives up waiting: a bound, never a pace

Launch = Callable[..., Launcher]


def config(name: str, trainer: str, **changes: Any) -> LocalConfig | RayConfig:
    """The settings of the launcher `name` with a trainer of `tests.search.fakes`."""
    values = composed(f"launcher={name}")["launcher"]
    return launcher_config(values | {"trainer": f"tests.search.fakes.{trainer}"} | changes)


def run_of(dropout: float = 0.1, epochs: int = 3) -> RunConfig:
    """A run whose curve depends on `dropout`."""
    setup = setup_of(f"train.epochs={epochs}", space={"model": {"dropout": [dropout]}})
    return setup.space.apply(setup.run, {"model.dropout": dropout})


def until(launcher: Launcher, *kinds: type[Event], answer: bool = True) -> list[Event]:
    """All events up to the first of one of `kinds`; epochs are answered with "go on"."""
    events: list[Event] = []
    give_up = time.monotonic() + PATIENCE
    while not any(isinstance(event, kinds) for event in events):
        assert time.monotonic() < give_up, f"only {events} after {PATIENCE} s"
        for event in launcher.poll(timeout=1.0):
            if isinstance(event, Epoch) and answer:
                launcher.reply(event.number, False)
            events.append(event)
    return events


def all_of(launcher: Launcher, kind: type[Event], count: int) -> list[Any]:
    """`count` events of `kind`, and nothing that ends a trial before."""
    found: list[Any] = []
    while len(found) < count:
        found += [event for event in until(launcher, kind) if isinstance(event, kind)]
    return found


def last(events: list[Event], kind: type[Event]) -> Any:
    return next(event for event in reversed(events) if isinstance(event, kind))


def train(launcher: Launcher, number: int) -> str:
    """Have a task run to its end; its worker's process id."""
    launcher.submit(Task(number, run_of()))
    events = until(launcher, Finished)
    assert last(events, Finished).number == number
    return str(last(events, Started).worker["pid"])


def assert_gone(*pids: str) -> None:
    """The processes end, if they have not yet."""
    give_up = time.monotonic() + PATIENCE
    while alive := [pid for pid in pids if _is_alive(int(pid))]:
        assert time.monotonic() < give_up, f"still running: {alive}"
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except (ProcessLookupError, FileNotFoundError):
        return False


COORDINATOR = """
import sys
from search.workers.messages import Epoch, Task
from tests.search.workers.launcher_contract import run_of, until
from {module} import {name}

if __name__ == "__main__":
    launcher = {name}.make("hanging_trainer", 1)
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Epoch)
    print(events[0].worker["pid"], flush=True)
    sys.stdin.read()
"""


class LauncherContract:
    """Trainers that need no TensorFlow, in real workers."""

    @staticmethod
    def make(trainer: str, workers: int, **changes: Any) -> Launcher:
        """A launcher whose workers can be killed from here. `changes`: of its settings."""
        raise NotImplementedError

    @pytest.fixture
    def launch(self) -> Iterator[Launch]:
        """Makes launchers that are closed with the test."""
        with contextlib.ExitStack() as stack:

            def make(trainer: str, workers: int = 1, **more: Any) -> Launcher:
                launcher = self.make(trainer, workers, **more)
                stack.callback(launcher.close)
                return launcher

            yield make

    def test_a_trial_is_started_reported_epoch_by_epoch_and_finished(self, launch: Launch) -> None:
        launcher = launch("curve_trainer", threads_per_worker=3)
        run = run_of(dropout=0.2)
        launcher.submit(Task(7, run))
        events = until(launcher, Finished)
        assert [type(event) for event in events] == [Started, Epoch, Epoch, Epoch, Finished]
        assert {event.number for event in events if not isinstance(event, Broken)} == {7}
        assert last(events, Started).worker["threads"] == "3"
        epochs = [event.metrics for event in events if isinstance(event, Epoch)]
        assert [epoch.metrics["val_accuracy"] for epoch in epochs] == curve(run)
        finished = last(events, Finished)
        assert finished.result == run_result(curve(run))
        assert [array.tolist() for array in finished.weights] == [curve(run)]

    def test_trials_run_side_by_side_each_in_its_process(self, launch: Launch) -> None:
        """With nothing more submitted all of them end, as when a study drains."""
        launcher = launch("curve_trainer", workers=2)
        assert launcher.free() == 2
        runs = {0: run_of(0.0), 1: run_of(0.4)}
        for number, run in runs.items():
            launcher.submit(Task(number, run))
        assert launcher.free() == 0
        events: list[Event] = []
        while sum(isinstance(event, Epoch) for event in events) < 2:  # both wait for an answer
            events += until(launcher, Epoch, answer=False)
        assert len({each.worker["pid"] for each in events if isinstance(each, Started)}) == 2
        for number in runs:
            launcher.reply(number, False)
        finished = all_of(launcher, Finished, 2)
        assert {event.number: event.result.value for event in finished} == {
            number: max(curve(run)) for number, run in runs.items()
        }
        assert launcher.free() == 2

    def test_a_free_worker_takes_the_next_trial_while_another_is_busy(self, launch: Launch) -> None:
        launcher = launch("curve_trainer", workers=2)
        for number in range(2):
            launcher.submit(Task(number, run_of()))
        held = last(until(launcher, Epoch, answer=False), Epoch).number  # waits for its answer
        for number in range(2, 5):
            while not launcher.free():
                for event in launcher.poll(1.0):
                    if isinstance(event, Epoch) and event.number != held:
                        launcher.reply(event.number, False)
            launcher.submit(Task(number, run_of()))
        launcher.reply(held, True)

    def test_a_trial_goes_on_from_a_state_and_gives_its_own_back_if_it_is_asked(
        self, launch: Launch
    ) -> None:
        launcher = launch("curve_trainer")
        launcher.submit(Task(0, run_of(epochs=5), state(3), keep_state=True))
        events = until(launcher, Finished)
        assert [event.metrics.epoch for event in events if isinstance(event, Epoch)] == [4, 5]
        assert last(events, Finished).state.epoch == 5
        launcher.submit(Task(1, run_of()))
        assert last(until(launcher, Finished), Finished).state is None

    def test_a_trial_waits_for_the_answer_to_its_epoch_and_ends_when_it_is_pruned(
        self, launch: Launch
    ) -> None:
        launcher = launch("curve_trainer")
        launcher.submit(Task(0, run_of(epochs=50)))
        until(launcher, Epoch, answer=False)
        assert launcher.poll(timeout=0.0) == []
        launcher.reply(0, False)
        assert last(until(launcher, Epoch, answer=False), Epoch).metrics.epoch == 2
        launcher.reply(0, True)
        events = until(launcher, Finished)
        assert [type(event) for event in events] == [Finished]
        result = last(events, Finished).result
        assert (result.stop, len(result.history)) == ("pruned", 2)

    def test_a_worker_stays_for_the_next_trial(self, launch: Launch) -> None:
        launcher = launch("curve_trainer")
        assert train(launcher, 0) == train(launcher, 1)

    def test_a_fresh_process_takes_over_after_trials_per_worker(self, launch: Launch) -> None:
        launcher = launch("curve_trainer", trials_per_worker=2)
        pids = [train(launcher, number) for number in range(3)]
        assert pids[0] == pids[1] != pids[2]
        assert_gone(pids[0])

    # Workers that die, hang or fail.

    def test_a_worker_that_dies_is_lost_with_its_trial_which_can_be_submitted_again(
        self, launch: Launch
    ) -> None:
        launcher = launch("killed_trainer")
        for _ in range(2):
            launcher.submit(Task(4, run_of()))
            events = until(launcher, Lost)
            assert [type(event) for event in events] == [Started, Epoch, Lost]
            lost = last(events, Lost)
            assert lost.number == 4
            assert lost.reason.startswith("its worker ")
            assert launcher.free() == 1

    def test_a_worker_killed_from_outside_is_lost_and_replaced(self, launch: Launch) -> None:
        launcher = launch("hanging_trainer")
        launcher.submit(Task(0, run_of()))
        started = last(until(launcher, Epoch), Started)
        os.kill(int(started.worker["pid"]), signal.SIGABRT)
        assert last(until(launcher, Lost), Lost).number == 0
        assert launcher.free() == 1
        launcher.submit(Task(1, run_of()))
        again = last(until(launcher, Started), Started)
        assert again.number == 1
        assert again.worker["pid"] != started.worker["pid"]

    def test_an_idle_worker_that_dies_costs_no_trial_an_attempt(self, launch: Launch) -> None:
        """Not even the one that was submitted to it; another worker takes it up."""
        launcher = launch("curve_trainer")
        pid = train(launcher, 0)
        os.kill(int(pid), signal.SIGKILL)
        launcher.submit(Task(1, run_of()))
        events = until(launcher, Lost, Finished)
        assert [type(event) for event in events] == [Started, Epoch, Epoch, Epoch, Finished]
        assert last(events, Finished).number == 1
        assert last(events, Started).worker["pid"] != pid
        assert launcher.free() == 1

    def test_a_trial_past_its_deadline_fails_and_its_worker_is_replaced(
        self, launch: Launch
    ) -> None:
        launcher = launch("hanging_trainer", trial_seconds=0.5)
        launcher.submit(Task(0, run_of()))
        events = until(launcher, Failed)
        failed = last(events, Failed)
        assert (failed.number, failed.reason) == (0, "past its deadline of 0.5 s")
        assert failed.traceback is None
        assert_gone(last(events, Started).worker["pid"])
        launcher.submit(Task(1, run_of()))
        assert last(until(launcher, Started), Started).number == 1

    def test_divergence_is_the_trials_own_failure(self, launch: Launch) -> None:
        launcher = launch("diverging_trainer")
        launcher.submit(Task(0, run_of()))
        events = until(launcher, Failed)
        assert last(events, Failed) == Failed(0, "loss is nan at epoch 2", diverged=True)
        assert launcher.free() == 1

    def test_an_exception_comes_with_its_traceback_and_the_worker_goes_on(
        self, launch: Launch
    ) -> None:
        launcher = launch("raising_trainer")
        pids = []
        for number in range(2):
            launcher.submit(Task(number, run_of()))
            events = until(launcher, Failed)
            failed = last(events, Failed)
            assert failed.reason == "KeyError: 'a bug'"
            assert failed.traceback.startswith("Traceback (most recent call last)")
            assert failed.traceback.rstrip().endswith("KeyError: 'a bug'")
            pids.append(last(events, Started).worker["pid"])
        assert pids[0] == pids[1]

    @pytest.mark.parametrize(
        ("trainer", "reason"),
        [
            ("broken_trainer", "RuntimeError: no such data here"),
            ("no_such_trainer", "no_such_trainer"),
        ],
    )
    def test_a_worker_that_can_never_train_says_so(
        self, launch: Launch, trainer: str, reason: str
    ) -> None:
        launcher = launch(trainer)
        broken = last(until(launcher, Broken), Broken)
        assert reason in broken.reason
        assert not broken.unavailable

    def test_a_worker_that_sees_no_gpu_refuses_where_one_is_required(self, launch: Launch) -> None:
        launcher = launch("cpu_trainer", require_gpu=True)
        broken = last(until(launcher, Broken), Broken)
        assert broken.reason.startswith(
            "launcher.require_gpu: expected a GPU, but tensorflow 2.21.0 sees none"
        )
        assert "plumbline[gpu]" in broken.reason
        assert broken.unavailable

    def test_workers_that_die_while_they_start_are_no_trials_fault(self, launch: Launch) -> None:
        launcher = launch("stillborn_trainer", attempts=2)
        launcher.submit(Task(0, run_of()))
        events = until(launcher, Broken, Lost)
        assert "2 workers died while they started" in last(events, Broken).reason
        assert not last(events, Broken).unavailable

    # The end.

    def test_close_leaves_no_process_whatever_it_does(self, launch: Launch) -> None:
        launcher = launch("hanging_trainer", workers=2)
        for number in range(2):
            launcher.submit(Task(number, run_of()))
        started = all_of(launcher, Started, 2)
        launcher.close()
        assert_gone(*(event.worker["pid"] for event in started))

    def test_workers_end_with_a_coordinator_that_is_killed(self, tmp_path: Path) -> None:
        """Even in the middle of a trial."""
        file = tmp_path / "coordinator.py"
        kind = type(self)
        file.write_text(COORDINATOR.format(module=kind.__module__, name=kind.__name__))
        with contextlib.ExitStack() as stack:
            coordinator = subprocess.Popen(
                [sys.executable, str(file)],
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(coordinator)
            stack.callback(coordinator.kill)
            assert coordinator.stdout is not None
            pid = coordinator.stdout.readline().strip()
            assert _is_alive(int(pid))
            coordinator.kill()
            assert_gone(pid)
