"""A driver for the whole session, a world for each test."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.launch import Driver
from tests.faults.server import Proxy, healthy
from tests.faults.world import World, outcomes


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


MakeWorld = Callable[[str], World]


@pytest.fixture
def make_world(driver: Driver, tmp_path: Path) -> Iterator[MakeWorld]:
    """`make_world("a")`: an empty folder of its own. Whatever a test leaves running is stopped."""
    worlds: list[World] = []

    def make(name: str) -> World:
        base = tmp_path / name
        base.mkdir()
        worlds.append(World(driver, base))
        return worlds[-1]

    yield make
    for each in worlds:
        each.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """An empty folder with a fast study, which is not tracked."""
    return make_world("world")


@pytest.fixture
def tracked_world(world: World, mlflow_database: Path) -> World:
    """A folder with a fast study that is tracked in an MLflow database."""
    shutil.copy(mlflow_database, world.folder / "mlflow.db")
    world.overrides.remove("tracking=none")
    return world


@pytest.fixture(scope="session")
def tracking_server(
    mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Path]]:
    """The port of a tracking server that works, and the folder of its database and artifacts."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(mlflow_database, folder)
    with healthy(folder) as port:
        yield port, folder


@dataclass
class Served:
    """A study that is tracked on a server. `folder`: the server's."""

    world: World
    proxy: Proxy
    folder: Path


@pytest.fixture
def served(world: World, tracking_server: tuple[int, Path], tmp_path: Path) -> Iterator[Served]:
    """A study of a name of its own, tracked through a proxy that is down at first."""
    port, folder = tracking_server
    proxy = Proxy(port)
    world.name = tmp_path.name.replace("_", "-")
    world.overrides.remove("tracking=none")
    world.overrides += [f"study.name={world.name}", f"tracking.uri={proxy.uri}"]
    yield Served(world, proxy, folder)
    proxy.down()


@pytest.fixture(scope="session")
def undisturbed(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`undisturbed(overrides)`: what a study ends with that runs through on one worker."""
    known: dict[tuple[str, ...], Any] = {}

    def run(overrides: list[str], target: int) -> Any:
        key = (*overrides, f"study.trials={target}", "launcher.workers=1", "tracking=none")
        if key not in known:
            world = World(driver, tmp_path_factory.mktemp("undisturbed"))
            world.overrides = list(key)
            world.epoch_seconds = 0.0
            assert world.run().status == 0
            known[key] = outcomes(world.entries())
        return known[key]

    return run
