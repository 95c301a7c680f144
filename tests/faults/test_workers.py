"""A worker that dies, hangs or is broken costs attempts at its trial, not the study."""

import signal

import pytest

from tests.faults.launch import eventually
from tests.faults.world import World, outcomes

pytestmark = pytest.mark.faults

TARGET = 4


@pytest.fixture
def grid(world: World) -> World:
    """Three trials: one for each width. Faults choose theirs by `ONE`."""
    world.overrides += ["sampler=grid", "~study.space.train", "~study.space.model.dropout"]
    return world


ONE = {"model.hidden_units": 64}


def states(world: World) -> dict[str, str]:
    return {entry.settings["model.hidden_units"]: entry.state for entry in world.entries()}


@pytest.mark.parametrize("does", ["kill", "abort", "exit"])
def test_a_trial_whose_worker_dies_is_run_again_with_the_same_parameters(
    grid: World, does: str
) -> None:
    grid.fault(does, where=ONE, epoch=2, times=2)
    launch = grid.run()
    assert launch.status == 0, launch.output
    grid.assert_whole(3)
    assert grid.happened() == 2
    assert set(states(grid).values()) == {"complete"}
    (entry,) = (entry for entry in grid.entries() if entry.settings["model.hidden_units"] == "64")
    assert entry.attempts.made == 3
    assert entry.attempts.losses == 2
    assert [epoch.epoch for epoch in entry.history] == [1, 2, 3]


def test_parameters_that_kill_every_worker_are_given_up_and_the_study_goes_on(grid: World) -> None:
    grid.fault("abort", where=ONE)
    launch = grid.run("launcher.attempts=2")
    assert launch.status == 0, launch.output
    grid.assert_whole(3)
    assert grid.happened() == 2
    assert states(grid) == {"32": "complete", "64": "failed", "128": "complete"}
    (failed,) = (entry for entry in grid.entries() if entry.state == "failed")
    assert failed.reason is not None
    for words in ("2 workers died of it", "SIGABRT", "the library gave up"):
        assert words in failed.reason
    assert "failed" in launch.stdout


def test_losses_count_over_launches(grid: World) -> None:
    """Parameters that kill coordinator and workers in turn are given up too."""
    grid.fault("kill", where=ONE, times=2)
    hang = grid.fault("hang", "hang", where=ONE, epoch=2)
    launch = grid.start("launcher.attempts=3", "launcher.workers=1")
    eventually(lambda: grid.happened("hang"))
    launch.signal(signal.SIGKILL)
    launch.wait()
    hang.unlink()
    grid.fault("kill", "third", where=ONE)
    assert grid.run("launcher.attempts=3", "launcher.workers=1").status == 0
    assert grid.happened("third") == 1
    assert states(grid)["64"] == "failed"


def test_parameters_that_take_the_whole_launch_down_are_given_up_after_some_launches(
    grid: World,
) -> None:
    """As one does that has the kernel kill the coordinator for want of memory; others go on."""
    grid.fault("orphan", where=ONE)
    one_worker = ("launcher.attempts=2", "launcher.workers=1")
    for _ in range(4):
        assert grid.run(*one_worker).status == -signal.SIGKILL
    launch = grid.run(*one_worker)
    assert launch.status == 0, launch.output
    assert grid.happened() == 4
    assert states(grid) == {"32": "complete", "64": "failed", "128": "complete"}
    (failed,) = (entry for entry in grid.entries() if entry.state == "failed")
    assert (failed.reason or "").startswith("4 launches ended without a word while it ran")


