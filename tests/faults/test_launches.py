"""Two launches of one study never write at once; two studies don't get in each other's way."""

import signal

import pytest

from search.trial_table.trials import TrialTable
from tests.faults.launch import eventually
from tests.faults.tracked import assert_tracked
from tests.faults.world import World, hanging, outcomes

pytestmark = pytest.mark.faults

TARGET = 6


@pytest.mark.parametrize(
    ("lock", "status", "words"),
    [("fail", 75, "another launch of this study is running"), ("skip", 0, "skipped")],
)
def test_a_second_launch_leaves(world: World, lock: str, status: int, words: str) -> None:
    first, hang = hanging(world, f"study.trials={TARGET}")
    second = world.run(f"study.trials={TARGET}", f"study.lock={lock}")
    assert second.status == status
    assert words in second.output
    assert "trial 0" not in second.output
    hang.unlink()
    assert first.wait() == 0, first.output
    world.assert_whole(TARGET)


def test_studies_of_one_name_in_two_databases_keep_their_own_weights(world: World) -> None:
    assert world.run(f"study.trials={TARGET}").status == 0
    first = world.entries()
    other = "storage.url=sqlite:///mlruns/other.db"
    assert world.run(f"study.trials={TARGET}", other, "train.learning_rate=0.1").status == 0
    world.assert_best_kept(first, world.name)
    world.assert_best_kept(
        TrialTable.load(f"sqlite:///{world.folder}/mlruns/other.db", world.name).entries(),
        world.name,
    )


def test_a_second_launch_waits_for_its_turn(world: World) -> None:
    first, hang = hanging(world, f"study.trials={TARGET}")
    second = world.start(f"study.trials={TARGET}", "study.lock=wait")
    eventually(lambda: "waiting for its end" in second.stdout)
    assert not second.ended.is_set()
    hang.unlink()
    assert (first.wait(), second.wait()) == (0, 0)
    assert "Nothing left to do" in second.stdout
    world.assert_whole(TARGET)


def test_a_launch_that_waited_goes_on_where_a_killed_one_was(world: World) -> None:
    first, hang = hanging(world, f"study.trials={TARGET}")
    second = world.start(f"study.trials={TARGET}", "study.lock=wait")
    eventually(lambda: "waiting for its end" in second.stdout)
    first.signal(signal.SIGKILL)
    hang.unlink()
    assert second.wait() == 0, second.output
    world.assert_whole(TARGET)


@pytest.mark.parametrize("lock", ["wait", "fail"])
def test_two_launches_at_the_same_instant_in_an_empty_folder_meet_the_target(
    world: World, lock: str
) -> None:
    launches = [world.start(f"study.trials={TARGET}", f"study.lock={lock}") for _ in range(3)]
    statuses = sorted(launch.wait() for launch in launches)
    assert statuses in ([[0, 0, 0]] if lock == "wait" else [[0, 75, 75], [0, 0, 75], [0, 0, 0]]), [
        launch.output for launch in launches
    ]
    world.assert_whole(TARGET)


def test_two_studies_started_at_the_same_instant_in_an_empty_folder_both_complete(
    world: World,
) -> None:
    world.overrides.remove("tracking=none")
    names = ["apples", "pears"]
    launches = [world.start(f"study.trials={TARGET}", f"study.name={name}") for name in names]
    for launch in launches:
        assert launch.wait() == 0, launch.output
        assert "not published" not in launch.output
    for name in names:
        table = world.table(name)
        assert [entry.number for entry in table.entries()] == list(range(TARGET))
        assert_tracked(world.folder / "mlflow.db", table.entries(), table.uid, name)
    apples, pears = (outcomes(world.entries(name)) for name in names)
    assert apples == pears


def test_search_publish_leaves_a_running_study_alone(tracked_world: World) -> None:
    world = tracked_world
    launch, hang = hanging(world, f"study.trials={TARGET}")
    publish = world.run(module="search.publish")
    assert publish.status == 0
    assert "smoke: is running, and publishes by itself" in publish.stdout
    hang.unlink()
    assert launch.wait() == 0
    assert_tracked(world.folder / "mlflow.db", world.entries(), world.table().uid, "smoke")
