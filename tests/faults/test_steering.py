"""A launch is watched and stopped from another process; a study is renamed and deleted whatever is killed."""

import json
import re
import signal

import pytest

from tests.faults.launch import Launch, eventually
from tests.faults.test_chaos import KILLED
from tests.faults.test_finalists import Comparison
from tests.faults.test_finalists import hang as hanging_comparison
from tests.faults.world import World, hanging

pytestmark = pytest.mark.faults

TARGET = 6


def steered(world: World, *words: str, **more: object) -> Launch:
    """`python -m search.studies` in the folder of `world`, on its study and its storage."""
    storage = [word for word in world.overrides if word.startswith("storage.url")]
    given = [*storage, "tracking=none", f"study.name={world.name}", *words]
    return world.start(*given, module="search.studies", **more)  # type: ignore[arg-type]


def steer(world: World, *words: str, **more: object) -> Launch:
    launch = steered(world, *words, **more)
    launch.wait()
    return launch


def test_a_launch_that_is_told_to_stop_finishes_what_runs_and_the_next_one_goes_on(
    world: World,
) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    stop = steer(world, "studies.do=stop")
    assert stop.status == 0, stop.output
    assert "finishes what runs, and stops" in stop.stdout
    eventually(lambda: "finishing the running trials" in launch.stdout)
    assert "stopping" in steer(world).stdout
    assert not launch.ended.is_set()
    hang.unlink()
    assert launch.wait() == 75, launch.output
    assert [entry.state for entry in world.entries()] == ["complete", "complete"]
    assert steer(world, "studies.do=stop").stdout.endswith(": no launch is running.\n")
    assert world.run(f"study.trials={TARGET}").status == 0, (
        "it is not stopped by what was asked before"
    )
    world.assert_whole(TARGET)


def test_a_launch_that_is_told_to_stop_at_once_gives_up_what_runs(world: World) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    stop = steer(world, "studies.do=stop", "studies.now=true")
    assert stop.status == 0, stop.output
    assert launch.wait() == 75, launch.output
    assert [entry.state for entry in world.entries()] == ["running", "running"]
    hang.unlink()
    assert world.run(f"study.trials={TARGET}").status == 0
    world.assert_whole(TARGET)
    assert all(entry.attempts.unheard <= 1 for entry in world.entries())


@pytest.mark.parametrize("killed", [False, True])
def test_a_launch_is_watched_from_elsewhere_to_its_end(world: World, killed: bool) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    settings = {"search.steering.watching._PAUSE_SECONDS": 0.05}
    watch = steered(world, "studies.do=watch", settings=settings)
    eventually(lambda: "is running on" in watch.stdout)
    if killed:
        launch.signal_all(signal.SIGKILL)
        assert watch.wait() == 75, watch.output
        assert f"{world.name}: Stopped before its target." in watch.stdout
        return
    hang.unlink()
    assert launch.wait() == watch.wait() == 0, watch.output
    told = re.findall(r"^(trial \d+): complete", watch.stdout, re.MULTILINE)
    assert sorted(told) == [f"trial {number}" for number in range(TARGET)]
    assert f"{world.name}: Finished. {TARGET} of {TARGET} trials" in watch.stdout


def test_a_comparison_of_finalists_is_stopped_as_its_study_is(world: World) -> None:
    comparison = Comparison(world).study()
    launch, hang = hanging_comparison(comparison)
    assert steer(world, "studies.do=stop", "studies.now=true").status == 0
    assert launch.wait() == 75, launch.output
    hang.unlink()
    assert comparison.run().status == 0


def test_trials_that_failed_are_run_again_by_the_next_launch(world: World) -> None:
    fault = world.fault("raise", times=1)
    world.run(f"study.trials={TARGET}")
    fault.unlink()
    (failed,) = [entry for entry in world.entries() if entry.state == "failed"]
    assert "by the next launch" in steer(world, "studies.do=retry").stdout
    assert world.run(f"study.trials={TARGET}").status == 0
    world.assert_whole(TARGET)
    again = world.entries()[failed.number]
    assert (again.state, again.params) == ("complete", failed.params)


@pytest.mark.parametrize("does", ["rename", "delete"])
def test_killed_at_any_statement_the_same_command_completes_it(world: World, does: str) -> None:
    assert world.run(f"study.trials={TARGET}").status == 0
    before = world.entries()
    words = [f"studies.do={does}"]
    words += ["studies.to=other"] if does == "rename" else ["studies.yes=true"]
    running = hanging(world, f"study.trials={TARGET + 2}")
    refused = steer(world, *words)
    assert refused.status == 75, refused.output
    running[1].unlink()
    assert running[0].wait() == 0
    nth, kills = 1, 0
    while (launch := steer(world, *words, faults=[killing(nth)])).status == KILLED:
        nth, kills = nth + 9, kills + 1
    assert kills > 1
    assert launch.status in (0, 2), launch.output
    if launch.status == 2:  # it was killed when all was done
        assert "there is no study" in launch.stderr
    folders = [file.name for file in (world.folder / "mlruns" / "weights").iterdir()]
    if does == "delete":
        assert folders == []
        assert world.rows("SELECT study_name FROM studies") == []
        assert all(world.rows(f"SELECT 1 FROM {table}") == [] for table in TABLES)
        assert world.run(f"study.trials={TARGET}").status == 0
        world.assert_whole(TARGET)
        return
    world.name = "other"
    assert [entry.uid for entry in world.entries()][:TARGET] == [entry.uid for entry in before]
    assert world.run("study.name=other", f"study.trials={TARGET + 4}").status == 0
    world.assert_whole(TARGET + 4)
    assert json.loads((world.folder / "mlruns" / "other.json").read_text())["study"] == "other"


TABLES = (
    "trials",
    "trial_user_attributes",
    "trial_params",
    "trial_values",
    "study_user_attributes",
)


def killing(nth: int) -> dict[str, object]:
    return {"point": "statement", "when": "before", "nth": nth, "does": "kill"}
