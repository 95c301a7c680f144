"""A forecast that is stopped, disturbed or made twice at once leaves nothing but what it measured."""

import signal

import pytest

from tests.faults.launch import eventually
from tests.faults.world import World

pytestmark = pytest.mark.faults

FORECAST = "search.forecast"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_measures_it_leaves_nothing(world: World, number: signal.Signals) -> None:
    world.fault("hang")
    launch = world.start(*world.overrides, module=FORECAST)
    eventually(world.happened)
    launch.signal(number)
    assert launch.wait() == 75, launch.output
    assert world.workers() == []
    assert list(world.folder.iterdir()) == []


def test_workers_that_cant_train_end_it_with_their_reason(world: World) -> None:
    world.fault("raise")
    launch = world.run(*world.overrides, module=FORECAST)
    assert launch.status == 1
    assert "nothing could be measured: " in launch.stderr
    assert "Traceback" not in launch.stderr
    assert list(world.folder.iterdir()) == []


def test_two_at_the_same_time_keep_what_both_measured(world: World) -> None:
    one, two = (
        world.start(*world.overrides, f"launcher.workers={count}", module=FORECAST)
        for count in (1, 2)
    )
    assert (one.wait(), two.wait()) == (0, 0), one.output + two.output
    file = world.folder / "mlruns" / "measured.json"
    assert file.read_text().count('"samples"') == 2
    assert world.workers() == []


def test_a_folder_that_cant_be_written_is_said_and_the_forecast_made(world: World) -> None:
    (world.folder / "mlruns").touch()
    launch = world.run(*world.overrides, module=FORECAST)
    assert launch.status == 0, launch.output
    assert "wall time" in launch.stdout
    assert "can't be written" in launch.stderr
    assert "Traceback" not in launch.stderr


def test_a_launch_says_first_what_it_will_take(world: World) -> None:
    launch = world.run("study.trials=3", "study.forecast=true")
    assert launch.status == 0, launch.output
    assert launch.stdout.index("wall time") < launch.stdout.index("trial 0: ")
    world.assert_whole(3)
    again = world.run(*world.overrides, "study.trials=3", module=FORECAST)
    assert "nothing left to do" in again.stdout
