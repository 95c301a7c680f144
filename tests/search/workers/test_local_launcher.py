"""Worker processes on this machine: real ones, with trainers that need no TensorFlow."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest

from search.machine.cpus import usable_cpus
from search.machine.gpu_meter import GpuMeter
from search.machine.gpus import Gpu
from search.workers.local import LocalLauncher, default_workers
from search.workers.messages import Failed, Finished, LocalConfig, Lost, Started, Task
from tests.search.workers.launcher_contract import (
    Launch,
    LauncherContract,
    all_of,
    config,
    last,
    run_of,
    train,
    until,
)


class TestLocalLauncher(LauncherContract):
    """What only processes of this machine do, and what all launchers do."""

    @staticmethod
    def make(
        trainer: str,
        workers: int,
        gpus: Sequence[Gpu] = (),
        meter: GpuMeter | None = None,
        **changes: Any,
    ) -> LocalLauncher:
        settings = config("local", trainer, **changes)
        assert isinstance(settings, LocalConfig)
        return LocalLauncher(settings, run_of().data, workers, gpus, meter)

    def test_a_killed_worker_is_lost_with_its_signal_and_last_words(self, launch: Launch) -> None:
        launcher = launch("killed_trainer")
        launcher.submit(Task(4, run_of()))
        lost = last(until(launcher, Lost), Lost)
        assert "its worker was ended by SIGKILL" in lost.reason
        assert "the last words of a worker" in lost.reason

    def test_a_trial_that_dies_past_its_deadline_is_told_once(self, launch: Launch) -> None:
        launcher = launch("dying_trainer", trial_seconds=0.05)
        (process,) = multiprocessing.active_children()
        launcher.submit(Task(0, run_of()))
        until(launcher, Started)
        events = launcher.poll(timeout=0.0)  # the worker goes on, and dies
        os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)
        events += launcher.poll(timeout=0.1) + launcher.poll(timeout=0.1)
        assert [event.number for event in events if isinstance(event, Lost | Failed)] == [0]
        assert launcher.free() == 1

    def test_an_idle_worker_that_is_killed_is_replaced_when_there_is_work_for_it(
        self, launch: Launch
    ) -> None:
        launcher = launch("curve_trainer", workers=2)
        busy = train(launcher, 0)
        (idle,) = (each for each in multiprocessing.active_children() if str(each.pid) != busy)
        idle.kill()
        idle.join()
        assert launcher.poll(timeout=1.0) == []
        assert launcher.free() == 2
        for number in (1, 2):
            launcher.submit(Task(number, run_of()))
        assert {event.number for event in all_of(launcher, Finished, 2)} == {1, 2}

    # GPUs. None is needed: a worker says what it was given.

    def test_a_worker_sees_only_its_own_gpu(self, launch: Launch) -> None:
        """Three workers on two GPUs: they are dealt out in turn."""
        launcher = launch("hanging_trainer", workers=3, gpus=gpus(2))
        for number in range(3):
            launcher.submit(Task(number, run_of()))
        seen = [event.worker["gpu"] for event in all_of(launcher, Started, 3)]
        assert sorted(seen) == ["2", "2", "3"]

    def test_a_worker_without_gpus_is_left_with_the_environment(
        self, launch: Launch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        launcher = launch("curve_trainer")
        launcher.submit(Task(0, run_of()))
        assert last(until(launcher, Started), Started).worker["gpu"] == "-1"

    def test_the_gpu_of_a_dead_worker_goes_to_the_one_that_takes_its_place(
        self, launch: Launch
    ) -> None:
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


def gpus(count: int) -> list[Gpu]:
    return [Gpu(f"{number + 2}", "fake", 1000) for number in range(count)]


def test_there_are_as_many_workers_as_gpus_take_or_else_cpus_that_may_be_used() -> None:
    assert default_workers(gpus(2), 1) == 2
    assert default_workers(gpus(2), 3) == 6
    assert default_workers([], 3) == usable_cpus()
