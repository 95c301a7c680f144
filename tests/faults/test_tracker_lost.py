"""A tracker that lost what it had is told again: nobody takes its word of another day for it."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.faults.conftest import Served
from tests.faults.launch import eventually
from tests.faults.tracked import assert_tracked
from tests.faults.world import World, hanging

pytestmark = pytest.mark.faults

TARGET = 4
RUNS = TARGET + 1  # and the study's own


def assert_tracked_whole(world: World) -> None:
    table = world.table()
    assert_tracked(world.folder / "mlflow.db", table.entries(), table.uid, world.name)


def execute(database: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def empty(database: Path) -> None:
    """Whatever runs there are, for good."""
    tables = ("inputs", "tags", "params", "metrics", "latest_metrics", "runs")
    execute(
        database,
        *(f"DELETE FROM {table}" for table in tables),
        "DELETE FROM experiments WHERE experiment_id > 0",
    )


def made_anew_by_another_study(world: World, mlflow_database: Path) -> None:
    (world.folder / "mlflow.db").unlink()
    shutil.copy(mlflow_database, world.folder / "mlflow.db")
    assert world.run("study.name=other", "study.trials=1").status == 0


def deleted(world: World, _: Path) -> None:
    (world.folder / "mlflow.db").unlink()


def emptied(world: World, _: Path) -> None:
    empty(world.folder / "mlflow.db")


def trashed(world: World, _: Path) -> None:
    client = MlflowClient(f"sqlite:///{world.folder}/mlflow.db")
    found = client.get_experiment_by_name(world.name)
    assert found is not None
    for run in client.search_runs([found.experiment_id]):
        client.delete_run(run.info.run_id)


@pytest.mark.parametrize("lost", [made_anew_by_another_study, deleted, emptied, trashed])
def test_a_launch_with_nothing_to_do_publishes_what_the_tracker_lost(
    tracked_world: World, mlflow_database: Path, lost: Callable[[World, Path], None]
) -> None:
    world = tracked_world
    assert world.run(f"study.trials={TARGET}").status == 0
    lost(world, mlflow_database)
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    assert "Nothing left to do" in launch.stdout
    assert "Compare the trials" in launch.stdout
    assert_tracked_whole(world)


def test_a_database_made_anew_while_a_study_runs_is_not_said_to_have_its_runs(
    tracked_world: World, mlflow_database: Path
) -> None:
    """MLflow goes on writing to the file that was deleted, and is told that all is well."""
    world = tracked_world
    launch, hang = hanging(world, f"study.trials={TARGET}")
    (world.folder / "mlflow.db").unlink()
    shutil.copy(mlflow_database, world.folder / "mlflow.db")
    hang.unlink()
    assert launch.wait() == 0, launch.output
    if "Compare the trials" in launch.stdout:  # MLflow had not opened it yet
        assert_tracked_whole(world)
    else:
        assert f"{RUNS} runs are not published yet" in launch.stdout
    assert world.run(f"study.trials={TARGET}").status == 0
    assert_tracked_whole(world)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_server_whose_database_was_reset_gets_everything_again(served: Served, when: str) -> None:
    world, database = served.world, served.folder / "mlflow.db"
    served.proxy.up()
    if when == "before":
        assert world.run(f"study.trials={TARGET}").status == 0
        empty(database)
    else:
        launch, hang = hanging(world, f"study.trials={TARGET}")
        eventually(lambda: served.proxy.requests > 10)
        empty(database)
        hang.unlink()
        assert launch.wait() == 0, launch.output
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    assert "Compare the trials" in launch.stdout
    table = world.table()
    assert_tracked(database, table.entries(), table.uid, world.name)


@pytest.mark.slow
def test_another_tracker_gets_everything_and_the_first_one_keeps_it(
    served: Served, mlflow_database: Path
) -> None:
    """There and back again: each time the tracker that is named now is asked."""
    world = served.world
    shutil.copy(mlflow_database, world.folder / "mlflow.db")
    served.proxy.up()
    here = "tracking.uri=sqlite:///mlflow.db"
    for more in ((), (here,), (), (here,)):
        launch = world.run(f"study.trials={TARGET}", *more)
        assert launch.status == 0, launch.output
    table = world.table()
    for database in (world.folder / "mlflow.db", served.folder / "mlflow.db"):
        assert_tracked(database, table.entries(), table.uid, world.name)
