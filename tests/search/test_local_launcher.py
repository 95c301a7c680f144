"""Worker processes on this machine: real ones, with trainers that need no TensorFlow."""

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig, validated
from search.devices import Gpu
from search.launchers.base import (
    Broken,
    Epoch,
    Event,
    Failed,
    Finished,
    LauncherConfig,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from search.launchers.local import LocalLauncher, default_workers
from search.system import GpuMeter
from tests.search.conftest import composed, environment, setup_of
from tests.search.fakes import DEVICE, HOLD, PORT, curve, run_result, state

PATIENCE = 30.0  # seconds until a test gives up waiting for an event

Launch = Callable[..., LocalLauncher]


def config(trainer: str, **changes: Any) -> LauncherConfig:
    values = composed()["launcher"] | {"trainer": f"tests.search.fakes.{trainer}"} | changes
    return validated(LauncherConfig, values, "launcher")


def run_of(dropout: float = 0.1, epochs: int = 3) -> RunConfig:
    """A run whose curve depends on `dropout`."""
    setup = setup_of(f"train.epochs={epochs}", space={"model": {"dropout": [dropout]}})
    return setup.space.apply(setup.run, {"model.dropout": dropout})


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Makes launchers that are closed with the test."""
    with contextlib.ExitStack() as stack:

        def make(
            trainer: str,
            workers: int = 1,
            gpus: Sequence[Gpu] = (),
            meter: GpuMeter | None = None,
            **changes: Any,
        ) -> LocalLauncher:
            made = config(trainer, **changes)
            launcher = LocalLauncher(made, run_of().data, workers, gpus, meter)
            stack.callback(launcher.close)
            return launcher

        yield make


def until(launcher: LocalLauncher, *kinds: type[Event], answer: bool = True) -> list[Event]:
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


def all_of(launcher: LocalLauncher, kind: type[Event], count: int) -> list[Any]:
    """`count` events of `kind`, and nothing that ends a trial before."""
    found: list[Any] = []
    while len(found) < count:
        found += [event for event in until(launcher, kind) if isinstance(event, kind)]
    return found


def last(events: list[Event], kind: type[Event]) -> Any:
    return next(event for event in reversed(events) if isinstance(event, kind))


def train(launcher: LocalLauncher, number: int) -> str:
    """Have a task run to its end; its worker's process id."""
    launcher.submit(Task(number, run_of()))
    events = until(launcher, Finished)
    assert last(events, Finished).number == number
    return str(last(events, Started).worker["pid"])


def is_gone(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_trial_is_started_reported_epoch_by_epoch_and_finished(launch: Launch) -> None:
    launcher = launch("curve_trainer", threads_per_worker=3)
    run = run_of(dropout=0.2)
    launcher.submit(Task(7, run))
    events = until(launcher, Finished)
    assert [type(event) for event in events] == [Started, Epoch, Epoch, Epoch, Finished]
    assert {event.number for event in events if not isinstance(event, Broken)} == {7}
    assert last(events, Started).worker["threads"] == "3"
    epochs = [event.metrics for event in events if isinstance(event, Epoch)]
    assert [epoch.metrics["val_accuracy"] for epoch in epochs] == curve(run)
    assert last(events, Finished).result == run_result(curve(run))


def test_trials_run_side_by_side_each_in_its_process(launch: Launch) -> None:
    launcher = launch("curve_trainer", workers=2)
    assert launcher.free() == 2
    runs = {0: run_of(0.0), 1: run_of(0.4)}
    for number, run in runs.items():
        launcher.submit(Task(number, run))
    assert launcher.free() == 0
    finished = all_of(launcher, Finished, 2)
    assert {event.number: event.result.value for event in finished} == {
        number: max(curve(run)) for number, run in runs.items()
    }
    assert launcher.free() == 2


def test_a_trial_goes_on_from_a_state_and_gives_its_own_back_if_it_is_asked(
    launch: Launch,
) -> None:
    launcher = launch("curve_trainer")
    launcher.submit(Task(0, run_of(epochs=5), state(3), keep_state=True))
    events = until(launcher, Finished)
    assert [event.metrics.epoch for event in events if isinstance(event, Epoch)] == [4, 5]
    assert last(events, Finished).state.epoch == 5
    launcher.submit(Task(1, run_of()))
    assert last(until(launcher, Finished), Finished).state is None


def test_a_trial_waits_for_the_answer_to_its_epoch_and_ends_when_it_is_pruned(
    launch: Launch,
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


def test_a_worker_stays_for_the_next_trial(launch: Launch) -> None:
    launcher = launch("curve_trainer")
    assert train(launcher, 0) == train(launcher, 1)


def test_a_fresh_process_takes_over_after_trials_per_worker(launch: Launch) -> None:
    launcher = launch("curve_trainer", trials_per_worker=2)
    pids = [train(launcher, number) for number in range(3)]
    assert pids[0] == pids[1] != pids[2]
    assert is_gone(pids[0])


# Workers that die, hang or fail.


def test_a_killed_worker_is_lost_with_its_signal_and_last_words(launch: Launch) -> None:
    launcher = launch("killed_trainer")
    launcher.submit(Task(4, run_of()))
    events = until(launcher, Lost)
    lost = last(events, Lost)
    assert lost.number == 4
    assert "its worker was ended by SIGKILL" in lost.reason
    assert "the last words of a worker" in lost.reason
    assert [type(event) for event in events] == [Started, Epoch, Lost]


def test_a_worker_killed_from_outside_is_lost_and_replaced(launch: Launch) -> None:
    launcher = launch("hanging_trainer")
    launcher.submit(Task(0, run_of()))
    started = last(until(launcher, Epoch), Started)
    os.kill(int(started.worker["pid"]), signal.SIGABRT)
    assert "SIGABRT" in last(until(launcher, Lost), Lost).reason
    assert launcher.free() == 1
    launcher.submit(Task(1, run_of()))
    again = last(until(launcher, Started), Started)
    assert again.number == 1
    assert again.worker["pid"] != started.worker["pid"]


def test_a_task_submitted_to_a_dead_worker_is_lost_and_never_forgotten(launch: Launch) -> None:
    launcher = launch("curve_trainer")
    pid = train(launcher, 0)
    os.kill(int(pid), signal.SIGKILL)
    launcher.submit(Task(1, run_of()))
    assert last(until(launcher, Lost, Finished), Lost).number == 1
    assert train(launcher, 1) != pid


def test_a_trial_past_its_deadline_fails_and_its_worker_is_replaced(launch: Launch) -> None:
    launcher = launch("hanging_trainer", trial_seconds=0.5)
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Failed)
    failed = last(events, Failed)
    assert (failed.number, failed.reason) == (0, "past its deadline of 0.5 s")
    assert failed.traceback is None
    assert is_gone(last(events, Started).worker["pid"])
    launcher.submit(Task(1, run_of()))
    assert last(until(launcher, Started), Started).number == 1


def test_a_trial_that_dies_past_its_deadline_is_told_once(launch: Launch) -> None:
    launcher = launch("dying_trainer", trial_seconds=1e-6)
    (process,) = multiprocessing.active_children()
    launcher.submit(Task(0, run_of()))
    os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)  # all is in the pipe now
    events = launcher.poll(timeout=1.0)
    assert [type(event) for event in events] == [Started, Lost]
    assert launcher.free() == 1


def test_divergence_is_the_trials_own_failure(launch: Launch) -> None:
    launcher = launch("diverging_trainer")
    launcher.submit(Task(0, run_of()))
    events = until(launcher, Failed)
    assert last(events, Failed) == Failed(0, "loss is nan at epoch 2")
    assert launcher.free() == 1


def test_an_exception_comes_with_its_traceback_and_the_worker_goes_on(launch: Launch) -> None:
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
def test_a_worker_that_can_never_train_says_so(launch: Launch, trainer: str, reason: str) -> None:
    launcher = launch(trainer)
    assert reason in last(until(launcher, Broken), Broken).reason


# The end.


def test_close_leaves_no_process_whatever_it_does(launch: Launch) -> None:
    launcher = launch("hanging_trainer", workers=2)
    for number in range(2):
        launcher.submit(Task(number, run_of()))
    started = all_of(launcher, Started, 2)
    launcher.close()
    assert [is_gone(event.worker["pid"]) for event in started] == [True, True]


COORDINATOR = """
import sys
from search.launchers.base import Epoch, Task
from tests.search.test_local_launcher import config, run_of, until
from search.launchers.local import LocalLauncher

if __name__ == "__main__":
    launcher = LocalLauncher(config("reporting_trainer"), run_of().data, 1)
    launcher.submit(Task(0, run_of()))
    until(launcher, Epoch)
    sys.stdin.read()
"""


def test_workers_end_with_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    """Even in the middle of a trial: the connection that a worker holds open ends with its process."""
    file = tmp_path / "coordinator.py"
    file.write_text(COORDINATOR)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server.settimeout(PATIENCE)
        coordinator = subprocess.Popen(
            [sys.executable, str(file)],
            env=environment(**{PORT: str(server.getsockname()[1])}),
            stdin=subprocess.PIPE,
        )
        stack.callback(coordinator.wait)
        stack.callback(coordinator.kill)
        line = stack.enter_context(server.accept()[0])
        line.settimeout(PATIENCE)
        assert line.recv(4) == b"here"
        coordinator.kill()
        assert line.recv(1) == b""


# GPUs. None is needed: a worker says what it was given.


def gpus(count: int) -> list[Gpu]:
    return [Gpu(f"{number + 2}", "fake", 1000) for number in range(count)]


def test_a_worker_sees_only_its_own_gpu(launch: Launch) -> None:
    """Three workers on two GPUs: they are dealt out in turn."""
    launcher = launch("hanging_trainer", workers=3, gpus=gpus(2))
    for number in range(3):
        launcher.submit(Task(number, run_of()))
    seen = [event.worker["gpu"] for event in all_of(launcher, Started, 3)]
    assert sorted(seen) == ["2", "2", "3"]


def test_a_worker_without_gpus_is_left_with_the_environment(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    launcher = launch("curve_trainer")
    launcher.submit(Task(0, run_of()))
    assert last(until(launcher, Started), Started).worker["gpu"] == "-1"


def test_the_gpu_of_a_dead_worker_goes_to_the_one_that_takes_its_place(launch: Launch) -> None:
    launcher = launch("hanging_trainer", workers=2, gpus=gpus(2))
    for number in range(2):
        launcher.submit(Task(number, run_of()))
    started = all_of(launcher, Started, 2)
    for number, dead in enumerate(started, start=2):  # the one, then the other
        os.kill(int(dead.worker["pid"]), signal.SIGKILL)
        assert last(until(launcher, Lost), Lost).number == dead.number
        launcher.submit(Task(number, run_of()))
        again = last(until(launcher, Started), Started).worker
        assert again["gpu"] == dead.worker["gpu"]
        assert again["pid"] != dead.worker["pid"]


LARGE = 2  # epochs that `hungry_trainer` has no memory for
SMALL = 1


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials with a dropout of 0.1 or 0.2 go on when the file of that name here is removed."""
    folder = tmp_path / "hold"
    folder.mkdir()
    for dropout in ("0.1", "0.2"):
        (folder / dropout).touch()
    monkeypatch.setenv(HOLD, str(folder))
    return folder


@pytest.mark.usefixtures("hold")
def test_a_trial_without_memory_costs_its_worker(launch: Launch) -> None:
    launcher = launch("hungry_trainer", gpus=gpus(1))
    pids = []
    for number in range(2):
        launcher.submit(Task(number, run_of(epochs=LARGE)))
        events = until(launcher, OutOfMemory)
        assert last(events, OutOfMemory).number == number
        assert "ResourceExhaustedError: OOM when allocating" in last(events, OutOfMemory).reason
        pids.append(last(events, Started).worker["pid"])
    assert len(set(pids)) == 2
    assert all(map(is_gone, pids))
    assert launcher.free() == 1


@pytest.mark.usefixtures("hold")
def test_on_a_cpu_a_trial_without_memory_has_failed(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE, "cpu")
    launcher = launch("hungry_trainer")
    launcher.submit(Task(0, run_of(epochs=LARGE)))
    failed = last(until(launcher, Failed), Failed)
    assert failed.reason.startswith("ResourceExhaustedError: ")
    assert failed.traceback is not None


def test_a_trial_that_must_be_alone_waits_until_its_gpu_is_empty_and_then_has_it(
    launch: Launch, hold: Path
) -> None:
    """Two workers on one GPU, one of them in a trial. The idle one goes too: it keeps memory."""
    launcher = launch("hungry_trainer", workers=2, gpus=gpus(1))
    launcher.submit(Task(0, run_of(dropout=0.1, epochs=SMALL)))
    other = last(until(launcher, Started), Started).worker["pid"]
    launcher.submit(Task(1, run_of(dropout=0.2, epochs=SMALL), alone=True))
    assert launcher.free() == 0
    assert launcher.poll(timeout=0.2) == []
    (hold / "0.1").unlink()
    events = until(launcher, Finished)
    assert last(events, Finished).number == 0
    assert last(until(launcher, Started), Started).number == 1
    assert is_gone(other)
    assert launcher.free() == 0, "the other place stays empty meanwhile"
    assert len(multiprocessing.active_children()) == 1
    (hold / "0.2").unlink()
    assert last(until(launcher, Finished), Finished).number == 1
    assert launcher.free() == 2
    for number in (2, 3):
        launcher.submit(Task(number, run_of(epochs=SMALL)))
    assert {event.number for event in all_of(launcher, Finished, 2)} == {2, 3}


@pytest.mark.usefixtures("hold")
def test_a_trial_that_must_be_alone_takes_the_gpu_that_is_empty_and_leaves_the_others(
    launch: Launch,
) -> None:
    launcher = launch("hungry_trainer", workers=4, gpus=gpus(2))
    launcher.submit(Task(0, run_of(epochs=SMALL)))
    busy = last(until(launcher, Started), Started).worker["gpu"]
    launcher.submit(Task(1, run_of(epochs=SMALL), alone=True))
    assert last(until(launcher, Started), Started).worker["gpu"] != busy
    assert launcher.free() == 1
    launcher.submit(Task(2, run_of(epochs=SMALL)))
    assert last(until(launcher, Started), Started).worker["gpu"] == busy


@pytest.mark.usefixtures("hold")
def test_a_trial_that_must_be_alone_is_one_like_others_without_gpus(launch: Launch) -> None:
    launcher = launch("hungry_trainer", workers=2)
    launcher.submit(Task(0, run_of(epochs=SMALL)))
    launcher.submit(Task(1, run_of(epochs=SMALL), alone=True))
    assert {event.number for event in all_of(launcher, Started, 2)} == {0, 1}


def test_a_gpu_is_free_again_when_the_trial_that_had_it_alone_loses_its_worker(
    launch: Launch,
) -> None:
    launcher = launch("killed_trainer", workers=2, gpus=gpus(1))
    launcher.submit(Task(0, run_of(), alone=True))
    until(launcher, Lost)
    assert launcher.free() == 2


def test_a_worker_that_sees_no_gpu_refuses_where_one_is_required(launch: Launch) -> None:
    launcher = launch("cpu_trainer", gpus=gpus(1), require_gpu=True)
    launcher.submit(Task(0, run_of()))
    reason = last(until(launcher, Broken), Broken).reason
    assert reason.startswith(
        "launcher.require_gpu: expected a GPU, but tensorflow 2.21.0 sees none"
    )
    assert "plumbline[gpu]" in reason


def test_a_trial_is_measured_on_its_own_gpu_while_it_runs(launch: Launch) -> None:
    meter = FakeMeter()
    launcher = launch("curve_trainer", gpus=[Gpu("GPU-ffff", "fake", 1000, 5)], meter=meter)
    launcher.submit(Task(3, run_of()))
    result = last(until(launcher, Finished), Finished).result
    assert meter.calls == [("begin", 3, 5), ("end", 3)]
    assert result.final_metrics()["system/gpu_5_utilization_percentage"] == 50.0


def test_a_trial_that_runs_on_the_cpu_is_measured_on_no_gpu(launch: Launch) -> None:
    meter = FakeMeter()
    launcher = launch("cpu_trainer", gpus=[Gpu("0", "fake", 1000, 0)], meter=meter)
    launcher.submit(Task(3, run_of()))
    until(launcher, Finished)
    assert ("begin", 3, 0) not in meter.calls


class FakeMeter(GpuMeter):
    """Says what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def begin(self, number: int, gpu: int) -> None:
        self.calls.append(("begin", number, gpu))

    def end(self, number: int) -> dict[str, float]:
        self.calls.append(("end", number))
        return {"system/gpu_5_utilization_percentage": 50.0}


def test_there_are_as_many_workers_as_gpus_take_or_else_cores_that_may_be_used() -> None:
    assert default_workers(gpus(2), 1) == 2
    assert default_workers(gpus(2), 3) == 6
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_workers([], 3) == cores
