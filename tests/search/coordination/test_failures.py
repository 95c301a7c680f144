"""Trials that fail, lost workers, short memory: what is tried again, and what ends the study."""

from dataclasses import replace

import pytest

from pipeline.command.errors import PlumblineError, UnavailableError
from search.workers.messages import Broken, Failed, Started, Task
from tests.search.coordination.launch import Launch, first
from tests.search.fakes import Script, dies, diverges, finished, raises, starves, trains

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


# Memory that is short.


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


def test_a_trial_with_a_deadline_passed_fails_and_the_study_goes_on(url: str) -> None:
    def late(task: Task) -> Script:
        yield Started(task.number, {})
        yield Failed(task.number, "past its deadline of 1 s")

    entries = Launch(url, first(late)).run(2)
    assert [(entry.state, entry.reason) for entry in entries] == [
        ("failed", "past its deadline of 1 s"),
        ("complete", None),
    ]
