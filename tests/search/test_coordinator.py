"""The loop of a study, with a launcher that has no processes."""

from collections import Counter
from collections.abc import Callable

import pytest

from pipeline.errors import PlumblineError
from search.config import Setup
from search.coordinator import Coordinator
from search.launchers.base import Broken, Epoch, Failed, Finished, Started, Task
from search.space import Range, Space
from search.study import Engine, Entry, Study, Trial
from search.trials import TrialTable
from tests.search.conftest import DROPOUT, Copies, RecordingWatcher, engine_of, setup_of, study_of
from tests.search.fakes import (
    FakeLauncher,
    Script,
    dies,
    diverges,
    epoch_metrics,
    raises,
    run_result,
    trains,
)

Play = Callable[[Task], Script]


class Launch:
    """One launch of a study of dropout: its coordinator, launcher, table and watcher."""

    def __init__(
        self, url: str, script: Play = trains, *overrides: str, workers: int = 1, attempts: int = 3
    ) -> None:
        self.setup: Setup = setup_of("pruner=none", *overrides, space=DROPOUT)
        study: Study = study_of(self.setup)
        self.table = TrialTable.open(url, study)
        self.engine: Engine = engine_of(self.setup, self.table)
        self.launcher = FakeLauncher(script, workers)
        self.watcher = RecordingWatcher()
        self.coordinator = Coordinator(
            study, self.table, self.engine, self.launcher, attempts, self.watcher
        )

    def run(self, target: int) -> list[Entry]:
        """The table after the study was brought to `target`."""
        self.coordinator.run(target)
        return self.table.entries()

    @property
    def submitted(self) -> list[int]:
        return [task.number for task in self.launcher.tasks]


def first(script: Play, number: int = 0, times: int = 1) -> Play:
    """`script` for the first tasks of a trial, and good training for all others."""
    seen: Counter[int] = Counter()

    def play(task: Task) -> Script:
        seen[task.number] += 1
        return script(task) if task.number == number and seen[number] <= times else trains(task)

    return play


def interrupted(url: str, count: int) -> list[Trial]:
    """Trials that a coordinator before left running."""
    launch = Launch(url)
    trials = []
    for _ in range(count):
        trial = launch.engine.ask()
        assert trial is not None
        launch.table.start(trial, launch.setup.space.apply(launch.setup.run, trial.params))
        trials.append(trial)
    return trials


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_study_gets_exactly_its_target_of_trials(url: str, workers: int) -> None:
    launch = Launch(url, workers=workers)
    entries = launch.run(5)
    assert [(entry.number, entry.state) for entry in entries] == [
        (number, "complete") for number in range(5)
    ]
    assert launch.submitted == [0, 1, 2, 3, 4]
    assert sorted(entry.number for entry in launch.watcher.entries) == [0, 1, 2, 3, 4]


def test_a_study_is_topped_up(url: str) -> None:
    before = Launch(url).run(2)
    launch = Launch(url)
    entries = launch.run(5)
    assert entries[:2] == before
    assert launch.submitted == [2, 3, 4]


def test_with_the_target_met_nothing_is_submitted(url: str) -> None:
    before = Launch(url).run(2)
    for target in (1, 2):
        launch = Launch(url)
        assert launch.run(target) == before
        assert launch.submitted == []


def test_failed_trials_count_towards_the_target(url: str) -> None:
    entries = Launch(url, first(diverges)).run(2)
    assert [entry.state for entry in entries] == ["failed", "complete"]


def test_a_trial_runs_with_its_parameters_in_the_base(url: str) -> None:
    launch = Launch(url)
    (entry,) = launch.run(1)
    (task,) = launch.launcher.tasks
    assert task.run.model.dropout == entry.params["model.dropout"]
    assert task.run.parameters() == entry.run
    assert task.run.train == launch.setup.run.train


def test_the_result_of_the_worker_is_what_the_table_keeps(url: str) -> None:
    result = run_result([0.25, 1 / 3])

    def script(task: Task) -> Script:
        yield Started(task.number, {"device": "abacus", "threads": "10"})
        yield Finished(task.number, result)

    (entry,) = Launch(url, script).run(1)
    assert entry.result == result
    assert entry.worker == {"device": "abacus", "threads": "10"}


def test_the_watcher_sees_the_epochs_of_a_running_trial(url: str) -> None:
    launch = Launch(url)
    (entry,) = launch.run(1)
    seen = {len(running.history): running for running in launch.watcher.running_entries}
    assert set(seen) == {0, 1, 2, 3, 4}
    assert seen[3].history == entry.history[:3]
    assert (seen[3].state, seen[3].params, seen[3].uid) == ("running", entry.params, entry.uid)
    assert launch.watcher.entries == [entry]


# Workers that die.


