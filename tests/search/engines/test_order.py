"""The same seed and number of workers give the same study: coordinator, table and engine together."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.coordination.coordinator import Coordinator
from search.setup.read import Setup
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Event, Failed, Finished, Lost, Task
from search.workers.stopping import Stopper
from tests.search.conftest import Copies, RecordingWatcher, setup_of, study_of
from tests.search.fakes import FakeLauncher, Script, dies, diverges, trains

SPACE = {
    "model": {"dropout": {"low": 0.0, "high": 0.6}},
    "train": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
}
OPTUNA = (
    "sampler=tpe",
    "sampler.n_startup_trials=3",
    "pruner=median",
    "pruner.n_startup_trials=3",
    "pruner.n_warmup_steps=1",
)
HYPERBAND = ("engine=keras_tuner", "oracle=hyperband", "train.epochs=9")


class Killed(Exception):
    """The end of a coordinator."""


class ByChance(FakeLauncher):
    """Which of the running tasks goes on is left to chance, and whether the coordinator ends instead."""

    def __init__(
        self, script: Callable[[Task], Script], workers: int, chance: random.Random, kills: float
    ) -> None:
        super().__init__(script, workers)
        self._chance = chance
        self._kills = kills

    def poll(self, timeout: float) -> list[Event]:
        if self._chance.random() < self._kills:
            raise Killed
        number = self._chance.choice(list(self._running))
        event = self._running[number].send(self._answers.pop(number, None))
        if isinstance(event, Finished | Failed | Lost):
            del self._running[number]
        return [event]


def study(
    setup: Setup, url: str, workers: int, chance: int = 0, kills: float = 0.0, target: int = 24
) -> list[Any]:
    """What the trials of a study are and come to, however often its coordinator is killed meanwhile."""
    lots = random.Random(chance)
    lost: set[int] = set()

    def script(task: Task) -> Script:
        if task.run.model.dropout > 0.55:
            return diverges(task)
        if chance and task.number not in lost and lots.random() < 0.1:
            lost.add(task.number)
            return dies(task)
        return trains(task)

    folder = Path(url.removeprefix("sqlite:///")).parent / f"weights-{workers}-{chance}"
    for _ in range(1000):
        table = TrialTable.open(url, study_of(setup))
        coordinator = Coordinator(
            study_of(setup),
            table,
            setup.make_engine(table.entries(), workers, past=table.warm_start.trials),
            ByChance(script, workers, lots, kills),
            WeightStore(folder),
            3,
            RecordingWatcher(),
            Stopper(grace_seconds=0, note=str),
        )
        try:
            coordinator.run(target)
        except Killed:
            continue
        return [told(entry) for entry in table.entries()]
    raise AssertionError("the study does not end")


def told(entry: Entry) -> Any:
    """What of a trial the same study must have again."""
    curve = [(epoch.epoch, dict(epoch.metrics)) for epoch in entry.history]
    return entry.params, entry.epochs, entry.continues, entry.state, entry.value, curve


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [OPTUNA, HYPERBAND], ids=["optuna", "hyperband"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_in_fixed_order_is_the_same_whatever_the_timing(
    overrides: tuple[str, ...], workers: int, copies: Copies
) -> None:
    """Whoever is lost, fails or is killed, and however often the command goes on."""
    setup = setup_of(*overrides, "study.order=fixed", space=SPACE)
    quiet = study(setup, copies.next(), workers)
    assert len(quiet) == 24
    assert {"failed", "complete"} <= {trial[3] for trial in quiet}
    assert any(trial[3] == "pruned" or trial[2] is not None for trial in quiet)
    assert study(setup, copies.next(), workers, chance=1) == quiet
    assert study(setup, copies.next(), workers, chance=2, kills=0.03) == quiet


def test_the_same_seed_gives_the_same_study_whatever_its_name(copies: Copies) -> None:
    """Hyperband assigns its brackets by a name."""
    one, other = (
        study(
            setup_of("pruner=hyperband", "train.epochs=9", f"study.name={name}", space=SPACE),
            copies.next(),
            1,
        )
        for name in ("one", "another")
    )
    assert any(trial[3] == "pruned" for trial in one)
    assert one == other


def test_with_one_worker_both_orders_are_the_same_study(copies: Copies) -> None:
    fixed, free = (
        study(setup_of(*OPTUNA, f"study.order={order}", space=SPACE), copies.next(), 1)
        for order in ("fixed", "free")
    )
    assert fixed == free


def test_a_launch_with_other_workers_says_what_that_means(url: str) -> None:
    setup = setup_of(*OPTUNA, "study.order=fixed", space=SPACE)
    assert setup.words_on_order((), 2) is None
    study(setup, url, 2)
    entries = TrialTable.open(url, study_of(setup)).entries()
    assert [entry.notes["order"]["workers"] for entry in entries] == [2] * 24
    assert setup.words_on_order(entries, 2) is None
    assert "in the order of 2 workers, those to come are in that of 4" in (
        setup.words_on_order(entries, 4) or ""
    )
    free = setup_of(*OPTUNA, "study.order=free", space=SPACE)
    assert free.words_on_order(entries, 4) is None
