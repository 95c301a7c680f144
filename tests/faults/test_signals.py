"""Ctrl-C and SIGTERM: drain, then stop; 75, and the same command goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.launch import LONG, ROOT, eventually
from tests.faults.tracked import assert_tracked, tracked
from tests.faults.world import World, hanging

pytestmark = pytest.mark.faults

TARGET = 6


def assert_resumable(world: World) -> None:
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    world.assert_whole(TARGET)


def test_ctrl_c_drains_the_running_trials(world: World) -> None:
    """As a terminal sends it: to the workers too."""
    launch, hang = hanging(world, f"study.trials={TARGET}")
    launch.signal_all(signal.SIGINT)
    eventually(lambda: "Finishing the running trials" in launch.stdout)
    assert not launch.ended.is_set()
    hang.unlink()
    assert launch.wait() == 75, launch.output
    assert world.count("COMPLETE") == 2
    assert world.count("RUNNING") == 0
    assert "the same command goes on" in launch.stdout
    assert "Traceback" not in launch.output
    assert_resumable(world)


def test_ctrl_c_twice_stops_at_once(world: World) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    launch.signal_all(signal.SIGINT)
    eventually(lambda: "Finishing the running trials" in launch.stdout)
    launch.signal_all(signal.SIGINT)
    assert launch.wait() == 75, launch.output
    assert "Stopping at once" in launch.stdout
    assert "Traceback" not in launch.output
    assert world.count("COMPLETE") == 0
    eventually(lambda: not world.workers(), within=60)
    hang.unlink()
    assert_resumable(world)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_lets_running_trials_finish_within_the_grace_period(
    world: World, number: signal.Signals
) -> None:
    """As systemd and Slurm send it, and a terminal that is closed: to the workers too."""
    launch, hang = hanging(world, f"study.trials={TARGET}", "launcher.grace_seconds=60")
    launch.signal_all(number)
    eventually(lambda: "60 s to finish" in launch.stdout)
    hang.unlink()
    assert launch.wait() == 75, launch.output
    assert world.count("COMPLETE") == 2
    assert world.count("RUNNING") == 0
    assert_resumable(world)


def test_sigterm_stops_trials_that_outlast_the_grace_period(world: World) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}", "launcher.grace_seconds=0.2")
    launch.signal(signal.SIGTERM)
    assert launch.wait() == 75, launch.output
    assert world.count("COMPLETE") == 0
    eventually(lambda: not world.workers(), within=60)
    hang.unlink()
    assert_resumable(world)


def test_a_signal_after_the_last_trial_began_still_meets_the_target(world: World) -> None:
    launch, hang = hanging(world, "study.trials=2")
    launch.signal_all(signal.SIGINT)
    eventually(lambda: "Finishing" in launch.stdout)
    hang.unlink()
    assert launch.wait() == 0, launch.output
    world.assert_whole(2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_workers_start_is_heard(world: World, number: signal.Signals) -> None:
    """By the coordinator alone: no worker shows a traceback of its start."""
    cause = world.fault("hang", epoch=1)
    launch = world.start(f"study.trials={TARGET}", "launcher.grace_seconds=0")
    eventually(world.workers)
    launch.signal_all(number)
    if number == signal.SIGINT:
        eventually(lambda: "Finishing" in launch.stdout)
        launch.signal_all(number)
    assert launch.wait() == 75, launch.output
    assert "Traceback" not in launch.output
    cause.unlink()
    assert_resumable(world)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", [False, True], ids=["while it starts", "while it trains"])
def test_a_signal_again_and_again_to_the_last_moment_of_the_process_ends_it_once(
    world: World, number: signal.Signals, begun: bool
) -> None:
    """It says 75 however many signals come while it ends, and no process shows a traceback."""
    cause = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}", "launcher.grace_seconds=0")
    eventually(lambda: world.happened() >= 2 if begun else world.workers())
    while not launch.ended.wait(0.005):
        launch.signal_all(number)
    assert launch.wait() == 75, launch.output
    assert "Traceback" not in launch.output
    eventually(lambda: not world.workers(), within=60)
    cause.unlink()
    assert_resumable(world)


def test_a_stopped_study_leaves_no_run_running(tracked_world: World) -> None:
    world = tracked_world
    launch, hang = hanging(world, f"study.trials={TARGET}", "launcher.grace_seconds=0")
    database = world.folder / "mlflow.db"
    eventually(lambda: len(tracked(database, "smoke")) == 3)
    launch.signal(signal.SIGTERM)
    assert launch.wait() == 75, launch.output
    runs = tracked(database, "smoke")
    assert {run.status for run in runs} == {"KILLED"}
    assert sorted(run.tags.get("trial.state", "study") for run in runs) == [
        "interrupted",
        "interrupted",
        "study",
    ]
    hang.unlink()
    assert_resumable(world)
    assert_tracked(database, world.entries(), world.table().uid, "smoke")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_trial_stops_at_once(
    world: World, number: signal.Signals
) -> None:
    """While it waits for another launch, for instance."""
    first, hang = hanging(world, f"study.trials={TARGET}")
    waiting = world.start("study.lock=wait")
    eventually(lambda: "waiting for its end" in waiting.stdout)
    waiting.signal(number)
    assert waiting.wait() == 75
    assert "Traceback" not in waiting.output
    assert "the same command goes on" in waiting.stderr
    hang.unlink()
    assert first.wait() == 0


@pytest.mark.slow
def test_the_real_command_is_stopped_and_goes_on(tmp_path: Path) -> None:
    """Without any of the other tests' machinery: python -m search.optimize, Keras, MLflow."""
    command = [sys.executable, "-m", "search.optimize", "+study=smoke", "study.trials=10"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial 0"):
            process.send_signal(signal.SIGTERM)
            break
    process.stdout.read()
    assert process.wait(LONG) == 75
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=LONG
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 trials" in done.stdout
    assert {run.status for run in tracked(tmp_path / "mlflow.db", "smoke")} == {"FINISHED"}