def test_a_lost_trial_runs_again_with_the_same_parameters(url: str) -> None:
    launch = Launch(url, first(dies, number=1))
    entries = launch.run(3)
    assert launch.submitted == [0, 1, 1, 2]
    assert launch.launcher.tasks[1].run == launch.launcher.tasks[2].run
    assert [(entry.state, entry.attempt) for entry in entries] == [
        ("complete", 1),
        ("complete", 2),
        ("complete", 1),
    ]
    assert [epoch.epoch for epoch in entries[1].history] == [1, 2, 3, 4]


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_trial_that_kills_every_worker_fails_after_its_attempts(url: str, attempts: int) -> None:
    launch = Launch(url, first(dies, number=0, times=99), attempts=attempts)
    entries = launch.run(3)
    assert launch.submitted == [0] * attempts + [1, 2]
    assert [entry.state for entry in entries] == ["failed", "complete", "complete"]
    assert entries[0].attempt == attempts
    assert entries[0].reason is not None
    assert f"{attempts} worker" in entries[0].reason
    assert "its worker was ended by SIGKILL" in entries[0].reason
    assert [epoch.epoch for epoch in entries[0].history] == [1]


def test_other_trials_go_on_beside_one_that_kills_its_workers(url: str) -> None:
    launch = Launch(url, first(dies, number=0, times=99), workers=2)
    states = [entry.state for entry in launch.run(4)]
    assert states == ["failed", "complete", "complete", "complete"]


def test_losses_count_over_launches(url: str) -> None:
    """A trial that takes its coordinator down each time would otherwise be tried for ever."""

    class Crash(Exception):
        pass

    def once(task: Task) -> Script:
        if len(before.submitted) == 2:
            raise Crash
        return dies(task)

    before = Launch(url, once, attempts=2)
    with pytest.raises(Crash):
        before.run(1)
    launch = Launch(url, dies, attempts=2)
    (entry,) = launch.run(1)
    assert launch.submitted == [0]
    assert entry.state == "failed"
    assert entry.attempt == 3


# Trials that fail.


def test_a_trial_that_diverged_is_not_run_again(url: str) -> None:
    launch = Launch(url, first(diverges, number=1))
    entries = launch.run(3)
    assert launch.submitted == [0, 1, 2]
    assert (entries[1].state, entries[1].reason) == ("failed", "loss is nan at epoch 2")
    assert [epoch.epoch for epoch in entries[1].history] == [1]


def test_diverging_is_never_taken_for_a_bug(url: str) -> None:
    entries = Launch(url, diverges).run(7)
    assert [entry.state for entry in entries] == ["failed"] * 7


def test_the_same_exception_five_times_in_a_row_ends_the_study_with_its_traceback(url: str) -> None:
    launch = Launch(url, raises("KeyError: 'a bug'"))
    with pytest.raises(PlumblineError) as caught:
        launch.run(20)
    assert "5 trials in a row failed alike" in str(caught.value)
    assert "Traceback ...\n  File \"x.py\", line 1\nKeyError: 'a bug'" in str(caught.value)
    entries = launch.table.entries()
    assert [entry.state for entry in entries] == ["failed"] * 5
    assert entries[4].reason == "KeyError: 'a bug'"


def test_different_exceptions_do_not_end_the_study(url: str) -> None:
    def script(task: Task) -> Script:
        return raises(f"ValueError: dropout {task.number}")(task)

    entries = Launch(url, script).run(7)
    assert [entry.state for entry in entries] == ["failed"] * 7


def test_a_good_trial_between_failures_clears_the_count(url: str) -> None:
    def script(task: Task) -> Script:
        return trains(task) if task.number == 3 else raises("KeyError: 'a bug'")(task)

    entries = Launch(url, script).run(8)
    assert [entry.state for entry in entries].count("failed") == 7


def test_no_worker_that_can_train_ends_the_study(url: str) -> None:
    def script(_: Task) -> Script:
        yield Broken("ModuleNotFoundError: No module named 'keras'")

    launch = Launch(url, script)
    with pytest.raises(PlumblineError, match="no worker can train") as caught:
        launch.run(3)
    assert "No module named 'keras'" in str(caught.value)
    assert "failed" not in [entry.state for entry in launch.table.entries()]


def test_a_trial_that_the_configuration_refuses_fails_with_its_reason(url: str) -> None:
    """Pairs of fields are checked before the study; three that don't fit are found here."""
    launch = Launch(url)
    wide = Space({"model.dropout": Range(low=0.0, high=50.0)})
    study = study_of(launch.setup)
    study = Study(study.config, study.base, wide, study.data_digest, study.search)
    table = TrialTable.open(f"{url}.wide", study)
    setup = Setup(**{**vars(launch.setup), "space": wide})
    watcher = RecordingWatcher()
    coordinator = Coordinator(
        study, table, engine_of(setup, table), launch.launcher, attempts=3, watcher=watcher
    )
    coordinator.run(3)
    entries = table.entries()
    assert [entry.state for entry in entries] == ["failed"] * 3
    assert all(
        (entry.reason or "").startswith("refused: model.dropout: expected 0 <= dropout < 1")
        for entry in entries
    )
    assert launch.submitted == []
    assert watcher.entries == entries


