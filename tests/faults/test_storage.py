"""Databases that are locked, damaged or somebody else's, full disks and folders that take nothing."""

import hashlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.faults.launch import eventually
from tests.faults.tracked import assert_tracked
from tests.faults.world import World, exclusively, hanging

pytestmark = pytest.mark.slow  # locks that are waited for

TARGET = 5
SHORT = {"search.trial_table.sqlite.LOCKED_SECONDS": 0.3}


def assert_resumable(world: World, target: int = TARGET) -> None:
    launch = world.run(f"study.trials={target}")
    assert launch.status == 0, launch.output
    world.assert_whole(target)


def test_a_study_waits_for_whoever_locks_its_database(world: World) -> None:
    assert world.run("study.trials=1").status == 0
    launch, hang = hanging(world, f"study.trials={TARGET}")
    with exclusively(world.database):
        hang.unlink()  # now it has something to write
        assert not launch.ended.wait(0.5)
    assert launch.wait() == 0, launch.output
    world.assert_whole(TARGET)


def test_beyond_the_bound_a_locked_database_is_an_error_and_nothing_is_lost(world: World) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}", settings=SHORT)
    with exclusively(world.database):
        hang.unlink()
        assert launch.wait() == 74
    assert f"study database {world.database}: database is locked" in launch.stderr
    assert "Traceback" not in launch.output
    eventually(lambda: not world.workers(), within=60)
    assert_resumable(world)


def test_a_database_that_is_locked_from_the_start_is_an_error_that_names_it(world: World) -> None:
    assert world.run("study.trials=1").status == 0
    with exclusively(world.database):
        launch = world.run(f"study.trials={TARGET}", settings=SHORT)
    assert launch.status == 74
    assert str(world.database) in launch.stderr
    assert "locked" in launch.stderr
    assert_resumable(world)


def test_a_locked_mlflow_database_delays_what_is_published_only(tracked_world: World) -> None:
    world = tracked_world
    database = world.folder / "mlflow.db"
    with exclusively(database):
        launch = world.run(
            f"study.trials={TARGET}", settings={"search.telling.watcher._PUBLISH_SECONDS": 0.5}
        )
        assert launch.status == 0, launch.output
        assert f"{TARGET + 1} runs are not published yet" in launch.stdout
        world.assert_whole(TARGET)
    publish = world.run(module="search.publish")
    assert publish.status == 0, publish.output
    assert f"smoke: {TARGET + 1} runs published, {TARGET} trials in all" in publish.stdout
    assert_tracked(database, world.entries(), world.table().uid, "smoke")


def test_a_disk_that_fills_up_stops_the_study_cleanly(world: World) -> None:
    full = {
        "point": "search.trial_table.trials:TrialTable.complete",
        "when": "before",
        "nth": 2,
        "does": "fill",
    }
    launch = world.run("study.trials=40", faults=[full])
    assert launch.status == 74, launch.output
    assert launch.stderr.startswith("error: study database")
    assert str(world.database) in launch.stderr
    assert len(launch.stderr.splitlines()) == 1
    eventually(lambda: not world.workers(), within=60)
    assert 1 <= world.count("COMPLETE") < 40
    assert_resumable(world, 40)


def test_a_disk_without_room_is_refused_before_the_start(world: World) -> None:
    launch = world.run(settings={"search.trial_table.storage._NEEDED_BYTES": 2**70})
    assert launch.status == 74
    assert "a study needs" in launch.stderr
    assert not world.database.exists()
    assert_resumable(world)


def test_a_folder_that_can_not_be_written_is_refused_before_the_start(world: World) -> None:
    in_the_way = world.folder / "mlruns"
    in_the_way.write_text("a file where a folder should be")
    launch = world.run()
    assert launch.status == 74
    assert str(in_the_way) in launch.stderr
    assert "can't be written" in launch.stderr
    assert len(launch.stderr.splitlines()) == 1
    in_the_way.unlink()
    assert_resumable(world)


@pytest.mark.parametrize("setting", ["storage.weights=taken/w", "study.summary=taken/s.json"])
def test_no_trial_is_trained_where_what_it_leaves_can_not_be_written(
    world: World, setting: str
) -> None:
    (world.folder / "taken").write_text("a file where a folder should be")
    launch = world.run(setting)
    assert launch.status == 74
    assert str(world.folder / "taken") in launch.stderr
    assert "can't be written" in launch.stderr
    assert not world.database.exists()


def truncated(file: Path, _: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def corrupt(file: Path, _: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 8] = b"\xa5" * (4096 * 7)
    file.write_bytes(content)


def mlflows(file: Path, mlflow_database: Path) -> None:
    shutil.copy(mlflow_database, file)


def somebody_elses(file: Path, _: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()


def text(file: Path, _: Path) -> None:
    file.write_text("Dear diary, ")


@pytest.mark.parametrize("module", ["search.optimize", "search.publish"])
@pytest.mark.parametrize("damage", [truncated, corrupt, mlflows, somebody_elses, text])
def test_a_damaged_or_foreign_database_is_named_and_left_as_it_is(
    world: World,
    mlflow_database: Path,
    damage,  # type: ignore[no-untyped-def]
    module: str,
) -> None:
    if damage in {truncated, corrupt}:
        assert world.run("study.trials=2").status == 0
    world.database.parent.mkdir(exist_ok=True)
    world.database.touch()
    damage(world.database, mlflow_database)
    before = hashlib.sha256(world.database.read_bytes()).digest()
    launch = world.run(module=module)
    assert launch.status == 74, launch.output
    assert str(world.database) in launch.stderr
    assert "Traceback" not in launch.output
    assert hashlib.sha256(world.database.read_bytes()).digest() == before
    assert world.run(f"storage.url=sqlite:///{world.folder}/other.db", "study.trials=1").status == 0


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a\0b", "x" * 10_000, "", ".hidden", "a\nb"])
def test_a_name_that_is_no_plain_word_is_refused_and_nothing_is_created(
    world: World, name: str
) -> None:
    launch = world.run(f'study.name="{name}"')
    assert launch.status == 2, launch.output
    assert "study.name" in launch.stderr
    assert "Traceback" not in launch.output
    assert list(world.folder.iterdir()) == []
    folders = {each.name for each in world.folder.parent.iterdir() if each.is_dir()}
    assert folders == {"faults", "work"}