def test_a_trial_is_not_given_up_however_often_its_launch_is_told_to_end(grid: World) -> None:
    hang = grid.fault("hang", where=ONE)
    few = ("launcher.attempts=1", "launcher.workers=1", "launcher.grace_seconds=0")
    for times in range(3):
        launch = grid.start(*few)
        eventually(lambda times=times: grid.happened() == times + 1)
        launch.signal(signal.SIGTERM)
        assert launch.wait() == 75, launch.output
    hang.unlink()
    assert grid.run(*few).status == 0
    grid.assert_whole(3)
    assert set(states(grid).values()) == {"complete"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_study_whose_workers_are_all_stopped_ends_at_once_when_it_is_told_to(
    world: World, number: int
) -> None:
    """Without any deadline for trials."""
    world.fault("stop", epoch=2)
    launch = world.start("launcher.grace_seconds=0")
    eventually(lambda: world.happened() == 2)
    launch.signal(number)
    eventually(lambda: "running trials" in launch.output)
    launch.signal(number)
    assert launch.wait(within=60) == 75, launch.output
    eventually(lambda: not world.workers(), within=60)


def test_a_diverged_trial_fails_with_the_reason_and_is_not_run_again(grid: World) -> None:
    grid.fault("diverge", where=ONE, epoch=2)
    launch = grid.run()
    assert launch.status == 0, launch.output
    assert grid.happened() == 1
    (failed,) = (entry for entry in grid.entries() if entry.state == "failed")
    assert failed.reason == "loss is nan in epoch 1 [/of it]"
    assert failed.attempts.made == 1
    assert [epoch.epoch for epoch in failed.history] == [1]


def test_a_trial_past_its_deadline_is_ended_with_its_worker(grid: World) -> None:
    grid.fault("hang", where=ONE, epoch=2)
    launch = grid.run("launcher.trial_seconds=0.5", "launcher.workers=1")
    assert launch.status == 0, launch.output
    assert grid.happened() == 1
    grid.assert_whole(3)
    (failed,) = (entry for entry in grid.entries() if entry.state == "failed")
    assert failed.reason == "past its deadline of 0.5 s"
    assert states(grid) == {"32": "complete", "64": "failed", "128": "complete"}


def test_one_exception_five_times_in_a_row_stops_the_study_with_one_traceback(world: World) -> None:
    world.fault("raise", epoch=2, times=5)
    launch = world.run("study.trials=9", "launcher.workers=1")
    assert launch.status == 1
    assert launch.output.count("Traceback") == 1
    assert "ValueError: a bug in the trainer" in launch.stderr
    assert [entry.state for entry in world.entries()] == ["failed"] * 5
    assert world.run("study.trials=9").status == 0  # the bug is gone, the rest is run
    world.assert_whole(9)


def test_exceptions_with_successes_between_are_bad_trials(grid: World) -> None:
    grid.fault("raise", where=ONE)
    assert grid.run().status == 0
    assert states(grid) == {"32": "complete", "64": "failed", "128": "complete"}


def test_a_trainer_that_can_not_be_made_ends_the_study_which_goes_on_once_it_can(
    world: World,
) -> None:
    cause = world.fault("import")
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 1
    assert "no worker can train" in launch.stderr
    assert "ImportError: no trainer in this worker" in launch.stderr
    eventually(lambda: not world.workers())
    cause.unlink()
    assert world.run(f"study.trials={TARGET}").status == 0
    world.assert_whole(TARGET)


def test_workers_that_die_before_they_can_train_end_the_study_not_its_trials(world: World) -> None:
    cause = world.fault("die")
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 1
    assert "no worker can train" in launch.stderr
    assert "exit code 3" in launch.stderr
    assert world.count("FAIL") == 0
    cause.unlink()
    assert world.run(f"study.trials={TARGET}").status == 0
    world.assert_whole(TARGET)


@pytest.mark.parametrize("does", ["hang", "stuck"])
def test_workers_end_at_once_with_a_killed_coordinator(world: World, does: str) -> None:
    world.fault(does)
    launch = world.start()
    eventually(lambda: world.happened() == 2)
    assert len(world.workers()) == 2
    launch.signal(signal.SIGKILL)
    launch.wait()
    eventually(lambda: not world.workers(), within=60)


def test_a_study_is_the_same_whatever_its_workers_suffer(world: World, make_world) -> None:  # type: ignore[no-untyped-def]
    calm = make_world("calm")
    assert calm.run("study.trials=8", "launcher.workers=1").status == 0
    for number, does in enumerate(["kill", "abort", "exit", "kill"]):
        world.fault(does, f"fault-{number}", epoch=1 + number % 3, times=1)
    enough = "launcher.attempts=5"  # all four faults may hit one trial
    assert world.run("study.trials=8", "launcher.trials_per_worker=2", enough).status == 0
    world.assert_whole(8)
    assert outcomes(world.entries()) == outcomes(calm.entries())
