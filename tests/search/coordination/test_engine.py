"""What the coordinator asks its engine, and what it tells it."""

import numpy as np
import pytest

from search.study.vocabulary import Wait, record
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.workers.messages import Epoch, Started, Task
from tests.search.coordination.launch import Launch, Scripted, first, suggest
from tests.search.fakes import Script, dies, diverges, epoch_metrics, finished, state, trains

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


# Suggestions, and results.


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
