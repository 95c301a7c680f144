"""Studies that are stopped, and trials that an earlier coordinator left."""

from search.study.vocabulary import Entry
from search.workers.messages import Task
from tests.search.conftest import Copies
from tests.search.coordination.launch import Launch
from tests.search.engines.engine_contract import Session
from tests.search.fakes import Script, trains


def interrupted(url: str, count: int) -> list[Entry]:
    """Trials that a coordinator before left running."""
    launch = Launch(url)
    session = Session(launch.setup, launch.table, launch.engine)
    return [session.ask() for _ in range(count)]


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
