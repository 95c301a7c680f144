"""However a launch ends, and whatever tracks it: exit code, message, state, and nothing left running."""

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Served
from tests.faults.launch import Launch, eventually
from tests.faults.tracked import tracked
from tests.faults.world import World, hanging

pytestmark = pytest.mark.faults

TARGET = 3
CLOSED = "http://127.0.0.1:9"  # the port of a service that nobody runs any more
HASTY = {"search.telling.watcher._PUBLISH_SECONDS": 2.0}
THREE_POINTS = (
    "~study.space.model.dropout",
    "~study.space.train",
    "sampler=grid",
    "study.trials=9",
)


def when_a_trial_ended(does: str) -> dict[str, Any]:
    """A fault that the first trial is recorded before."""
    point = "search.trial_table.trials:TrialTable.complete"
    return {"point": point, "when": "after", "nth": 1, "does": does}


def run(*overrides: str, fault: str = "", in_worker: str = "") -> Callable[[World], Launch]:
    def launch(world: World) -> Launch:
        if in_worker:
            world.fault(in_worker)
        faults = [when_a_trial_ended(fault)] if fault else []
        return world.run(*overrides, faults=faults, settings=HASTY)

    return launch


def stop(world: World) -> Launch:
    launch, _ = hanging(world, "launcher.grace_seconds=0", settings=HASTY)
    launch.signal(signal.SIGTERM)
    launch.wait()
    return launch


def print_what_ascii_has_no_code_for(world: World) -> Launch:
    world.env["PYTHONIOENCODING"] = "ascii"
    return world.run("study.question='Wie gro\u00df ist \u03b5?'", settings=HASTY)


@dataclass(frozen=True)
class Ending:
    """What `launch` ends with. `status`: of the study's run in MLflow. `says`: what is on which stream."""

    launch: Callable[[World], Launch]
    code: int
    state: str
    status: str
    says: dict[str, str] = field(default_factory=dict)


ENDINGS = {
    "met": Ending(run(), 0, "met", "FINISHED", {"stdout": "Finished (3 of 3 trials, 0 failed)"}),
    "used up": Ending(
        run(*THREE_POINTS),
        *(0, "used_up", "FINISHED"),
        {"stdout": "Finished: there is nothing left to try (3 of 9 trials, 0 failed)"},
    ),
    "stopped": Ending(
        *(stop, 75, "stopped", "KILLED"),
        {"stdout": "Stopped before its target (0 of 3 trials, 0 failed)"},
    ),
    "out of time": Ending(
        run("study.max_seconds=0.001"),
        *(75, "stopped", "KILLED"),
        {"stdout": "Stopped before its target: the time of study.max_seconds is up"},
    ),
    "five alike": Ending(
        run("study.trials=9", "launcher.workers=1", in_worker="raise"),
        *(1, "failed", "FAILED"),
        {"stdout": "of 9 trials, 5 failed)", "stderr": "5 trials in a row failed alike"},
    ),
    "came to nothing": Ending(
        run(in_worker="diverge"),
        *(1, "failed", "FAILED"),
        {
            "stdout": "no trial is complete (3 of 3 trials, 3 failed)",
            "stderr": "study.retry=failed",
        },
    ),
    "no worker can start": Ending(
        run(in_worker="import"), 1, "failed", "FAILED", {"stderr": "no worker can train"}
    ),
    "disk full": Ending(
        run("study.trials=40", fault="fill"), 74, "failed", "FAILED", {"stderr": "study database"}
    ),
    "server gone": Ending(
        run(fault="lose"), 69, "failed", "FAILED", {"stderr": "storage.url: postgresql://"}
    ),
    "stdout closed": Ending(run(fault="unread"), 75, "stopped", "KILLED"),
    "stdout full": Ending(
        run(fault="full"), 74, "failed", "FAILED", {"stderr": "standard output: can't be written"}
    ),
    "unencodable output": Ending(
        print_what_ascii_has_no_code_for, 0, "met", "FINISHED", {"stdout": "Wie gro? ist ??"}
    ),
}


@pytest.fixture(params=["none", "file", "server", "down"])
def tracker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(tracker: str, request: pytest.FixtureRequest) -> World:
    """A study that `tracker` tracks, with a command at its end that keeps the states that it sees."""
    if tracker == "server":
        served: Served = request.getfixturevalue("served")
        served.proxy.up()
        world = served.world
    else:
        world = request.getfixturevalue("make_world")("world")
        if tracker == "file":
            shutil.copy(request.getfixturevalue("mlflow_database"), world.folder / "mlflow.db")
        if tracker != "none":
            world.overrides.remove("tracking=none")
        if tracker == "down":
            world.overrides.append(f"tracking.uri={CLOSED}")
    program = world.folder / "hook"
    program.write_text(f'#!/bin/sh\ngrep \'^  "state"\' "$1" >> {world.folder}/calls\n')
    program.chmod(0o755)
    world.overrides += [f"study.on_end={program}", f"study.trials={TARGET}"]
    return world


@pytest.mark.parametrize("name", ENDINGS)
def test_a_launch_ends_in_order_however_it_ends(
    name: str, world: World, tracker: str, request: pytest.FixtureRequest
) -> None:
    ending = ENDINGS[name]
    launch = ending.launch(world)
    assert launch.status == ending.code, launch.output
    for stream, text in ending.says.items():
        assert text in getattr(launch, stream)
    if "stderr" not in ending.says:
        assert launch.stderr == ""
    elif launch.status != 1:
        assert len(launch.stderr.splitlines()) == 1, launch.stderr

    summary = json.loads((world.folder / "mlruns" / f"{world.name}.json").read_text())
    assert summary["state"] == ending.state
    assert (world.folder / "calls").read_text().count(f'"{ending.state}"') == 1
    assert len((world.folder / "calls").read_text().splitlines()) == 1
    eventually(lambda: not world.workers(), within=60)

    if tracker in ("file", "server") and (name, tracker) != ("disk full", "file"):
        folder = world.folder if tracker == "file" else request.getfixturevalue("served").folder
        assert_tracked_as(ending.status, folder / "mlflow.db", world)


def assert_tracked_as(status: str, database: Path, world: World) -> None:
    """The study's run has `status`, with the words of the summary; no run is left running."""
    runs = tracked(database, world.name)
    (study,) = [run for run in runs if "mlflow.parentRunId" not in run.tags]
    assert study.status == status
    summary = json.loads((world.folder / "mlruns" / f"{world.name}.json").read_text())
    assert study.tags["study.ending"] == summary["message"]
    assert summary["message"] in study.tags["mlflow.note.content"]
    assert not [run for run in runs if run.status == "RUNNING"]
