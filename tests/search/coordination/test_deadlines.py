"""A launch that must end in time: what can't end is not begun, and is the next launch's."""

import time
from pathlib import Path
from typing import Any

import pytest

from search.coordination.coordinator import Coordinator
from search.forecasting.cost import Size
from search.forecasting.estimator import Estimator
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.stopping import Stopper
from tests.search.conftest import RecordingWatcher, engine_of, setup_of, study_of
from tests.search.fakes import FakeLauncher, trains
from tests.search.forecasting.machine import Machine, seen

SPACE: dict[str, Any] = {"model": {"hidden_units": [8, 4096]}, "train": {"seed": [0, 1, 2]}}
SMALL, LARGE = 8, 4096


class Launch:
    """A study of small networks and one size of large ones, on a machine where those take minutes."""

    def __init__(self, url: str, seconds: float) -> None:
        setup = setup_of("sampler=grid", "pruner=none", space=SPACE)
        study = study_of(setup)
        self.table = TrialTable.open(url, study)
        size = Size.of(study.dataset)
        runs = [
            setup.space.apply(setup.run, {"model.hidden_units": units, "train.seed": 0})
            for units in (SMALL, LARGE)
        ]
        known = [seen(Machine(100.0), run, size) for run in runs]
        self.estimator = Estimator(size, lambda _: runs[:1], (), known)
        # The fake's own trials take no time at all: nothing is to be learnt from them.
        self.estimator.add = lambda _: None  # type: ignore[method-assign]
        self.small, self.large = (self.estimator.seconds(run) or 0.0 for run in runs)
        self.notes: list[str] = []
        self.stopper = Stopper(0, self.notes.append, time.monotonic() + seconds)
        self.launcher = FakeLauncher(trains, 1)
        self.coordinator = Coordinator(
            study,
            self.table,
            engine_of(setup, self.table.entries()),
            self.launcher,
            WeightStore(Path(url.removeprefix("sqlite:///")).parent / "weights"),
            3,
            RecordingWatcher(),
            self.stopper,
            estimator=self.estimator,
        )

    def run(self) -> list[Entry]:
        self.coordinator.run(6)
        return self.table.entries()

    @property
    def trained(self) -> set[Any]:
        return {task.run.model.hidden_units for task in self.launcher.tasks}


@pytest.fixture
def takes(url: str) -> tuple[float, float]:
    """What a small and a large network take there."""
    launch = Launch(url, 1.0)
    return launch.small, launch.large


def test_with_time_enough_all_are_trained(url: str, takes: tuple[float, float]) -> None:
    launch = Launch(url, 100 * takes[1])
    assert {entry.state for entry in launch.run()} == {"complete"}
    assert launch.coordinator.met


def test_a_trial_that_no_such_launch_has_time_for_is_left_out(
    url: str, takes: tuple[float, float]
) -> None:
    small, large = takes
    assert large > 4 * small
    launch = Launch(url, large / 2)
    entries = launch.run()
    assert launch.trained == {SMALL}
    assert [e.state for e in entries if e.params["model.hidden_units"] == SMALL] == ["complete"] * 3
    assert [e.state for e in entries if e.params["model.hidden_units"] == LARGE] == ["running"] * 3
    assert not launch.coordinator.met
    assert len([note for note in launch.notes if "left out" in note]) == 3
    longer = Launch(url, 100 * large)
    assert {entry.state for entry in longer.run()} == {"complete"}, "the next launch has them"
    assert len(longer.launcher.tasks) == 3


def test_nothing_is_asked_for_that_would_usually_be_late(
    url: str, takes: tuple[float, float]
) -> None:
    launch = Launch(url, takes[0] / 2)
    assert launch.run() == []
    assert launch.launcher.tasks == []
    assert any("no more trials" in note for note in launch.notes)
    assert not launch.coordinator.met


def test_a_trial_that_would_be_late_now_is_the_next_launch_s(
    url: str, takes: tuple[float, float]
) -> None:
    """Its launch had the time at its beginning."""
    launch = Launch(url, takes[1] * 1.5)
    launch.stopper.drain(takes[1] / 2)
    launch.stopper.draining = False
    entries = launch.run()
    assert LARGE not in launch.trained
    waiting = [entry for entry in entries if entry.state == "running"]
    assert [entry.params["model.hidden_units"] for entry in waiting] == [LARGE]
    assert any("no more trials" in note for note in launch.notes)
    assert Launch(url, 100 * takes[1]).run()[waiting[0].number].state == "complete"
