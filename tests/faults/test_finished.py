"""What a study that is finished costs, what other commands say of it, and failed trials tried again."""

from pathlib import Path

import pytest

from tests.faults.launch import eventually
from tests.faults.tracked import assert_tracked, tracked
from tests.faults.world import World

pytestmark = pytest.mark.faults

THREE_POINTS = ("~study.space.model.dropout", "~study.space.train", "study.trials=9")
ENGINES = {
    "grid": ("sampler=grid",),
    "random": ("sampler=random",),
    "KerasTuner's grid": ("engine=keras_tuner", "oracle=grid"),
    "KerasTuner's random": ("engine=keras_tuner", "oracle=random"),
    "Bayesian": ("engine=keras_tuner", "oracle=bayesian"),
    "Hyperband": ("engine=keras_tuner", "oracle=hyperband"),
}


def of(world: World, engine: str) -> tuple[str, ...]:
    """The overrides of `engine`; KerasTuner's take no sampler and pruner."""
    if "engine=keras_tuner" in ENGINES[engine]:
        world.overrides = [o for o in world.overrides if o not in ("sampler=random", "pruner=none")]
    return ENGINES[engine]


def study_status(world: World) -> str:
    """Of the study's run in MLflow."""
    runs = tracked(world.folder / "mlflow.db", "smoke")
    (status,) = [run.status for run in runs if "mlflow.parentRunId" not in run.tags]
    return status


@pytest.mark.parametrize("engine", ENGINES)
def test_a_study_that_is_used_up_loads_no_data_and_starts_no_worker(
    tracked_world: World, engine: str
) -> None:
    """For every engine, as long as the search is the same and no trial is added."""
    world = tracked_world
    overrides = (*THREE_POINTS, *of(world, engine))
    assert world.run(*overrides).status == 0
    entries = world.entries()
    assert 3 <= len(entries) < 9
    nothing = {"search.setup.means.load": None, "search.setup.means.LocalLauncher": None}
    again = world.run(*overrides, settings=nothing)
    assert again.status == 0, again.output
    assert "and there are no others to try" in again.stdout
    assert world.entries() == entries
    assert study_status(world) == "FINISHED"
    asked = world.run(*overrides, "study.trials=2", settings=nothing)
    assert asked.status == 0, "it has more than that"


def test_batches_that_hold_all_rows_are_tried_once(world: World) -> None:
    sizes = "+study.space.train.batch_size=[500,2000,4000]"
    only = ("~study.space.model", "~study.space.train.learning_rate", sizes)
    launch = world.run(*only, "study.trials=9")
    assert launch.status == 0, launch.output
    assert "Finished: there is nothing left to try (2 of 9 trials, 0 failed)" in launch.stdout


def test_another_search_is_asked_whether_it_has_more(world: World) -> None:
    assert world.run(*THREE_POINTS, "sampler=grid").status == 0
    again = world.run(*THREE_POINTS, "sampler=grid", "sampler.seed=1")
    assert again.status == 0, again.output
    assert "Nothing left to do" not in again.stdout


@pytest.mark.parametrize(
    ("overrides", "fault", "status"),
    [
        (("study.trials=2",), None, "FINISHED"),
        ((*THREE_POINTS, "sampler=grid"), None, "FINISHED"),
        (("study.trials=2",), "diverge", "FAILED"),
        (("study.trials=9",), "raise", "FAILED"),
        (("study.trials=9",), "import", "FAILED"),
        (("study.max_seconds=0.001",), None, "KILLED"),
    ],
    ids=["met", "used up", "came to nothing", "five alike", "no worker", "out of time"],
)
def test_publishing_says_of_a_study_what_its_launch_said(
    tracked_world: World, overrides: tuple[str, ...], fault: str | None, status: str
) -> None:
    world = tracked_world
    if fault is not None:
        world.fault(fault)
    world.run(*overrides)
    assert study_status(world) == status
    note = note_of(world)
    assert world.run("tracking.report=false", module="search.publish").status == 0
    assert study_status(world) == status
    assert note_of(world) == note


def note_of(world: World) -> str:
    runs = tracked(world.folder / "mlflow.db", "smoke")
    (run,) = [run for run in runs if "mlflow.parentRunId" not in run.tags]
    return run.tags["mlflow.note.content"]


@pytest.mark.parametrize("engine", ["random", "KerasTuner's random", "Hyperband"])
def test_failed_trials_are_tried_again_where_that_is_asked_for(
    tracked_world: World, engine: str
) -> None:
    world = tracked_world
    overrides = ("study.trials=4", *of(world, engine))
    world.fault("raise", times=2)
    first = world.run(*overrides)
    assert "(4 of 4 trials, 2 failed)" in first.stdout
    before = world.entries()
    assert world.run(*overrides).stdout.startswith("Nothing left to do")
    again = world.run(*overrides, "study.retry=failed")
    assert again.status == 0, again.output
    assert "(4 of 4 trials, 0 failed)" in again.stdout
    after = world.entries()
    assert [entry.state for entry in after] == ["complete"] * 4
    assert [entry.params for entry in after] == [entry.params for entry in before]
    assert [entry.attempts.made - 1 for entry in after] == [
        entry.state == "failed" for entry in before
    ]
    assert_tracked(world.folder / "mlflow.db", after, world.table().uid, "smoke", retried=2)
    world.assert_whole(4)
    last = world.run(*overrides, "study.retry=failed")
    assert "no trial failed" in last.stdout
    assert "Nothing left to do" in last.stdout


def test_a_study_that_came_to_nothing_says_so_each_time(world: World) -> None:
    cause = world.fault("diverge")
    for _ in range(2):
        launch = world.run("study.trials=2")
        assert launch.status == 1
        assert launch.stderr.startswith("error: smoke: no trial is complete: 2 failed")
    cause.unlink()
    assert world.run("study.trials=2", "study.retry=failed").status == 0


@pytest.mark.parametrize("module", ["search.publish", "search.report"])
@pytest.mark.parametrize("does", ["unread", "full"])
def test_a_command_whose_output_is_lost_leaves_nothing_half_done(
    tracked_world: World, module: str, does: str
) -> None:
    world = tracked_world
    assert world.run("study.trials=2").status == 0
    point = (
        "search.trial_table.trials:TrialTable.load"
        if module == "search.report"
        else "search.trial_table.trials:TrialTable.names"
    )
    lost = {"point": point, "when": "after", "nth": 1, "does": does}
    quick = () if module == "search.report" else ("tracking.report=false",)
    launch = world.run(*quick, module=module, faults=[lost])
    assert launch.status == (75 if does == "unread" else 74), launch.output
    assert (launch.stderr == "") == (does == "unread")
    assert "Traceback" not in launch.output
    left = {path.name for path in world.folder.iterdir()}
    assert not [name for name in left if "partial" in name]
    assert study_status(world) == "FINISHED"


def test_a_stopped_publication_leaves_no_run_running(tracked_world: World) -> None:
    world = tracked_world
    world.overrides.append("tracking=none")
    assert world.run("study.trials=30").status == 0
    launch = world.start("tracking.report=false", module="search.publish")
    database: Path = world.folder / "mlflow.db"
    eventually(lambda: len(tracked(database, "smoke")) >= 3)
    launch.signal(15)
    assert launch.wait() in (0, 75), launch.output
    assert "Traceback" not in launch.output
    assert {run.status for run in tracked(database, "smoke")} == {"FINISHED"}
    assert world.run("tracking.report=false", module="search.publish").status == 0
    assert_tracked(database, world.entries(), world.table().uid, "smoke")
