"""Passwords in URLs reach neither the screen nor a file."""

from pathlib import Path

import pytest

from tests.faults.conftest import Served
from tests.faults.launch import Launch
from tests.faults.world import World

pytestmark = pytest.mark.slow  # real servers

SECRET = "s3cret"


def assert_nowhere(folder: Path, *launches: Launch) -> None:
    for launch in launches:
        assert SECRET not in launch.output
    for file in folder.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_password_of_the_tracking_server_is_told_to_nobody(served: Served, up: bool) -> None:
    world = served.world
    uri = f"tracking.uri=http://ann:{SECRET}@127.0.0.1:{served.proxy.port}"
    if up:
        served.proxy.up()
    hasty = {
        "search.telling.watcher._PUBLISH_SECONDS": 0.3,
        "search.publish._PATIENCE_SECONDS": 0.3,
    }
    launch = world.run("study.trials=2", uri, settings={} if up else hasty)
    assert launch.status == 0, launch.output
    publish = world.run(uri, module="search.publish", settings={} if up else hasty)
    assert publish.status == (0 if up else 69)
    assert "***" in world.table().about().command
    assert_nowhere(world.folder, launch, publish)
    assert_nowhere(served.folder)
    if up:
        artifacts = list((served.folder / "artifacts").rglob("config.yaml"))
        assert any("***" in file.read_text() for file in artifacts)


def test_the_command_that_goes_on_is_shown_without_the_password(served: Served) -> None:
    world = served.world
    uri = f"tracking.uri=http://ann:{SECRET}@127.0.0.1:{served.proxy.port}"
    hasty = {"search.telling.watcher._PUBLISH_SECONDS": 0.3}
    launch = world.run(uri, "study.max_seconds=0.001", settings=hasty)
    assert launch.status == 75, launch.output
    assert "http://ann:***@127.0.0.1" in launch.stdout
    assert_nowhere(world.folder, launch)


@pytest.mark.parametrize("where", ["storage.url='{}'", "storage.url={}", "tracking.uri='{}'"])
@pytest.mark.parametrize("character", "@/#?: '{")
def test_a_password_that_is_not_encoded_is_refused_and_no_part_of_it_shown(
    world: World, where: str, character: str
) -> None:
    """Be it by Hydra, which can't read all of them."""
    url = f"postgresql+psycopg://ann:{SECRET}{character}{SECRET}@127.0.0.1:1/db"
    launch = world.run(where.format(url), "tracking=mlflow")
    assert launch.status == 2, launch.output
    assert_nowhere(world.folder, launch)


@pytest.mark.parametrize(
    "password", [SECRET, f"{SECRET}@x", f"a@{SECRET}", f"a:{SECRET}", f"a@b:{SECRET}@c"]
)
@pytest.mark.parametrize("module", ["search.optimize", "search.publish"])
def test_a_password_of_a_database_server_is_told_to_nobody(
    world: World, password: str, module: str
) -> None:
    """Nothing listens there, or the URL is refused: an error either way."""
    launch = world.run(f"storage.url='postgresql://ann:{password}@127.0.0.1:1/db'", module=module)
    assert launch.status in {2, 69}, launch.output
    assert "Traceback" not in launch.output
    assert "storage.url" in launch.stderr
    assert_nowhere(world.folder, launch)


def test_a_database_server_that_can_not_be_reached_is_an_error_of_its_own(world: World) -> None:
    refuse = {
        "point": "search.trial_table.postgres:check_server",
        "when": "before",
        "nth": 1,
        "does": "refuse",
    }
    launch = world.run(
        f"storage.url=postgresql+psycopg://ann:{SECRET}@127.0.0.1/db", faults=[refuse]
    )
    assert launch.status == 69
    assert "storage.url: postgresql+psycopg://ann:***@127.0.0.1/db: no server" in launch.stderr
    assert_nowhere(world.folder, launch)


def test_a_password_in_a_query_is_told_to_nobody(world: World) -> None:
    url = (
        f"storage.url='postgresql://127.0.0.1:1/db?user=ann&sslpassword={SECRET}&password={SECRET}'"
    )
    launch = world.run(url)
    assert launch.status in {2, 69}
    assert_nowhere(world.folder, launch)


def test_another_kind_of_server_is_refused(world: World) -> None:
    launch = world.run(f"storage.url=mysql://ann:{SECRET}@127.0.0.1/db")
    assert launch.status == 2
    assert "expected sqlite or postgresql, got mysql://ann:***@127.0.0.1/db" in launch.stderr
    assert_nowhere(world.folder, launch)
