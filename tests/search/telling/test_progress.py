"""Progress: plain lines where there is no terminal, a view that redraws itself where there is one."""

import dataclasses
import io
import re
from typing import Any

import pytest
from rich.console import Console

from pipeline.command.streams import OutputClosedError
from pipeline.run.config import ObjectiveConfig
from search.forecasting.estimator import Estimator
from search.study.vocabulary import Entry
from search.telling.progress import Progress
from tests.search.conftest import study
from tests.search.telling.test_runs import entry, failed

MAXIMIZE = ObjectiveConfig(metric="val_accuracy", direction="maximize", select="best")


class Screen:
    """Progress of a study of five trials, and what it printed."""

    def __init__(
        self,
        terminal: bool = False,
        ended: list[Entry] | None = None,
        estimator: Estimator | None = None,
    ) -> None:
        self.file = io.StringIO()
        console = Console(file=self.file, width=100, force_terminal=terminal)
        self.progress = Progress(console, "test", 5, 1, MAXIMIZE, ended or [], estimator=estimator)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()


def test_off_a_terminal_every_trial_is_one_plain_line() -> None:
    asked = study()
    screen = Screen(estimator=Estimator.of(asked.base, asked.space, asked.dataset, []))
    with screen.progress:
        screen.progress.ended(entry(0, [0.5], started_at=0.0, ended_at=2.0))
        screen.progress.ended(entry(1, [0.75], state="pruned", started_at=0.0, ended_at=4.0))
        screen.progress.ended(failed(2, "loss is nan at epoch 2\nmore"))
    assert "\x1b" not in screen.file.getvalue()
    assert len(screen.lines) == 3
    first, second, third = screen.lines
    assert first.startswith("trial 0: complete  val_accuracy 0.5000  model.dropout=0")
    took = entry(0, [0.5]).train_seconds
    assert re.search(rf"{took:.1f} s  1/5  best 0\.5000 \(trial 0\)  left \d+:\d\d$", first)
    assert second.startswith("trial 1: pruned at epoch 1/4  val_accuracy 0.7500")
    assert "2/5  best 0.5000 (trial 0)  left " in second
    assert third.startswith("trial 2: failed  loss is nan at epoch 2  model.dropout=0.2")
    assert "more" not in third


def test_a_long_line_is_not_broken() -> None:
    screen = Screen()
    params = {f"model.a_long_name_{number}": 0.5 for number in range(9)}
    screen.progress.ended(entry(0, params=params))
    assert len(screen.lines) == 1
    assert all(f"{path}=0.5" in screen.lines[0] for path in params)


def test_an_earlier_launch_counts_for_the_best_and_the_total() -> None:
    screen = Screen(ended=[entry(0, [0.9]), failed(1)])
    screen.progress.ended(entry(2, [0.5]))
    assert "3/5  best 0.9000 (trial 0)" in screen.lines[0]


def test_nothing_is_best_before_a_trial_is_complete() -> None:
    screen = Screen()
    screen.progress.ended(failed(0))
    assert "best -" in screen.lines[0]


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_on_a_terminal_every_trial_that_ended_scrolls_by(state: str) -> None:
    screen = Screen(terminal=True)
    params = {f"model.a_long_name_{number}": 0.5 for number in range(9)}
    screen.progress.ended(failed(0) if state == "failed" else entry(0, state=state, params=params))
    (line,) = re.sub(r"\x1b\[[\d;]*m", "", screen.file.getvalue()).splitlines()
    assert line.startswith(f"trial 0: {state}")
    if state != "failed":
        assert len(line) <= 100, "one line, the view below it has the rest"


def test_what_is_waited_for_is_said_until_a_trial_is_there() -> None:
    running = entry(3, state="running", ended_at=None, value=None, result=None, history=())
    waits, begun, lines = Screen(terminal=True), Screen(terminal=True), Screen()
    for each in (waits, begun, lines):
        with each.progress:
            each.progress.waits("starting 2 workers")
            if each is not waits:
                each.progress.update({3: running})
    assert "starting 2 workers ..." in waits.file.getvalue()
    assert "compiling 2 x 128: dropout=0.3" in begun.file.getvalue()
    assert "starting" not in begun.file.getvalue()
    assert lines.lines == ["Starting 2 workers."]


def test_a_worker_that_compiled_a_network_does_not_compile_it_again() -> None:
    screen = Screen(terminal=True)
    worker = {"worker": "0"}
    begun = entry(3, state="running", ended_at=None, value=None, history=(), worker=worker)
    screen.progress.update({3: dataclasses.replace(begun, history=entry(3).history)})
    assert not screen.progress._does(begun)
    assert screen.progress._does(dataclasses.replace(begun, worker={"worker": "1"}))


def test_what_is_waited_for_at_the_end_is_said_even_where_nobody_reads_it() -> None:
    screen = Screen()
    with screen.progress.waiting("drawing the report"):
        pass
    assert screen.lines == ["Drawing the report."]

    def note(_: str) -> None:
        raise OutputClosedError("nobody reads")

    screen.progress.note = note  # type: ignore[method-assign]
    with screen.progress.waiting("publishing"):
        done = True
    assert done


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"same_as": 1}, "s, the same as trial 1"),
        ({"prefix_of": 1}, "s, read off trial 1"),
        ({"extends": 1}, "s, its first epochs those of trial 1"),
        (
            {"continues": 1, "notes": {"tuner/bracket": 2, "tuner/round": 1}},
            "s, after trial 1, bracket 2, rung 1",
        ),
        ({"notes": {"pruner": {"completed_rung_0": 0.1, "completed_rung_1": 0.2}}}, "s, rung 1"),
    ],
)
def test_where_a_trial_comes_from_is_said(changes: dict[str, Any], said: str) -> None:
    screen = Screen()
    screen.progress.ended(entry(4, **changes))
    assert f"{entry(4).train_seconds:.1f} {said}  1/5" in screen.lines[0]


def test_on_a_terminal_running_trials_are_shown() -> None:
    running = entry(3, [0.25, 0.5], state="running", ended_at=None, value=None, result=None)
    screen = Screen(terminal=True)
    with screen.progress:
        screen.progress.update({3: running})
    shown = screen.file.getvalue()
    assert "2/4" in shown
    assert "0.5000" in shown
    assert "dropout=0.3" in shown


def test_a_note_is_one_line() -> None:
    screen = Screen()
    screen.progress.note("stopping " * 20)
    assert len(screen.lines) == 1
