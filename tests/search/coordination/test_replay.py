"""Recorded trials trained again: along their lineage, each once, pruned where they were, by whoever it is."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.command.errors import PlumblineError
from pipeline.run.comparison import Certificate, compare
from pipeline.run.digests import history_digest, weights_digest
from pipeline.run.result import DivergedError, EpochMetrics, State
from search.coordination.replay import Replayed, Replays, backend_of, recorded
from search.study.vocabulary import Entry
from search.workers.messages import Broken, Epoch, Failed, Finished, Started, Task
from search.workers.pool import Pool
from search.workers.stopping import Stopper
from tests.search.coordination.launch import Launch, Play, Scripted, suggest
from tests.search.fakes import WORKER, FakeLauncher, Script, dies, run_result


def learns(task: Task, nudge: float = 0.0) -> Script:
    """A worker whose every number depends on all epochs before, also those of the trial it went on from."""
    yield Started(task.number, dict(WORKER))
    begun = task.start or State(0, [np.zeros(1)])
    level, history = float(begun.arrays[0][0]), []
    for epoch in range(begun.epoch + 1, task.run.train.epochs + 1):
        level = level / 2 + task.run.model.dropout + nudge
        metrics = {"val_accuracy": level, "val_loss": 1 - level}
        history.append(EpochMetrics(epoch, metrics, 0.1, 0.2))
        if (yield Epoch(task.number, history[-1])):
            break
    pruned = len(history) < task.run.train.epochs - begun.epoch
    weights = [np.array([level])]
    result = replace(
        run_result([level], "pruned" if pruned else "completed"),
        history=tuple(history),
        value=level,
        best_epoch=history[-1].epoch,
        weights_digest=weights_digest(weights),
        history_digest=history_digest(history),
    )
    state = State(history[-1].epoch, weights)
    yield Finished(task.number, result, weights, state if task.keep_state else None)


class Pruning(Scripted):
    """Prunes trials after an epoch."""

    def __init__(self, *answers: Any, after: Mapping[int, int]) -> None:
        super().__init__(*answers, continues=True)
        self.after = after

    def report(self, number: int, curve: Mapping[int, float]) -> bool:
        return self.after.get(number) == max(curve)


@pytest.fixture
def entries(url: str) -> list[Entry]:
    """Two short trials, one gone on with twice, and one of those pruned on its way; and a pruned one."""
    engine = Pruning(
        suggest(0.1, epochs=1),
        suggest(0.2, epochs=1),
        suggest(0.1, epochs=3, continues=0),
        suggest(0.1, epochs=4, continues=2),
        suggest(0.3, epochs=4),
        suggest(0.2, epochs=4, continues=1),
        after={4: 2, 5: 3},
    )
    found = Launch(url, learns, engine=engine).run(6)
    states = ["complete"] * 4 + ["pruned", "pruned"]
    assert [entry.state for entry in found] == states
    assert [e.epoch for e in found[5].history] == [2, 3]
    return found


def again(
    wanted: list[Entry], entries: list[Entry], script: Play = learns, workers: int = 1
) -> tuple[dict[int, Replayed], FakeLauncher]:
    """What came of each of those wanted, and who trained it."""
    launcher = FakeLauncher(script, workers)
    found: dict[int, Replayed] = {}
    replays = Replays(wanted, entries)
    began: list[int] = []
    replays.train(
        Pool(launcher, 3, Stopper(grace_seconds=0, note=str)),
        lambda entry, replayed: found.update({entry.number: replayed}),
        lambda entry, _: began.append(entry.number),
    )
    assert replays.missing == 0
    assert set(found) <= {*began, *(n for n, each in found.items() if each.training.reason)}
    return found, launcher


def certified(entry: Entry, replayed: Replayed) -> Certificate:
    return compare("a", entry.uid, "val_accuracy", recorded(entry), replayed.training)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_whole_study_is_identical_and_each_trial_is_trained_once(
    entries: list[Entry], workers: int
) -> None:
    found, launcher = again(entries, entries, workers=workers)
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert all(certified(entry, found[entry.number]).identical for entry in entries)
    assert sorted(task.number for task in launcher.tasks) == [0, 1, 2, 3, 4, 5]
    assert {n for n, prune in launcher.replies if prune} == {4, 5}


def test_a_promoted_trial_is_trained_by_way_of_those_before_and_nothing_else(
    entries: list[Entry],
) -> None:
    found, launcher = again([entries[3]], entries)
    assert [task.number for task in launcher.tasks] == [0, 2, 3]
    assert list(found) == [3]
    assert certified(entries[3], found[3]).identical
    kept = {task.number for task in launcher.tasks if task.keep_state}
    assert kept == {0, 2}, "states that nobody waits for are not sent"


def test_another_network_on_the_way_is_another_network_at_the_end(entries: list[Entry]) -> None:
    def other(task: Task) -> Script:
        return learns(task, nudge=1e-9 if task.number == 0 else 0.0)

    found, _ = again([entries[3]], entries, other)
    certificate = certified(entries[3], found[3])
    assert (certificate.identical, certificate.weights) == (False, "differ")
    assert certificate.first is not None
    assert certificate.first.epoch == 4


def test_a_worker_that_dies_costs_no_identity(entries: list[Entry]) -> None:
    deaths = [2]

    def play(task: Task) -> Script:
        return dies(task) if task.number in deaths and not deaths.clear() else learns(task)

    found, launcher = again(entries, entries, play)
    assert [task.number for task in launcher.tasks].count(2) == 2
    assert all(certified(entry, found[entry.number]).identical for entry in entries)


def fails(task: Task) -> Script:
    yield Started(task.number, dict(WORKER))
    yield Epoch(task.number, EpochMetrics(1, {"val_accuracy": 0.1, "val_loss": 0.9}, 0.1, 0.2))
    yield Failed(task.number, str(DivergedError("loss is nan at epoch 2")))


def test_what_fails_differs_and_so_does_all_that_went_on_from_it(entries: list[Entry]) -> None:
    def some(task: Task) -> Script:
        return fails(task) if task.number == 0 else learns(task)

    found, launcher = again(entries, entries, some)
    assert [n for n in found if certified(entries[n], found[n]).identical] == [1, 4, 5]
    assert "loss is nan" in str(found[0].training.reason)
    assert "trial 0, which it went on from, has failed" in str(found[2].training.reason)
    assert "trial 2, which it went on from, has failed" in str(found[3].training.reason)
    assert {task.number for task in launcher.tasks} == {0, 1, 4, 5}


def test_where_no_worker_can_train_that_is_the_error(entries: list[Entry]) -> None:
    def broken(_: Task) -> Script:
        yield Broken("no such library")

    with pytest.raises(PlumblineError, match="no such library"):
        again(entries, entries, broken)


def test_where_it_is_stopped_the_others_are_missing(entries: list[Entry]) -> None:
    stopper = Stopper(grace_seconds=0, note=str)
    replays = Replays(entries, entries)
    ended: list[int] = []

    def end(entry: Entry, _: Replayed) -> None:
        ended.append(entry.number)
        stopper.drain(60)

    replays.train(Pool(FakeLauncher(learns), 3, stopper), end)
    assert (len(ended), replays.missing) == (1, 5)


def test_the_backend_is_that_of_the_record_and_the_users_own_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with backend_of({"backend": "tensorflow"}):
        assert os.environ["KERAS_BACKEND"] == "tensorflow"
    with backend_of({}):
        assert os.environ["KERAS_BACKEND"] == "jax"
    assert os.environ["KERAS_BACKEND"] == "jax"
