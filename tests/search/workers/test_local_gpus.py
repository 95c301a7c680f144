"""GPUs that run out of memory, are missing, or are measured: with a faked list of them."""

import contextlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.machine.gpu_meter import GpuMeter
from search.machine.gpus import Gpu
from search.workers.local import LocalLauncher
from search.workers.messages import Failed, Finished, Lost, OutOfMemory, Started, Task
from tests.search.fakes import DEVICE, HOLD
from tests.search.workers.launcher_contract import Launch, all_of, assert_gone, last, run_of, until
from tests.search.workers.test_local_launcher import TestLocalLauncher as Local
from tests.search.workers.test_local_launcher import gpus


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Makes launchers that are closed with the test."""
    with contextlib.ExitStack() as stack:

        def make(trainer: str, workers: int = 1, **more: Any) -> LocalLauncher:
            launcher = Local.make(trainer, workers, **more)
            stack.callback(launcher.close)
            return launcher

        yield make


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
    assert_gone(*pids)
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
    assert_gone(other)
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


@pytest.mark.parametrize("count", [0, 1])
def test_a_trial_was_alone_only_if_its_gpu_is_known(launch: Launch, count: int) -> None:
    launcher = launch("hungry_trainer", gpus=gpus(count))
    launcher.submit(Task(0, run_of(epochs=LARGE), alone=True))
    assert last(until(launcher, OutOfMemory), OutOfMemory).alone == bool(count)


def test_the_trial_that_must_be_alone_stays_so_when_its_worker_dies_before_it(
    launch: Launch,
) -> None:
    launcher = launch("hungry_trainer", workers=2, gpus=gpus(1))
    launcher.submit(Task(0, run_of(epochs=LARGE), alone=True))
    (process,) = multiprocessing.active_children()
    process.kill()
    assert last(until(launcher, Lost, OutOfMemory), OutOfMemory).alone
    assert launcher.free() == 2


def test_a_gpu_is_free_again_when_the_trial_that_had_it_alone_loses_its_worker(
    launch: Launch,
) -> None:
    launcher = launch("killed_trainer", workers=2, gpus=gpus(1))
    launcher.submit(Task(0, run_of(), alone=True))
    until(launcher, Lost)
    assert launcher.free() == 2


def test_a_trial_is_measured_on_its_own_gpu_while_it_runs(launch: Launch) -> None:
    meter = FakeMeter()
    launcher = launch("curve_trainer", gpus=[Gpu("GPU-ffff", "fake", 1000, 5)], meter=meter)
    launcher.submit(Task(3, run_of()))
    result = last(until(launcher, Finished), Finished).result
    launcher.close()
    assert meter.calls == [("begin", 3, 5), ("end", 3), ("close",)]
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

    def close(self) -> None:
        self.calls.append(("close",))
