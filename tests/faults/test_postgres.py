"""The trial table on a PostgreSQL server: whatever goes away, the same command ends the study."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import test_launches, test_steering
from tests.faults.launch import Driver, eventually
from tests.faults.test_chaos import KILLED, TABLE_POINTS, chaos, kill
from tests.faults.world import ServerWorld, hanging, outcomes
from tests.postgres import PASSWORD, Postgres

pytestmark = pytest.mark.faults

TARGET = 12
HASTY = {"search.trial_table.postgres.LOCKED_SECONDS": 0.5}


@pytest.fixture
def world(driver: Driver, postgres: Postgres, tmp_path: Any) -> Iterator[ServerWorld]:
    """An empty folder, and an empty database on the server."""
    world = ServerWorld(driver, tmp_path, postgres, postgres.database())
    yield world
    world.close()
    if not postgres.is_up:
        postgres.start()


def test_launches_at_the_same_instant_in_an_empty_database_meet_the_target(
    world: ServerWorld,
) -> None:
    launches = [world.start(f"study.trials={TARGET}", "study.lock=wait") for _ in range(3)]
    assert [launch.wait() for launch in launches] == [0, 0, 0], [
        launch.output for launch in launches
    ]
    world.assert_whole(TARGET)


# The same laws, here with an advisory lock on the server.
test_a_second_launch_leaves = test_launches.test_a_second_launch_leaves
test_a_launch_that_waited_goes_on_where_a_killed_one_was = (
    test_launches.test_a_launch_that_waited_goes_on_where_a_killed_one_was
)
test_a_launch_that_is_told_to_stop_goes_on = (
    test_steering.test_a_launch_that_is_told_to_stop_finishes_what_runs_and_the_next_one_goes_on
)
test_a_launch_is_watched_from_elsewhere_to_its_end = (
    test_steering.test_a_launch_is_watched_from_elsewhere_to_its_end
)
test_half_renamed_or_deleted_the_same_command_completes_it = (
    test_steering.test_killed_at_any_statement_the_same_command_completes_it
)


def test_killed_at_every_step_of_a_trial_the_same_command_ends_as_if_nothing_had_been(
    world: ServerWorld, undisturbed: Any
) -> None:
    own = [override for override in world.overrides if not override.startswith("storage.url")]
    points = [
        point
        for point in TABLE_POINTS
        if point[0].startswith(("search.trial_table.trials", "search.trial_table.writing"))
    ]
    for point in points:
        launch = world.run(f"study.trials={TARGET}", faults=kill(*point))
        assert launch.status == KILLED, f"{point} was not reached:\n{launch.output}"
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    world.assert_whole(TARGET)
    assert outcomes(world.entries()) == undisturbed(own, TARGET)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_restarted_in_the_middle_is_waited_for(world: ServerWorld, mode: Any) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    world.server.stop(mode)
    hang.unlink()  # now there is something to write
    assert not launch.ended.wait(1.0)
    world.server.start()
    assert launch.wait() == 0, launch.output
    world.assert_whole(TARGET)
    assert all(entry.attempts.made == 1 for entry in world.entries())


def test_a_study_whose_connection_was_lost_is_held_again_while_its_trials_train(
    world: ServerWorld,
) -> None:
    """Before there is anything to write: no other launch gets in between."""

    def holders() -> list[Any]:
        return world.rows(
            "SELECT pid FROM pg_locks JOIN pg_database ON oid = database "
            "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
        )

    hang = world.fault("hang", epoch=2)
    settings = {"search.trial_table.postgres._KEEP_SECONDS": 0.05}
    launch = world.start(f"study.trials={TARGET}", settings=settings)
    eventually(lambda: world.happened() == 2)
    before = holders()
    assert len(before) == 1
    world.server.cut()
    eventually(lambda: len(holders()) == 1 and holders() != before)
    hang.unlink()
    assert launch.wait() == 0, launch.output
    world.assert_whole(TARGET)


def test_a_server_stopped_for_good_ends_the_launch_and_the_same_command_goes_on(
    world: ServerWorld,
) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}", settings=HASTY)
    world.server.stop("immediate")
    hang.unlink()
    assert launch.wait() == 69, launch.output
    again = world.run(f"study.trials={TARGET}", settings=HASTY)
    assert again.status == 69, again.output
    for output in (launch.output, again.output):
        assert f"storage.url: postgresql+psycopg://ann:***@127.0.0.1:{world.server.port}" in output
        assert "Traceback" not in output
        assert not any(secret in output for secret in (PASSWORD, PASSWORD[:6]))
    eventually(lambda: not world.workers(), within=60)
    world.server.start()
    assert world.run(f"study.trials={TARGET}").status == 0
    world.assert_whole(TARGET)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_kills_with_the_server_restarted_in_the_middle_lose_and_repeat_nothing(
    world: ServerWorld, undisturbed: Any, seed: int
) -> None:
    own = [override for override in world.overrides if not override.startswith("storage.url")]

    def restart(round_number: int) -> None:
        if round_number % 3 == 1:
            world.server.restart("fast" if round_number % 2 else "immediate")

    world.epoch_seconds = 0.05
    chaos(world, target=40, rounds=6, seed=seed, also=restart)
    world.assert_whole(40)
    assert outcomes(world.entries()) == undisturbed(own, 40)
