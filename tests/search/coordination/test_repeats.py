"""Runs that are wanted are trained once; of those that differ in their epochs alone, only the longest is."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo
from search.coordination.repeats import Repeats, Wanted
from search.study.dimension import Range
from search.study.space import Space, replaced
from search.study.vocabulary import Entry, Study, StudyConfig
from search.trial_table.trials import TrialTable
from search.workers.messages import Event, Failed, Finished, Task
from search.workers.pool import Pool
from search.workers.stopping import Stopper
from tests.conftest import MakeRunConfig
from tests.search.coordination.at_once import Launcher
from tests.search.fakes import curve, run_result

PATHS = ("train.epochs", "train.seed")


def trains(task: Task) -> Event:
    values = curve(task.run)
    shorter = {epochs: run_result(values[:epochs]) for epochs in task.milestones}
    return Finished(task.number, run_result(values, shorter=shorter), [], None)


@pytest.fixture
def base(run_config: MakeRunConfig) -> RunConfig:
    return run_config("objective.select=last")


@pytest.fixture
def table(base: RunConfig, tmp_path: Path) -> TrialTable:
    space = Space({path: Range(low=0, high=99, integer=True) for path in PATHS})
    config = StudyConfig(name="runs", question=None, trials=1, lock="fail", space={"train": {}})
    info = DatasetInfo("digits", "digest", "nowhere", (1,), (1,))
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    return TrialTable.open(url, Study(config, base, space, info, {}))


def wanted(table: TrialTable, base: RunConfig, *runs: tuple[int, int]) -> list[Wanted]:
    """Runs of so many epochs with such a seed."""
    space = Space({path: Range(low=0, high=99, integer=True) for path in PATHS})
    found = []
    for values in runs:
        params = dict(zip(PATHS, values, strict=True))
        found.append(Wanted(table, space, params, replaced(base, params)))
    return found


def train(
    wanted: Sequence[Wanted], workers: int, work: Callable[[Task], Event] = trains
) -> tuple[list[Task], list[Entry], int]:
    launcher, ended = Launcher(workers, work), list[Entry]()
    repeats = Repeats(wanted)
    repeats.train(Pool(launcher, 3, Stopper(0, print)), ended.append)
    return launcher.tasks, ended, repeats.missing


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_of_runs_that_differ_in_their_epochs_alone_the_longest_is_trained(
    table: TrialTable, base: RunConfig, workers: int
) -> None:
    runs = [(2, 0), (2, 1), (8, 0), (4, 0), (8, 1)]
    tasks, ended, missing = train(wanted(table, base, *runs), workers)
    assert sorted((t.run.train.epochs, t.run.train.seed) for t in tasks) == [(8, 0), (8, 1)]
    assert {t.run.train.seed: t.milestones for t in tasks} == {0: (2, 4), 1: (2,)}
    assert missing == 0
    assert sorted(tuple(entry.params[path] for path in PATHS) for entry in ended) == sorted(runs)
    for entry in table.entries():
        assert entry.state == "complete"
        assert entry.value == max(curve(entry.run)), "as if it had been trained"  # type: ignore[arg-type]
        longest = next(
            e
            for e in table.entries()
            if e.prefix_of is None and e.params[PATHS[1]] == entry.params[PATHS[1]]
        )
        assert entry.prefix_of == (None if entry is longest else longest.number)


def test_where_the_longest_fails_the_others_are_trained(table: TrialTable, base: RunConfig) -> None:
    def work(task: Task) -> Event:
        if task.run.train.epochs == 8:
            return Failed(task.number, "loss is nan at epoch 7", diverged=True)
        return trains(task)

    tasks, ended, _ = train(wanted(table, base, (2, 0), (8, 0), (4, 0)), 2, work)
    assert [task.run.train.epochs for task in tasks] == [8, 4]
    assert [(entry.state, entry.prefix_of) for entry in ended] == [
        ("failed", None),
        ("complete", None),
        ("complete", 1),
    ]


def test_what_an_earlier_launch_trained_is_read_off(table: TrialTable, base: RunConfig) -> None:
    train(wanted(table, base, (8, 0), (4, 0)), 1)
    tasks, ended, _ = train(wanted(table, base, (6, 1), (4, 0)), 1)
    assert [task.run.train.seed for task in tasks] == [1]
    assert [entry.prefix_of for entry in ended] == [None, 0]
