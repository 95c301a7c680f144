"""What a scheduler needs of a launch: an end within its budget, a summary to read, a command to call."""

import json
import signal
from typing import Any

import pytest

from tests.faults.world import World, hanging

pytestmark = pytest.mark.faults

TARGET = 4


@pytest.fixture
def summary(world: World) -> Any:
    """`summary()`: the summary of the study as it is now."""
    return lambda: json.loads((world.folder / "mlruns" / "smoke.json").read_text())


@pytest.fixture
def calls(world: World) -> Any:
    """`calls()`: the states that the command at the end has seen so far."""
    log = world.folder / "calls"
    program = world.folder / "hook"
    program.write_text(f'#!/bin/sh\ngrep \'^  "state"\' "$1" >> {log}\n')
    program.chmod(0o755)
    world.overrides.append(f"study.on_end={program}")
    return lambda: (
        [line.split('"')[3] for line in log.read_text().splitlines()] if log.exists() else []
    )


def test_a_launch_ends_within_its_budget_and_the_next_one_goes_on(
    world: World, summary: Any
) -> None:
    hang = world.fault("hang", epoch=2)  # for ever, if it were for the trials
    launch = world.run(f"study.trials={TARGET}", "study.max_seconds=3")
    assert launch.status == 75, launch.output
    assert "the same command goes on" in launch.stdout
    assert summary()["state"] == "stopped"
    hang.unlink()
    launch = world.run(f"study.trials={TARGET}")
    assert launch.status == 0, launch.output
    world.assert_whole(TARGET)


def test_a_budget_that_was_spent_on_waiting_begins_nothing(world: World) -> None:
    launch = world.run(f"study.trials={TARGET}", "study.max_seconds=0.001")
    assert launch.status == 75, launch.output
    assert "no more trials" in launch.stdout
    assert world.rows("SELECT * FROM trials") == []


def test_the_summary_says_how_it_stands_while_a_study_runs_and_at_its_end(
    world: World, summary: Any
) -> None:
    launch, hang = hanging(world, f"study.trials={TARGET}")
    early = summary()
    assert (early["state"], early["best"], early["seconds_left"]) == ("running", [], None)
    assert early["trials"] == {"complete": 0, "pruned": 0, "failed": 0}
    hang.unlink()
    assert launch.wait() == 0, launch.output
    late = summary()
    best = max(world.entries(), key=lambda entry: entry.value or 0.0)
    assert best.result is not None
    assert (late["study"], late["state"], late["target"]) == ("smoke", "met", TARGET)
    assert late["trials"] == {"complete": TARGET, "pruned": 0, "failed": 0}
    assert late["metric"] == "val_accuracy"
    assert late["best"] == [
        {
            "trial": best.number,
            "value": best.value,
            "params": dict(best.params),
            "test": dict(best.result.test),
            "seeds": 1,
            "spread": None,  # one run: it is not measured
        }
    ]
    assert late["seconds_left"] == 0
    assert late["written_at"] >= (best.ended_at or 0)


def test_the_summary_is_whole_whenever_the_launch_is_killed(world: World, summary: Any) -> None:
    """Also in the middle of being replaced."""
    assert world.run(f"study.trials={TARGET}").status == 0
    write = {"point": "pathlib:Path.replace", "when": "before", "nth": 1, "does": "kill"}
    launch = world.run(f"study.trials={TARGET + 1}", faults=[write])
    assert launch.status == -signal.SIGKILL, launch.output
    assert summary()["trials"]["complete"] == TARGET


def test_the_command_at_the_end_is_called_with_the_summary_however_a_launch_ends(
    world: World, calls: Any
) -> None:
    assert world.run("study.trials=1").status == 0
    assert world.run("study.trials=2", "study.max_seconds=0.001").status == 75
    bug = world.fault("raise")
    assert world.run("study.trials=9").status == 1
    bug.unlink()
    assert world.run("study.trials=9").status == 0
    assert calls() == ["met", "stopped", "failed", "met"]
    again = world.run("study.trials=9")
    assert "Nothing left to do" in again.stdout
    assert len(calls()) == 4, "a launch with nothing to do has no end to tell of"


def test_a_command_at_the_end_that_fails_is_told_of_and_changes_nothing(world: World) -> None:
    launch = world.run("study.trials=1", "study.on_end=/bin/false")
    assert (launch.status, launch.stderr) == (0, "")
    assert "study.on_end: exit code 1" in launch.stdout
    launch = world.run("study.trials=2", "study.on_end=./not-there")
    assert (launch.status, launch.stderr) == (0, "")
    assert "study.on_end: " in launch.stdout
    assert "not-there" in launch.stdout
    world.assert_whole(2)
