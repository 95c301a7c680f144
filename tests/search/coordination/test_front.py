"""A study of two objectives, coordinator, table and engine together: Optuna's own front is the oracle."""

import random
from pathlib import Path

import optuna
import pytest

from search.coordination.coordinator import Coordinator
from search.setup.read import Setup
from search.study.ranking import Ranking
from search.study.vocabulary import Entry, record
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Epoch, Started, Task
from search.workers.stopping import Stopper
from tests.search.conftest import Copies, RecordingWatcher, setup_of, study_of
from tests.search.engines.test_order import ByChance, Killed
from tests.search.fakes import WORKER, Script, curve, diverges, epoch_metrics, finished

SPACE = {"model": {"hidden_units": [8, 16, 32, 64], "dropout": {"low": 0.0, "high": 0.6}}}
NSGA2 = ("sampler=nsga2", "sampler.population_size=4")
TPE = ("sampler=tpe", "sampler.n_startup_trials=4")


def front(*overrides: str, cost: str = "parameters") -> Setup:
    return setup_of(*overrides, f"objective.cost={cost}", "pruner=none", space=SPACE)


def sized(task: Task) -> Script:
    """A worker that trains a network of `hidden_units` weights, the better the larger it is."""
    if task.run.model.dropout > 0.3:
        yield from diverges(task)
        return
    units = int(str(task.run.model.hidden_units))
    values = [value * units / (units + 8) for value in curve(task.run)]
    yield Started(task.number, dict(WORKER))
    for epoch, value in enumerate(values, 1):
        yield Epoch(task.number, epoch_metrics(epoch, value))
    yield finished(task, values, parameters=units, costs={"multiply_adds": 2 * units})


def run(
    setup: Setup,
    url: str,
    folder: Path,
    trials: int,
    workers: int = 1,
    chance: int = 0,
    kills: float = 0.0,
) -> TrialTable:
    """A study of so many trials, however often its coordinator is killed meanwhile."""
    lots = random.Random(chance)
    while True:
        table = TrialTable.open(url, study_of(setup))
        coordinator = Coordinator(
            study_of(setup),
            table,
            setup.make_engine(table.entries(), workers),
            ByChance(sized, workers, lots, kills),
            WeightStore(folder),
            3,
            RecordingWatcher(),
            Stopper(grace_seconds=0, note=str),
        )
        try:
            coordinator.run(trials)
        except Killed:
            continue
        return table


def told(entry: Entry) -> object:
    return entry.params, entry.state, entry.value, entry.cost


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest, url: str) -> str:
    """The URL of a trial table of the test's own, of either kind."""
    chosen: str = url if request.param == "sqlite" else request.getfixturevalue("server_url")
    return chosen


def test_the_table_has_both_objectives_and_optunas_front_is_ours(
    either: str, tmp_path: Path
) -> None:
    setup = front(*NSGA2)
    table = run(setup, either, tmp_path, 8)
    theirs = optuna.load_study(study_name="test", storage=open_storage(either))
    assert [way.name for way in theirs.directions] == ["MAXIMIZE", "MINIMIZE"]
    entries = table.entries()
    assert {"complete", "failed"} == {entry.state for entry in entries}
    for entry, trial in zip(entries, theirs.get_trials(), strict=True):
        assert trial.values == (None if entry.value is None else [entry.value, entry.cost])
        heard = record(entry, "val_accuracy").told
        assert heard is not None
        assert (heard.value, heard.cost) == (entry.value, entry.cost), "and so is the engine told"
    ours = {each.entry.number for each in Ranking(setup.run.objective, entries).front}
    assert ours == {trial.number for trial in theirs.best_trials}
    assert len(ours) > 1


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [NSGA2, TPE], ids=["nsga2", "tpe"])
def test_in_fixed_order_the_front_is_the_same_whatever_the_timing(
    sampler: tuple[str, ...], copies: Copies, tmp_path: Path
) -> None:
    setup = front(*sampler, "study.order=fixed")
    quiet = [told(entry) for entry in run(setup, copies.next(), tmp_path, 16, 2).entries()]
    again = run(setup, copies.next(), tmp_path, 16, 2, chance=1, kills=0.05)
    assert [told(entry) for entry in again.entries()] == quiet
