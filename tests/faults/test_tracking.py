"""A tracking server may be down, slow or wrong: training goes on, and everything is published once."""

import pytest

from tests.faults.conftest import Served
from tests.faults.launch import eventually
from tests.faults.server import Deed
from tests.faults.tracked import assert_tracked, tracked
from tests.faults.world import outcomes

pytestmark = pytest.mark.slow  # a real tracking server behind a faulty one

TARGET = 4
RUNS = TARGET + 1  # and the study's own
HASTY = {
    "search.telling.watcher._PUBLISH_SECONDS": 0.3,
    "search.publish._PATIENCE_SECONDS": 0.3,
}


def assert_published(served: Served, target: int = TARGET) -> None:
    world = served.world
    world.assert_whole(target, world.name)
    table = world.table()
    assert_tracked(served.folder / "mlflow.db", table.entries(), table.uid, world.name)


def publish(served: Served, report: bool = False) -> str:
    """Publish what is pending, with a command that must succeed; what it said."""
    launch = served.world.run(
        f"tracking.uri={served.proxy.uri}",
        f"tracking.report={str(report).lower()}",  # it costs seconds
        module="search.publish",
    )
    assert launch.status == 0, launch.output
    return launch.stdout


def test_a_server_that_is_down_all_along_costs_a_study_nothing_but_the_publication(
    served: Served,
) -> None:
    launch = served.world.run(f"study.trials={TARGET}", settings=HASTY)
    assert launch.status == 0, launch.output
    assert f"{RUNS} runs are not published yet: python -m search.publish" in launch.stdout
    assert launch.stdout.count("nothing is lost") >= 1
    assert "Traceback" not in launch.output

    away = served.world.run(
        f"tracking.uri={served.proxy.uri}", module="search.publish", settings=HASTY
    )
    assert away.status == 69
    assert f"{RUNS} of {RUNS} runs can't be published" in away.stderr

    served.proxy.up()
    name = served.world.name
    assert not served.world.table().is_published(served.proxy.uri, "FINISHED")
    assert f"{name}: {RUNS} runs published, {TARGET} trials in all" in publish(served)
    assert_published(served)
    assert served.world.table().is_published(served.proxy.uri, "FINISHED")
    assert f"{name}: 0 runs published, {TARGET} trials in all" in publish(served)
    assert_published(served)


def test_a_server_that_comes_up_while_trials_run_gets_everything(served: Served) -> None:
    world = served.world
    hang = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}")
    eventually(lambda: "nothing is lost" in launch.stdout)
    eventually(lambda: world.happened() == 2)
    served.proxy.up()
    hang.unlink()
    assert launch.wait() == 0, launch.output
    assert "not published" not in launch.output
    assert_published(served)


def test_a_server_that_dies_half_way_gets_the_rest_later(served: Served) -> None:
    world = served.world
    served.proxy.up()
    hang = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}", settings=HASTY)
    eventually(lambda: world.happened() == 2 and served.proxy.requests > 10)
    served.proxy.down()
    hang.unlink()
    assert launch.wait() == 0, launch.output
    assert "runs are not published yet" in launch.stdout
    served.proxy.up()
    publish(served)
    assert_published(served)


def test_the_same_command_publishes_what_an_earlier_launch_could_not(served: Served) -> None:
    launch = served.world.run(f"study.trials={TARGET}", settings=HASTY)
    assert "not published yet" in launch.stdout
    served.proxy.up()
    launch = served.world.run(f"study.trials={TARGET}")
    assert launch.status == 0
    assert "Nothing left to do" in launch.stdout
    assert_published(served)


def test_a_study_topped_up_while_the_server_is_away_is_published_to_its_last_trial(
    served: Served,
) -> None:
    served.proxy.up()
    assert served.world.run("study.trials=2").status == 0
    assert_published(served, 2)
    served.proxy.down()
    assert served.world.run(f"study.trials={TARGET}", settings=HASTY).status == 0
    served.proxy.up()
    said = publish(served)
    assert f"{TARGET - 2 + 1} runs published" in said  # two trials and the study
    assert_published(served)


@pytest.mark.parametrize("deed", ["500", "500 after", "drop", "drop after"])
def test_a_server_that_fails_now_and_then_gets_each_run_once(served: Served, deed: Deed) -> None:
    served.proxy.behave = lambda request: deed if request % 4 == 0 else "pass"
    served.proxy.up()
    launch = served.world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    assert "nothing is lost" in launch.stdout
    served.proxy.behave = lambda _: "pass"
    publish(served)
    assert_published(served)


def test_trials_do_not_wait_for_a_slow_server(served: Served) -> None:
    """It answers nothing at all until the last trial has ended."""
    served.proxy.open.clear()
    served.proxy.up()
    world = served.world
    launch = world.start(f"study.trials={TARGET}")
    eventually(lambda: world.count("COMPLETE") == TARGET)
    assert served.proxy.requests >= 1 or eventually(lambda: served.proxy.requests)
    served.proxy.open.set()
    assert launch.wait() == 0, launch.output
    assert_published(served)


def test_a_run_that_a_slow_server_makes_after_it_was_made_again_is_there_once(
    served: Served,
) -> None:
    """Of the study and of a trial: they are given up, looked for, made again, and then there twice."""
    world, proxy = served.world, served.proxy
    made = 0

    def late(_: int) -> Deed:
        nonlocal made
        made += proxy.path.endswith("runs/create")
        return "late" if proxy.path.endswith("runs/create") and made in {1, 3} else "pass"

    def runs() -> list[str]:
        database = served.folder / "mlflow.db"
        return [run.tags["uid"] for run in tracked(database, world.name)]

    proxy.behave = late
    proxy.up()
    hang = world.fault("hang", epoch=2)
    launch = world.start(f"study.trials={TARGET}")
    eventually(lambda: world.happened() == 2 and len(runs()) == 3)  # a study and two trials
    assert made == 5
    proxy.late.set()
    eventually(lambda: len(runs()) == 5)
    hang.unlink()
    assert launch.wait() == 0, launch.output
    assert world.table().is_published(proxy.uri, "FINISHED")
    assert_published(served)


def test_results_do_not_depend_on_the_tracker(served: Served, make_world) -> None:  # type: ignore[no-untyped-def]
    calm = make_world("calm")
    assert calm.run(f"study.trials={TARGET}", "launcher.workers=1").status == 0
    served.proxy.behave = lambda request: "500 after" if request % 2 else "drop"
    served.proxy.up()
    launch = served.world.run(f"study.trials={TARGET}", settings=HASTY)
    assert launch.status == 0
    assert outcomes(served.world.entries()) == outcomes(calm.entries())


def test_the_report_that_a_server_missed_is_published_with_the_runs_once(served: Served) -> None:
    world = served.world
    world.overrides.remove("tracking.report=false")
    assert world.run(f"study.trials={TARGET}", settings=HASTY).status == 0
    served.proxy.up()
    assert f"{world.name}: its report is published" in publish(served, report=True)
    assert_published(served)
    assert report_files(served) >= {"history.png", "leaderboard.csv", "report.html"}
    assert "report is published" not in publish(served, report=True)  # it is there already

    served.proxy.down()
    assert world.run(f"study.trials={TARGET + 1}", settings=HASTY).status == 0
    served.proxy.up()
    assert f"{world.name}: its report is published" in publish(served, report=True)
    assert_published(served, TARGET + 1)


def report_files(served: Served) -> set[str]:
    """The artifacts of the study's run under `report/`."""
    return {file.name for file in served.folder.glob("artifacts/*/*/artifacts/report/*")}