# Pruning.


def test_pruning_is_decided_after_every_epoch_and_told_to_the_worker(url: str) -> None:
    """After two good trials a bad one is stopped at its second epoch."""
    heights = {0: 0.9, 1: 0.8, 2: 0.1}

    def script(task: Task) -> Script:
        yield Started(task.number, {})
        values = []
        for epoch in range(1, 5):
            values.append(heights[task.number] * epoch / 4)
            if (yield Epoch(task.number, epoch_metrics(epoch, values[-1]))):
                yield Finished(task.number, run_result(values, "pruned"))
                return
        yield Finished(task.number, run_result(values))

    pruner = ("pruner=median", "pruner.n_startup_trials=2", "pruner.n_warmup_steps=2")
    launch = Launch(url, script, *pruner)
    entries = launch.run(3)
    assert [entry.state for entry in entries] == ["complete", "complete", "pruned"]
    assert launch.launcher.replies == [
        *[(0, False)] * 4,
        *[(1, False)] * 4,
        (2, False),
        (2, True),
    ]
    assert len(entries[2].history) == 2


def test_pruning_looks_at_the_metric_of_the_objective(url: str) -> None:
    """A trial with a good accuracy and a bad loss is pruned where the loss counts."""

    def script(task: Task) -> Script:
        bad = task.number == 2
        metrics = epoch_metrics(1, 0.99 if bad else 0.5)
        metrics.metrics["val_loss"] = 9.0 if bad else 0.1  # type: ignore[index]
        pruned = yield Epoch(task.number, metrics)
        yield Finished(task.number, run_result([0.5], "pruned" if pruned else "completed"))

    launch = Launch(
        url,
        script,
        "pruner=median",
        "pruner.n_startup_trials=2",
        "pruner.n_warmup_steps=0",
        "objective.metric=val_loss",
        "objective.direction=minimize",
    )
    assert [entry.state for entry in launch.run(3)] == ["complete", "complete", "pruned"]


# Trials that an earlier coordinator left.


def test_interrupted_trials_run_first_with_the_same_parameters(url: str) -> None:
    left = interrupted(url, 2)
    launch = Launch(url)
    entries = launch.run(3)
    assert launch.submitted == [0, 1, 2]
    assert [entry.params for entry in entries[:2]] == [trial.params for trial in left]
    assert [entry.uid for entry in entries[:2]] == [trial.uid for trial in left]
    assert {entry.state for entry in entries} == {"complete"}


def test_interrupted_trials_count_towards_the_target(url: str) -> None:
    interrupted(url, 2)
    launch = Launch(url)
    assert len(launch.run(2)) == 2


def test_an_interrupted_trial_runs_even_where_the_target_is_met(url: str) -> None:
    interrupted(url, 3)
    entries = Launch(url).run(1)
    assert [entry.state for entry in entries] == ["complete"] * 3


def test_a_study_that_was_interrupted_asks_for_the_same_trials(url: str, copies: Copies) -> None:
    whole = Launch(copies.next()).run(5)
    Launch(url).run(2)
    interrupted(url, 1)
    after = Launch(url).run(5)
    assert [entry.params for entry in after] == [entry.params for entry in whole]


def test_an_exhausted_engine_ends_the_study(url: str) -> None:
    class Exhausted:
        def __init__(self, engine: Engine) -> None:
            self.left = 2
            self.ask_engine = engine

        def ask(self) -> Trial | None:
            self.left -= 1
            return self.ask_engine.ask() if self.left >= 0 else None

        def resume(self, number: int) -> Trial:
            return self.ask_engine.resume(number)

        def report(self, trial: Trial, epoch: int, value: float) -> bool:
            return self.ask_engine.report(trial, epoch, value)

    launch = Launch(url)
    coordinator = Coordinator(
        study_of(launch.setup),
        launch.table,
        Exhausted(launch.engine),
        launch.launcher,
        3,
        launch.watcher,
    )
    coordinator.run(10)
    assert launch.submitted == [0, 1]


def test_a_trial_with_a_deadline_passed_fails_and_the_study_goes_on(url: str) -> None:
    def late(task: Task) -> Script:
        yield Started(task.number, {})
        yield Failed(task.number, "past its deadline of 1 s")

    entries = Launch(url, first(late)).run(2)
    assert [(entry.state, entry.reason) for entry in entries] == [
        ("failed", "past its deadline of 1 s"),
        ("complete", None),
    ]
