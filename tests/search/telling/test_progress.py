"""Progress: plain lines where there is no terminal, a view that redraws itself where there is one."""

import io
import re

import pytest
from rich.console import Console

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
    assert re.search(r"2\.0 s  1/5  best 0\.5000 \(trial 0\)  left \d+:\d\d$", first)
    assert second.startswith("trial 1: pruned  val_accuracy 0.7500")
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


@pytest.mark.parametrize("state", ["complete", "failed"])
def test_on_a_terminal_only_failures_stay(state: str) -> None:
    screen = Screen(terminal=True)
    screen.progress.ended(failed(0) if state == "failed" else entry(0))
    assert ("trial 0: failed" in screen.file.getvalue()) == (state == "failed")


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
