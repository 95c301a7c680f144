"""The process that workers are forked from may die, and nothing stays of it."""

import os
import signal
import sys

import pytest

from tests.faults.launch import eventually
from tests.faults.world import World

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only"),
]


@pytest.fixture
def real(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A study of the digits that Keras trains."""
    world.overrides = [word for word in world.overrides if "trainer" not in word]
    world.overrides += ["data=digits", "train.epochs=20", "study.trials=6"]
    world.fake = False
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    return world


def test_its_end_costs_an_attempt_at_what_ran_and_no_trial(real: World) -> None:
    launch = real.start()
    eventually(lambda: real.count("COMPLETE") >= 1)
    (template,) = real.templates()
    os.kill(template, signal.SIGKILL)
    assert launch.wait() == 0, launch.output
    real.assert_whole(6)
    entries = real.entries()
    assert {entry.state for entry in entries} == {"complete"}
    assert 1 <= sum(entry.attempts.losses for entry in entries) <= 2
    eventually(lambda: not real.templates(), within=60)


def test_it_ends_with_a_killed_coordinator_and_so_do_its_workers(real: World) -> None:
    launch = real.start()
    eventually(lambda: real.count("COMPLETE") >= 1)
    launch.signal(signal.SIGKILL)
    launch.wait()
    eventually(lambda: not real.workers() + real.templates(), within=60)
    assert real.run().status == 0
    real.assert_whole(6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_at_once_does_not_reach_it(real: World, number: int) -> None:
    """As a terminal and most schedulers send it: trials that run are finished."""
    launch = real.start()
    eventually(lambda: real.count("RUNNING") == 2)
    for pid in [*real.templates(), *real.workers(), launch.pid]:
        os.kill(pid, number)
    assert launch.wait() == 75, launch.output
    assert {entry.state for entry in real.entries()} == {"complete"}
    eventually(lambda: not real.workers() + real.templates(), within=60)
