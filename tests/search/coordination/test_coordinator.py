"""A study is brought to its target, each trial with its parameters and its result."""

import pytest

from search.workers.messages import Finished, Started, Task
from tests.search.coordination.launch import Launch, first
from tests.search.fakes import Script, diverges, run_result


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
