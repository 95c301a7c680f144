"""The loop of a study, with a launcher that has no processes."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from pipeline.command.errors import PlumblineError, UnavailableError
from search.coordination.coordinator import Coordinator
from search.engines.optuna import OptunaAlgorithm
from search.engines.order import OrderedEngine
from search.setup.read import Setup
from search.study.space import Range, Space
from search.study.untried import Runs
from search.study.vocabulary import (
    Engine,
    Entry,
    Exhausted,
    Study,
    Suggestion,
    Suggestions,
    Told,
    Wait,
    record,
)
from search.table.storage import open_storage
from search.table.trials import TrialTable
from search.table.weights import WeightStore
from search.workers.messages import Broken, Epoch, Failed, Finished, Started, Task
from search.workers.stopping import Stopper
from tests.search.conftest import DROPOUT, Copies, RecordingWatcher, engine_of, setup_of, study_of
from tests.search.engines.engine_contract import Session
from tests.search.fakes import (
    FakeLauncher,
    Script,
    dies,
    diverges,
    epoch_metrics,
    finished,
    raises,
    run_result,
    starves,
    state,
    trains,
)

Play = Callable[[Task], Script]


class Launch:
    """One launch of a study of dropout: its coordinator, launcher, table and watcher."""

    def __init__(
        self,
        url: str,
        script: Play = trains,
        *overrides: str,
        workers: int = 1,
        attempts: int = 3,
        engine: Engine | None = None,
        wide: bool = False,
    ) -> None:
        self.setup: Setup = setup_of("pruner=none", *overrides, space=DROPOUT)
        study: Study = study_of(self.setup)
        if wide:  # as only three fields can be that don't fit together: pairs are checked before
            study = replace(study, space=Space({"model.dropout": Range(low=0.0, high=50.0)}))
            sampler, pruner = optuna.samplers.RandomSampler, optuna.pruners.NopPruner()
            runs = Runs(self.setup.run, study.space)
            engine = OrderedEngine(
                OptunaAlgorithm("test", "maximize", study.space, runs, sampler, 0, pruner), (), None
            )
        self.table = TrialTable.open(url, study)
        self.engine = engine or engine_of(self.setup, self.table.entries())
        self.launcher = FakeLauncher(script, workers)
        self.watcher = RecordingWatcher()
        self.weights = WeightStore(Path(url.removeprefix("sqlite:///")).parent / "weights")
        self.stopper = Stopper(grace_seconds=0, note=str)
        self.coordinator = Coordinator(
            study,
            self.table,
            self.engine,
            self.launcher,
            self.weights,
            attempts,
            self.watcher,
            self.stopper,
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


def interrupted(url: str, count: int) -> list[Entry]:
    """Trials that a coordinator before left running."""
    launch = Launch(url)
    session = Session(launch.setup, launch.table, launch.engine)
    return [session.ask() for _ in range(count)]


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
    assert task.run == entry.run
    assert task.run.train == launch.setup.run.train


def test_the_result_of_the_worker_is_what_the_table_keeps(url: str) -> None:
    result = run_result([0.25, 1 / 3])

    def script(task: Task) -> Script:
        yield Started(task.number, {"device": "abacus", "threads": "10"})
        yield Finished(task.number, result, [])

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
    assert [(entry.state, entry.attempts.made) for entry in entries] == [
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
    assert entries[0].attempts.made == attempts
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
    assert entry.attempts.made == 2


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


def test_a_trial_that_ends_beside_a_bug_is_on_record(url: str) -> None:
    """What the same look at the workers brought is taken in before the study stops."""

    def script(task: Task) -> Script:
        if task.number < 5:
            yield from raises("KeyError: 'a bug'")(task)
        else:
            yield Started(task.number, {})
            yield finished(task, [0.5])

    launch = Launch(url, script, workers=6)
    with pytest.raises(PlumblineError, match="failed alike"):
        launch.run(20)
    assert [entry.state for entry in launch.table.entries()] == ["failed"] * 5 + ["complete"]


def test_different_exceptions_do_not_end_the_study(url: str) -> None:
    def script(task: Task) -> Script:
        return raises(f"{['ValueError', 'KeyError'][task.number % 2]}: a reason")(task)

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
    assert caught.value.exit_code == 1
    assert "failed" not in [entry.state for entry in launch.table.entries()]


def test_no_worker_for_want_of_a_gpu_or_a_machine_is_a_service_that_is_missing(url: str) -> None:
    def script(_: Task) -> Script:
        yield Broken("no GPU", unavailable=True)

    with pytest.raises(UnavailableError, match="no worker can train:\nno GPU"):
        Launch(url, script).run(3)


def test_a_trial_that_the_configuration_refuses_fails_with_its_reason(url: str) -> None:
    launch = Launch(url, wide=True)
    entries = launch.run(3)
    assert [entry.state for entry in entries] == ["failed"] * 3
    assert all(
        (entry.reason or "").startswith("refused: model.dropout: expected 0 <= dropout < 1")
        for entry in entries
    )
    assert launch.submitted == []
    assert launch.watcher.entries == entries


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
                yield finished(task, values, "pruned")
                return
        yield finished(task, values)

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
        yield finished(task, [0.5], "pruned" if pruned else "completed")

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


def test_a_trial_with_a_deadline_passed_fails_and_the_study_goes_on(url: str) -> None:
    def late(task: Task) -> Script:
        yield Started(task.number, {})
        yield Failed(task.number, "past its deadline of 1 s")

    entries = Launch(url, first(late)).run(2)
    assert [(entry.state, entry.reason) for entry in entries] == [
        ("failed", "past its deadline of 1 s"),
        ("complete", None),
    ]


# What an engine may answer. These suggest what a test says.


class Scripted:
    """Answers in turn, then is exhausted; hears what the coordinator tells it."""

    def __init__(self, *answers: Suggestion | Wait, continues: bool = False) -> None:
        self.answers = list(answers)
        self.told: list[Told] = []
        self.reported: list[tuple[int, Mapping[int, float]]] = []
        self.counts: list[int] = []
        self.continues = continues

    def ask(self, count: int) -> Suggestions | Wait | Exhausted:
        self.counts.append(count)
        if not self.answers:
            return Exhausted()
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Wait) else Suggestions((answer,))

    def report(self, number: int, curve: Mapping[int, float]) -> bool:
        self.reported.append((number, curve))
        return False

    def tell(self, told: Told) -> Mapping[str, Any]:
        self.told.append(told)
        return {"told": told.number}


def suggest(dropout: float, **plan: Any) -> Suggestion:
    return Suggestion({"model.dropout": dropout}, **plan)


def test_an_exhausted_engine_ends_the_study(url: str) -> None:
    launch = Launch(url, engine=Scripted(suggest(0.1), suggest(0.2)))
    assert [entry.state for entry in launch.run(10)] == ["complete"] * 2
    assert launch.coordinator.met


def test_an_engine_that_waits_is_asked_again_when_something_happened(url: str) -> None:
    engine = Scripted(suggest(0.1), Wait(), Wait(), suggest(0.2))
    launch = Launch(url, workers=2, engine=engine)
    assert [entry.state for entry in launch.run(2)] == ["complete"] * 2
    assert launch.submitted == [0, 1]


def test_the_engine_hears_how_each_trial_ended_as_the_table_has_it(url: str) -> None:
    engine = Scripted(*map(suggest, (0.1, 0.2, 0.3)))
    entries = Launch(url, first(diverges, number=1), engine=engine).run(3)
    assert engine.told == [record(entry, "val_accuracy").told for entry in entries]
    assert [told.state for told in engine.told] == ["complete", "failed", "complete"]
    assert [len(told.curve) for told in engine.told] == [4, 1, 4]


def test_the_engine_is_asked_for_as_many_trials_as_can_start(url: str) -> None:
    engine = Scripted(suggest(0.1), suggest(0.2), suggest(0.3))
    Launch(url, workers=2, engine=engine).run(3)
    assert engine.counts == [2, 1, 1]


@pytest.mark.parametrize(
    ("overrides", "values", "asked"),
    [
        ((), [0.5, 0.6, 0.7, 0.8], 3),
        (("train.patience=1",), [0.5, 0.4], 1),
        (("train.epochs=1",), [0.5], 0),
    ],
)
def test_pruning_is_not_asked_where_a_trial_ends_anyhow(
    url: str, overrides: tuple[str, ...], values: list[float], asked: int
) -> None:
    """After its last epoch, or where patience is out: it is paid for in full. The engine is told of all."""

    def script(task: Task) -> Script:
        for epoch, value in enumerate(values, 1):
            yield Epoch(task.number, epoch_metrics(epoch, value))
        yield finished(task, values)

    engine = Scripted(suggest(0.1))
    launch = Launch(url, script, *overrides, engine=engine)
    assert [entry.state for entry in launch.run(1)] == ["complete"]
    assert [len(curve) for _, curve in engine.reported] == list(range(1, asked + 1))
    assert launch.launcher.replies == [(0, False)] * len(values)
    assert engine.told[0].curve == dict(enumerate(values, 1))


def test_a_new_attempt_is_reported_from_its_first_epoch(url: str) -> None:
    """What the attempt before it got to is not in its curve."""
    engine = Scripted(suggest(0.1))
    Launch(url, first(dies), engine=engine).run(1)
    assert [list(curve) for _, curve in engine.reported] == [[1], [1], [1, 2], [1, 2, 3]]
    assert [told.number for told in engine.told] == [0]


def test_what_the_engine_notes_at_the_end_of_a_trial_is_kept_however_it_ends(url: str) -> None:
    """Failed ones too: pruners compare with the rungs that those reached."""
    engine = Scripted(suggest(0.1), suggest(0.2, notes={"asked": True}), suggest(0.3))
    Launch(url, first(diverges, number=1), engine=engine).run(3)
    notes = [entry.notes for entry in TrialTable(open_storage(url), "test").entries()]
    assert notes == [{"told": 0}, {"asked": True, "told": 1}, {"told": 2}]


def test_a_trial_goes_on_from_where_another_ended_over_launches_too(url: str) -> None:
    """As far as the engine says, from the epoch, the weights and the optimizer of the other."""

    def script(task: Task) -> Script:
        before.stopper.drain(float("inf"))  # a study that is met removes its states
        return trains(task)

    before = Launch(url, script, engine=Scripted(suggest(0.1, epochs=2), continues=True))
    assert [epoch.epoch for epoch in before.run(2)[0].history] == [1, 2]
    longer = suggest(0.1, epochs=5, continues=0)
    after = Launch(url, engine=Scripted(longer, continues=True))
    entry = after.run(2)[1]
    (task,) = after.launcher.tasks
    assert (task.run.train.epochs, task.keep_state) == (5, True)
    assert task.start is not None
    assert task.start.epoch == 2
    for ours, theirs in zip(task.start.arrays, state(2).arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [number for number, _ in after.launcher.replies] == [1] * 3
    assert (entry.epochs, entry.continues) == (5, 0)


def test_no_state_is_kept_for_an_engine_whose_trials_start_afresh(url: str) -> None:
    launch = Launch(url)
    launch.run(1)
    assert launch.launcher.tasks[0].keep_state is False
    assert launch.weights.state(0) is None


# Being told to stop.


def test_a_study_that_is_drained_ends_its_running_trials_and_starts_no_more(url: str) -> None:
    def script(task: Task) -> Script:
        if task.number == 1:
            launch.stopper.drain(float("inf"))
        return trains(task)

    launch = Launch(url, script, workers=2)
    assert [entry.state for entry in launch.run(5)] == ["complete"] * 2
    assert not launch.coordinator.met
    again = Launch(url)
    assert [entry.number for entry in again.run(5)] == [0, 1, 2, 3, 4]
    assert again.coordinator.met


def test_a_study_that_is_stopped_leaves_its_trials_to_the_next_launch(url: str) -> None:
    def script(task: Task) -> Script:
        if task.number == 1:
            launch.stopper.drain(0)
        return trains(task)

    launch = Launch(url, script)
    before = launch.run(3)
    assert [entry.state for entry in before] == ["complete", "running"]
    assert not launch.coordinator.met
    again = Launch(url)
    after = again.run(3)
    assert again.submitted == [1, 2]
    assert after[1].params == before[1].params


def test_a_drain_that_met_the_target_is_no_interruption(url: str) -> None:
    def script(task: Task) -> Script:
        launch.stopper.drain(float("inf"))
        return trains(task)

    launch = Launch(url, script)
    launch.run(1)
    assert launch.coordinator.met


def test_a_trial_that_its_gpu_had_no_memory_for_is_run_again_alone(url: str) -> None:
    launch = Launch(url, first(starves), workers=2)
    entries = launch.run(3)
    assert [entry.state for entry in entries] == ["complete"] * 3
    assert [(task.number, task.alone) for task in launch.launcher.tasks].count((0, True)) == 1
    assert all(task.number == 0 for task in launch.launcher.tasks if task.alone)
    assert (entries[0].attempts.made, entries[0].attempts.losses) == (2, 0)
    again = [task.run for task in launch.launcher.tasks if task.number == 0]
    assert again[0] == again[1]


def test_a_trial_that_a_gpu_of_its_own_has_no_memory_for_failed_with_the_reason(url: str) -> None:
    launch = Launch(url, first(starves, times=9))
    entries = launch.run(2)
    assert [entry.state for entry in entries] == ["failed", "complete"]
    assert launch.submitted.count(0) == 2
    assert entries[0].reason == (
        "out of memory, also alone on its GPU: ResourceExhaustedError: no memory"
    )
    assert len(entries[0].history) == 1


def test_a_trial_that_could_not_be_alone_is_not_said_to_have_been(url: str) -> None:
    def script(task: Task) -> Script:
        return starves(replace(task, alone=False))

    entries = Launch(url, first(script, times=9)).run(2)
    assert entries[0].reason == (
        "out of memory, also on a fresh worker (its GPU may be shared): "
        "ResourceExhaustedError: no memory"
    )
