"""Kill -9 anywhere, as often as you like: the same command goes on, and the end is the same.

The end of a study is compared with that of one that nobody disturbed, on one worker, of the same seed.
"""

import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.faults.conftest import MakeWorld
from tests.faults.launch import eventually
from tests.faults.tracked import TrackedRun, assert_tracked, tracked
from tests.faults.world import World, outcomes

pytestmark = pytest.mark.faults

KILLED = -signal.SIGKILL

STORAGE = "search.trial_table.writing:Storage"
CLIENT = "mlflow.tracking:MlflowClient"
TABLE_POINTS = [
    # (method, moment, call): what is done and what is not yet
    # The study is there, not what it is about.
    ("search.trial_table.trials:TrialTable.describe", "before", 1),
    (f"{STORAGE}.create", "before", 1),  # a trial was asked for
    (f"{STORAGE}.create", "after", 1),  # and is in the table
    ("search.trial_table.trials:TrialTable.start", "after", 1),  # and started
    ("search.workers.local:LocalLauncher.submit", "before", 2),
    ("search.workers.local:LocalLauncher.submit", "after", 1),
    ("search.workers.local:LocalLauncher._spawn", "after", 1),
    (f"{STORAGE}.annotate", "before", 2),  # a trial that a worker has taken up
    (f"{STORAGE}.end", "before", 1),  # it has ended, which is not on record
    ("search.trial_table.writing:_write_attributes", "before", 4),  # in the middle of a transaction
    ("search.trial_table.writing:_write_attributes", "after", 5),
    (f"{STORAGE}.end", "before", 3),
    (f"{STORAGE}.end", "after", 1),  # it has ended, nobody was told
    ("search.engines.order:OrderedEngine.tell", "after", 2),
    ("search.engines.order:OrderedEngine.ask", "after", 2),
    ("search.workers.local:LocalLauncher.reply", "before", 2),  # in the middle of a trial
    ("search.workers.local:LocalLauncher.close", "before", 1),  # all done but the tidying up
]
PUBLISHING_POINTS = [
    (f"{CLIENT}.create_experiment", "before", 1),
    (f"{CLIENT}.create_experiment", "after", 1),
    (f"{CLIENT}.create_run", "before", 1),  # the parent
    (f"{CLIENT}.create_run", "after", 1),
    (f"{CLIENT}.create_run", "after", 2),  # a trial
    (f"{CLIENT}.log_batch", "after", 1),
    (f"{CLIENT}.log_batch", "before", 4),
    (f"{CLIENT}.log_inputs", "after", 2),
    (f"{CLIENT}.log_artifacts", "before", 1),
    (f"{CLIENT}.set_terminated", "before", 1),  # all is there but the end
    (f"{CLIENT}.set_terminated", "after", 1),
    (f"{CLIENT}.delete_run", "before", 1),  # the run of an attempt that was cut short
    (f"{CLIENT}.delete_run", "after", 1),
]
STORE = "search.trial_table.weights:WeightStore"
WEIGHT_POINTS = [
    # The third and last trial takes the place of the second among the two best.
    (f"{STORE}.keep_only", "before", 1),  # at the start
    (f"{STORE}.save", "before", 3),
    ("numpy:savez", "before", 3),  # an empty file
    ("numpy:savez", "after", 3),  # half a file: the rest was still in memory
    ("os:fsync", "after", 3),  # a whole file, not yet in its place
    (f"{STORE}.save", "after", 3),  # in its place, but its trial is not recorded
    ("search.trial_table.trials:TrialTable.complete", "after", 3),  # recorded: one too many is kept
    (f"{STORE}.kept", "after", 4),  # known which one, not yet deleted
    (f"{STORE}.keep_only", "after", 4),
]


def kill(point: str, when: str = "before", nth: int = 1) -> list[dict[str, Any]]:
    return [{"point": point, "when": when, "nth": nth, "does": "kill"}]


SEQUENTIAL = ["sampler=tpe", "sampler.n_startup_trials=5", "pruner=median", "launcher.workers=1"]


