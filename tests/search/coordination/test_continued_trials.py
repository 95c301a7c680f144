"""Trials that go on from others, in a whole study: coordinator, table and states, without processes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.command.errors import PlumblineError
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, RunResult, State
from pipeline.tracking.record import DatasetInfo
from search.coordination.coordinator import Coordinator
from search.study.vocabulary import Entry, Study, Wait
from search.telling.runs import Records
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Event, Failed, Finished, Lost, Task
from search.workers.stopping import Stopper
from tests.search.conftest import DROPOUT
from tests.search.coordination.at_once import Launcher
from tests.search.engines.oracles.session import SIX, setup_of


def result(run: RunConfig, start: State | None) -> RunResult:
    """A run that is better the nearer to dropout 0.3, and the best after its first epoch."""
    first = start.epoch + 1 if start else 1
    history = tuple(
        EpochMetrics(epoch, {"val_accuracy": 1 / epoch - abs(run.model.dropout - 0.3)}, 1.0, 1.0)
        for epoch in range(first, run.train.epochs + 1)
    )
    return RunResult(
        history=history,
        stop="completed",
        value=history[0].metrics["val_accuracy"],
        best_epoch=first,
        test={"test_loss": 0.5, "test_accuracy": 0.5},
        timings={"seconds_total": 1.0},
        examples_per_second=1.0,
        parameters=1,
        model_summary="",
        device="fake",
        loop="fake",
    )


def trains(task: Task) -> Event:
    """Where it ended is told by its number and its epochs."""
    state = State(task.run.train.epochs, [np.array([task.number])]) if task.keep_state else None
    return Finished(task.number, result(task.run, task.start), [], state)


class Watcher:
    """Looks away."""

    def running(self, trials: Any, last: bool) -> None: ...

    def ended(self, entry: Entry) -> None: ...


class Launch:
    """One launch of a study with Hyperband, in `folder`."""

    def __init__(self, folder: Path, *overrides: str, space: Any = DROPOUT) -> None:
        setup = setup_of("hyperband", space, *overrides)
        info = DatasetInfo("digits", "digest", "nowhere", (1,), (1,))
        study = Study(setup.study, setup.run, setup.space, info, setup.search)
        self.study = study
        self.table = TrialTable.open(f"sqlite:///{folder / 'studies.db'}", study)
        self.weights = WeightStore(folder / "weights")
        self.engine: Any = setup.make_engine(self.table.entries(), workers=1)

    def run(self, target: int, launcher: Launcher) -> Coordinator:
        coordinator = Coordinator(
            self.study,
            self.table,
            self.engine,
            launcher,
            self.weights,
            3,
            Watcher(),
            Stopper(0, print),
        )
        coordinator.run(target)
        return coordinator


def test_a_promoted_trial_starts_where_the_other_ended(tmp_path: Path) -> None:
    launch, launcher = Launch(tmp_path), Launcher(2, trains)
    assert launch.run(18, launcher).met
    continued = [entry for entry in launch.table.entries() if entry.continues is not None]
    assert len(continued) >= 4
    for entry in continued:
        task = launcher.tasks[entry.number]
        assert task.start is not None
        assert task.start.arrays[0] == [entry.continues]
        assert task.run.train.epochs == entry.epochs
        first = entry.notes["tuner/initial_epoch"] + 1
        assert [each.epoch for each in entry.history] == list(
            range(first, task.run.train.epochs + 1)
        )


def test_what_is_promoted_is_seen_in_the_records(tmp_path: Path) -> None:
    launch = Launch(tmp_path)
    launch.run(10, Launcher(1, trains))
    launch.table.describe(launch.study.about("", ""))
    records = Records(launch.table.about(), "uid")
    tags = [records.of_trial(entry).tags for entry in launch.table.entries()]
    assert "trial.continues" not in tags[0]
    assert tags[9]["trial.continues"] == str(launch.table.entries()[9].continues)
    assert tags[9]["engine"] == "keras_tuner"
    assert tags[9]["oracle"] == "HyperbandOracle"


def test_states_go_with_the_end_of_a_study_and_are_not_missed(tmp_path: Path) -> None:
    """Topped up again and again, a study has the trials and the values of one that ran through.

    A trial whose predecessor's state is gone is told where that ended.
    """

    def launch(folder: str, *targets: int) -> tuple[list[Any], list[Task]]:
        (tmp_path / folder).mkdir()
        tasks = []
        for target in targets:
            study, launcher = Launch(tmp_path / folder), Launcher(1, trains)
            assert study.run(target, launcher).met
            assert not list((tmp_path / folder / "weights").glob("*-state*"))
            tasks += launcher.tasks
        known = [
            (entry.params, entry.epochs, entry.continues, entry.value, entry.history)
            for entry in study.table.entries()
        ]
        return known, tasks

    whole, kept = launch("whole", 18)
    topped_up, gone = launch("topped_up", *range(9, 19))
    assert topped_up == whole
    promoted = [task for task in gone if task.start is not None]
    assert len(promoted) >= 4
    for task in promoted:
        assert task.start is not None
        start = kept[task.number].start
        assert start is not None
        assert (task.start.epoch, task.start.arrays) == (start.epoch, [])


def test_a_study_that_was_interrupted_keeps_its_states(tmp_path: Path) -> None:
    class Dies(Launcher):
        def poll(self, timeout: float) -> list[Event]:
            if len(self.tasks) == 11:
                raise KeyboardInterrupt
            return super().poll(timeout)

    with pytest.raises(KeyboardInterrupt):
        Launch(tmp_path).run(18, Dies(2, trains))
    launch, launcher = Launch(tmp_path), Launcher(2, trains)
    assert launch.run(18, launcher).met
    assert all(
        (task.start is None) == (launch.table.entries()[task.number].continues is None)
        for task in launcher.tasks
    )
    assert [entry.state for entry in launch.table.entries()] == ["complete"] * 18


def test_a_trial_whose_worker_died_goes_on_from_the_same_state(tmp_path: Path) -> None:
    died: list[int] = []

    def work(task: Task) -> Event:
        if task.start is not None and task.number not in died:
            died.append(task.number)
            return Lost(task.number, "its worker was ended by SIGKILL")
        return trains(task)

    launch, launcher = Launch(tmp_path), Launcher(1, work)
    assert launch.run(13, launcher).met
    assert died
    first, second = [task for task in launcher.tasks if task.number == died[0]]
    assert first.start is not None
    assert second.start is not None
    assert first.start.arrays == second.start.arrays


def test_an_exhausted_study_is_met(tmp_path: Path) -> None:
    launch = Launch(tmp_path, space=SIX)
    assert launch.run(100, Launcher(3, trains)).met
    assert len(launch.table.entries()) == 10  # 6, 3 and 1 of the only bracket that can be filled


def test_trials_that_diverge_do_not_end_a_study(tmp_path: Path) -> None:
    launch = Launch(tmp_path)
    assert launch.run(12, Launcher(2, lambda task: Failed(task.number, "loss is nan"))).met
    assert {entry.state for entry in launch.table.entries()} == {"failed"}


def test_waiting_for_nothing_is_an_error(tmp_path: Path) -> None:
    class Waits:
        continues = False

        def ask(self, count: int) -> Wait:
            return Wait()

    launch = Launch(tmp_path)
    launch.engine = Waits()
    with pytest.raises(PlumblineError, match="none is running"):
        launch.run(1, Launcher(1, trains))
