"""The exit code says what a scheduler has to do next."""

from collections.abc import Callable

import pytest

from tests.faults.launch import eventually
from tests.faults.world import World

pytestmark = pytest.mark.faults

CLOSED = "http://127.0.0.1:9"  # the port of a service that nobody runs any more


def met(world: World) -> int:
    return world.run("study.trials=1").wait()


def broken(world: World) -> int:
    world.fault("import")
    return world.run().wait()


def misconfigured(world: World) -> int:
    return world.run("study.trials=0").wait()


def without_data(world: World) -> int:
    return world.run("data=npz", "data.path=nowhere.npz").wait()


def without_a_tracker(world: World) -> int:
    met(world)
    hasty = {"search.publish._PATIENCE_SECONDS": 0.1}
    return world.run(f"tracking.uri={CLOSED}", module="search.publish", settings=hasty).wait()


def with_a_bad_database(world: World) -> int:
    world.database.parent.mkdir()
    world.database.write_text("no database")
    return world.run().wait()


def while_another_runs(world: World) -> int:
    world.fault("hang")
    world.start()
    eventually(lambda: world.happened())
    return world.run().wait()


@pytest.mark.parametrize(
    ("code", "situation"),
    [
        (0, met),
        (1, broken),
        (2, misconfigured),
        (69, without_data),
        (69, without_a_tracker),
        (74, with_a_bad_database),
        (75, while_another_runs),
    ],
)
def test_the_exit_code_tells_the_situation(
    world: World, code: int, situation: Callable[[World], int]
) -> None:
    assert situation(world) == code