def test_killed_at_every_step_of_a_trial_the_same_command_ends_as_if_nothing_had_been(
    world: World, undisturbed: Any
) -> None:
    world.overrides += [*SEQUENTIAL, "study.trials=20"]
    for point in TABLE_POINTS:
        if "close" in point[0]:  # only at the end
            break
        launch = world.run(faults=kill(*point))
        assert launch.status == KILLED, f"{point} was not reached:\n{launch.output}"
    assert world.run(faults=kill(*TABLE_POINTS[-1])).status == KILLED
    launch = world.run()
    assert launch.status == 0, launch.output
    world.assert_whole(20)
    assert outcomes(world.entries()) == undisturbed(world.overrides, 20)


def test_killed_while_the_study_database_is_made_the_same_command_makes_it(world: World) -> None:
    world.overrides += ["study.trials=2"]
    for statement in (1, 9, 19, 29):
        launch = world.run(faults=kill("statement", nth=statement))
        assert launch.status == KILLED, f"statement {statement}:\n{launch.output}"
    for point in ("optuna.storages:RDBStorage.create_new_study", "optuna:Study.set_user_attr"):
        for moment in ("before", "after"):
            launch = world.run(faults=kill(point, moment))
            assert launch.status in {KILLED, 0}, f"{point} {moment}:\n{launch.output}"
    assert world.run().status == 0
    world.assert_whole(2)


def test_killed_while_mlflows_database_is_made_the_same_command_makes_it(world: World) -> None:
    world.overrides.remove("tracking=none")
    world.overrides += ["study.trials=2"]
    world.fault("hang", times=1)  # so that the study is not done before
    for statement in (30, 300):
        launch = world.run(faults=kill("mlflow_statement", nth=statement))
        assert launch.status == KILLED, launch.output
    (world.faults / "fault.json").unlink()
    launch = world.run()
    assert launch.status == 0, launch.output
    assert "not published" not in launch.output
    assert_tracked_whole(world, 2)


def test_killed_at_every_step_of_publishing_each_trial_is_tracked_once(
    tracked_world: World, undisturbed: Any
) -> None:
    world = tracked_world
    world.overrides += [*SEQUENTIAL, "study.trials=14"]

    def running() -> list[TrackedRun]:
        runs = tracked(world.folder / "mlflow.db", "smoke")
        return [run for run in runs if run.status == "RUNNING"]

    world.epoch_seconds = 0.1  # the publisher has time to see trials running
    for point in PUBLISHING_POINTS:
        if "delete_run" in point[0]:  # only if a run of an earlier attempt is there
            hang = world.fault("hang", "hang", epoch=2)
            cut_short = world.start()
            eventually(lambda: any(run.tags.get("trial.state") == "running" for run in running()))
            cut_short.signal(signal.SIGKILL)
            cut_short.wait()
            hang.unlink()
        launch = world.run(faults=kill(*point))
        assert launch.status == KILLED, f"{point} was not reached:\n{launch.output}"
    world.epoch_seconds = 0.002
    launch = world.run()
    assert launch.status == 0, launch.output
    assert_tracked_whole(world, 14)
    assert outcomes(world.entries()) == undisturbed(
        [each for each in world.overrides if "tracking" not in each], 14
    )


@pytest.mark.parametrize("point", WEIGHT_POINTS, ids=lambda point: f"{point[1]} {point[0]}")
def test_killed_at_every_step_of_keeping_weights_the_best_trials_have_theirs(
    world: World, point: tuple[str, str, int], undisturbed: Any
) -> None:
    world.overrides += ["launcher.workers=1", "study.trials=3", "tracking.keep_models=2"]
    world.keep = 2
    launch = world.run(faults=kill(*point))
    assert launch.status == KILLED, f"{point} was not reached:\n{launch.output}"
    launch = world.run()
    assert launch.status == 0, launch.output
    world.assert_whole(3)
    assert outcomes(world.entries()) == undisturbed(world.overrides, 3)


