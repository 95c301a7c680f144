"""A study that varies its epochs trains no epoch twice, and has the rows of one that trains them all."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.run.result import State
from search.coordination.coordinator import Coordinator
from search.coordination.prefixes import Prefixes, epochs_in
from search.study.vocabulary import Engine, Entry, Suggestion, Suggestions, Told
from search.telling.runs import Records
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Event, Finished, Task
from search.workers.stopping import Stopper
from tests.search.conftest import RecordingWatcher, setup_of, study_of
from tests.search.coordination.at_once import Launcher
from tests.search.fakes import curve, run_result

SPACE = {"train": {"epochs": [1, 2, 4, 8], "seed": [0, 1]}}


class Study:
    """One launch after another, with workers that train as far as they are asked to, and count it."""

    def __init__(self, folder: Path, *overrides: str, reuse: bool = True) -> None:
        self.setup = setup_of("sampler=grid", "objective.select=last", *overrides, space=SPACE)
        self.study = study_of(self.setup)
        self.url = f"sqlite:///{folder / 'studies.db'}"
        self.weights = WeightStore(folder / "weights")
        self.trained: list[tuple[int, int]] = []  # seed and epoch
        self._reuse = reuse

    def run(self, target: int = 8, workers: int = 1, engine: Engine | None = None) -> list[Entry]:
        table = TrialTable.open(self.url, self.study)
        engine = engine or self.setup.make_engine(table.entries(), workers)
        prefixes = Prefixes(epochs_in(self.setup.space) if self._reuse else None, table.entries())
        coordinator = Coordinator(
            self.study,
            table,
            engine,
            Launcher(workers, self.trains),
            self.weights,
            attempts=3,
            watcher=(watcher := RecordingWatcher()),
            stopper=Stopper(0, print),
            prefixes=prefixes,
        )
        coordinator.run(target)
        heard = [entry.number for entry in watcher.entries]
        assert len(heard) == len(set(heard)), "each is told of once"
        return table.entries()

    def trains(self, task: Task) -> Event:
        values, start = curve(task.run), task.start
        behind = 0 if start is None else start.epoch
        if start is not None:
            assert start.arrays[0] == behind
            assert [epoch.epoch for epoch in start.history] == list(range(1, behind + 1))
        seed = task.run.train.seed
        self.trained += [(seed, epoch) for epoch in range(behind + 1, len(values) + 1)]
        shorter = {epochs: run_result(values[:epochs]) for epochs in task.milestones}
        state = State(len(values), [np.array(len(values))]) if task.keep_state else None
        return Finished(task.number, run_result(values, shorter=shorter), [], state)


def facts(entry: Entry) -> Any:
    """What is the same whether it was trained or not."""
    assert entry.result is not None
    result = replace(entry.result, timings={}, shorter={})
    return entry.params, entry.state, entry.value, entry.history, result


@pytest.mark.parametrize("seed", range(4))
def test_no_epoch_is_trained_twice_whatever_the_order(tmp_path: Path, seed: int) -> None:
    thrifty = Study(tmp_path, f"sampler.seed={seed}")
    rows = thrifty.run()
    assert len(thrifty.trained) == len(set(thrifty.trained)) == 2 * 8
    (tmp_path / "other").mkdir()
    other = Study(tmp_path / "other", f"sampler.seed={seed}", reuse=False)
    assert list(map(facts, rows)) == list(map(facts, other.run()))
    assert len(other.trained) == 2 * (1 + 2 + 4 + 8)


def test_the_rows_and_the_records_say_so(tmp_path: Path) -> None:
    study = Study(tmp_path)
    rows = study.run()
    table = TrialTable.open(study.url, study.study)
    assert table.entries() == rows, "as they are read again"
    table.describe(study.study.about("", ""))
    records = Records(table.about(), "uid")
    for entry in rows:
        tags = records.of_trial(entry).tags
        others = [
            e for e in rows[: entry.number] if e.params["train.seed"] == entry.params["train.seed"]
        ]
        longer = [e for e in others if len(e.history) > len(entry.history)]
        assert (entry.prefix_of is not None) == bool(longer)
        assert (entry.extends is not None) == bool(others and not longer)
        assert tags.get("trial.prefix_of") == (str(entry.prefix_of) if longer else None)
        assert tags.get("trial.continues") == (
            str(entry.extends) if others and not longer else None
        )


class Repeats:
    """An engine that suggests the same again and again, as a version before this did."""

    continues = False

    def ask(self, count: int) -> Suggestions:
        return Suggestions((Suggestion({"train.epochs": 2, "train.seed": 0}),))

    def report(self, number: int, curve: Mapping[int, float]) -> bool:
        return False

    def tell(self, told: Told) -> Mapping[str, Any]:
        return {}


def test_the_same_run_is_taken_from_the_table_whoever_suggests_it(tmp_path: Path) -> None:
    study = Study(tmp_path)
    rows = study.run(3, engine=Repeats())
    assert [entry.same_as for entry in rows] == [None, 0, 0]
    assert [entry.state for entry in rows] == ["complete"] * 3
    assert study.trained == [(0, 1), (0, 2)]
    table = TrialTable.open(study.url, study.study)
    assert table.entries() == rows, "as they are read again"
    table.describe(study.study.about("", ""))
    assert Records(table.about(), "uid").of_trial(rows[2]).tags["trial.same_as"] == "0"


def test_a_later_launch_goes_on_from_what_an_earlier_one_left(tmp_path: Path) -> None:
    """A study that is met keeps no states: what is longer than all before is trained from its beginning."""
    study = Study(tmp_path)
    for target in (3, 5, 8):
        study.run(target)
    for seed in (0, 1):
        epochs = [epoch for each, epoch in study.trained if each == seed]
        assert set(epochs) == set(range(1, 9))
    assert not list((tmp_path / "weights").glob("*-state*"))


def test_with_several_workers_the_rows_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = {repr(e.params): facts(e) for e in Study(tmp_path / "one").run(workers=1)}
    two = {repr(e.params): facts(e) for e in Study(tmp_path).run(workers=3)}
    assert one == two


@pytest.mark.parametrize(("pruner", "prunes"), [("none", False), ("median", True), ("asha", True)])
def test_a_study_that_prunes_says_so(pruner: str, prunes: bool) -> None:
    assert setup_of(f"pruner={pruner}", space=SPACE).prunes == prunes
