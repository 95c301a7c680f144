"""Measuring: all workers at once, each run until it showed enough, and never past the time there is."""

import time
from collections.abc import Callable

import pytest

from search.forecasting.measuring import Measuring
from search.workers.messages import Task
from search.workers.pool import Pool
from search.workers.stopping import Stopper
from tests.search.fakes import FakeLauncher, Script, diverges, raises, trains
from tests.search.forecasting.machine import DIGITS, run

RUNS = [run(model__hidden_units=units, train__epochs=20) for units in (32, 64, 128)]


def measured(
    script: Callable[[Task], Script] = trains, workers: int = 2, seconds: float = 60.0
) -> tuple[Measuring, FakeLauncher]:
    launcher = FakeLauncher(script, workers)
    measuring = Measuring(RUNS, DIGITS, workers, time.monotonic() + seconds)
    measuring.train(Pool(launcher, 3, Stopper(0, print)))
    return measuring, launcher


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_run_is_measured_and_no_worker_is_idle_meanwhile(workers: int) -> None:
    found, launcher = measured(workers=workers)
    assert {sample.run for sample in found.samples} == set(RUNS)
    assert len(launcher.tasks) >= 2 * workers
    assert found.start_seconds >= 0
    assert found.worker["device"] == "fake"


def test_a_run_is_ended_when_it_showed_enough() -> None:
    found, _ = measured()
    assert all(1 < len(sample.epochs) < 20 for sample in found.samples)


def test_when_the_time_is_up_nothing_more_begins() -> None:
    found, launcher = measured(seconds=-1.0)
    assert (found.samples, launcher.tasks) == ([], [])


def test_only_the_first_run_of_a_shape_is_compiled_and_only_the_first_of_all_starts_cold() -> None:
    found, _ = measured(workers=1)
    ordered = [(sample.first, sample.compiled) for sample in found.samples]
    assert ordered == [(True, True), (False, True), (False, True)]


@pytest.mark.parametrize("script", [diverges, raises("KeyError: a bug")])
def test_what_fails_is_told_of(script: Callable[[Task], Script]) -> None:
    found, _ = measured(script)
    assert found.samples == []
    assert found.failed