def chaos(
    world: World,
    target: int,
    rounds: int,
    seed: int,
    also: Callable[[int], None] = lambda _: None,
) -> None:
    """Kill the coordinator or workers at random moments, `rounds` times, then let the study end.

    `also`: what else happens in a round, before the kill.
    """
    rng = random.Random(seed)
    killed = 0
    while killed < rounds:
        launch = world.start(f"study.trials={target}")
        victim = rng.choice(["coordinator", "coordinator", "worker", "both"])
        enough = world.count("COMPLETE") + rng.choice([0, 0, 1, 2])
        eventually(
            lambda launch=launch, enough=enough: (
                launch.ended.is_set() or (world.workers() and world.count("COMPLETE") >= enough)
            )
        )
        assert not launch.ended.wait(rng.uniform(0, 0.1)), (
            f"the study was over after {killed} kills:\n{launch.output}"
        )
        also(killed)
        if victim != "coordinator" and (workers := world.workers()):
            _kill(rng.choice(workers))
        if victim == "worker":
            launch.ended.wait(rng.uniform(0, 0.3))
        launch.signal(signal.SIGKILL)
        assert launch.wait() in {KILLED, 0}, launch.output
        killed += 1
    ended = world.run(f"study.trials={target}")
    assert ended.status == 0, ended.output


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def assert_tracked_whole(world: World, target: int) -> None:
    world.assert_whole(target)
    table = world.table()
    assert_tracked(world.folder / "mlflow.db", table.entries(), table.uid, world.name)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_kills_of_coordinator_and_workers_lose_and_repeat_nothing(
    world: World, undisturbed: Any, seed: int
) -> None:
    world.epoch_seconds = 0.02
    chaos(world, target=40, rounds=12, seed=seed)
    world.assert_whole(40)
    assert outcomes(world.entries()) == undisturbed(world.overrides, 40)


def test_random_kills_leave_each_trial_tracked_once(tracked_world: World, undisturbed: Any) -> None:
    world = tracked_world
    world.epoch_seconds = 0.05
    chaos(world, target=20, rounds=6, seed=3)
    assert_tracked_whole(world, 20)
    assert outcomes(world.entries()) == undisturbed(world.overrides, 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 11])
def test_a_long_chaos_loses_and_repeats_nothing(
    tracked_world: World, undisturbed: Any, seed: int
) -> None:
    world = tracked_world
    world.epoch_seconds = 0.03
    chaos(world, target=150, rounds=40, seed=seed)
    assert_tracked_whole(world, 150)
    assert outcomes(world.entries()) == undisturbed(world.overrides, 150)


@pytest.mark.slow
def test_real_training_survives_kills(tracked_world: World, make_world: MakeWorld) -> None:
    """Keras on the digits: results and kept weights are those of a study that ran through."""
    calm, world = make_world("calm"), tracked_world
    for each, more in ((calm, ["launcher.workers=1", "tracking=none"]), (world, [])):
        each.fake = False
        each.overrides = [
            *("+study=smoke", "study.trials=8", "sampler=random", "pruner=none"),
            *("tracking.report=false", "launcher.workers=2", *more),
        ]
    assert calm.run().status == 0
    launch = world.start()
    eventually(lambda: world.count("COMPLETE") >= 1)
    _kill(world.workers()[0])
    eventually(lambda: world.count("COMPLETE") >= 3)
    launch.signal(signal.SIGKILL)
    assert launch.wait() == KILLED
    eventually(lambda: not world.workers(), within=60)
    assert world.run().status == 0
    assert_tracked_whole(world, 8)
    assert outcomes(world.entries()) == outcomes(calm.entries())
    ours_in, theirs_in = (
        next((each.folder / "mlruns" / "weights").iterdir()) for each in (calm, world)
    )
    for file in ours_in.iterdir():
        theirs = np.load(theirs_in / file.name)
        ours = np.load(file)
        assert ours.files == theirs.files
        for name in ours.files:
            np.testing.assert_array_equal(ours[name], theirs[name])
