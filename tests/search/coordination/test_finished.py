"""Is this study finished? One question, asked of the table; and what is tried again."""

from dataclasses import replace

import pytest

from pipeline.command.errors import PlumblineError, StoppedError, StorageError
from search.study.endings import (
    BUDGET,
    MET,
    NOTHING,
    STOPPED,
    USED_UP,
    Ending,
    of_error,
    of_finished,
)
from search.study.vocabulary import Attempts, Entry, Suggestion
from search.trial_table.trials import TrialTable
from tests.search.conftest import study
from tests.search.fakes import run_result

SPACE = study().space
RANDOM = {"engine": "optuna", "sampler": {"_target_": "RandomSampler", "seed": 0}}
GRID = {"engine": "optuna", "sampler": {"_target_": "GridSampler", "seed": 0}}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, url: str) -> str:
    """A trial table of the test's own, of either kind."""
    chosen: str = url if request.param == "sqlite" else request.getfixturevalue("server_url")
    return chosen


def opened(url: str, trials: int = 4) -> TrialTable:
    """The table as a launch opens it."""
    subject = study(f"study.trials={trials}")
    table = TrialTable.open(url, subject)
    table.describe(subject.about("config", "command"))
    return table


def ask(table: TrialTable) -> Entry:
    """One more trial, which a worker has."""
    subject = study()
    suggestion = Suggestion({"model.dropout": len(table.entries()) / 100}, notes={"n": 1})
    trial = table.create(suggestion, SPACE)
    run = SPACE.apply(subject.base, trial.params, None)
    return table.start(trial.number, run, Attempts(made=1, losses=2))


def complete(table: TrialTable, trials: int = 1) -> None:
    for _ in range(trials):
        table.complete(ask(table), run_result([0.5]), {})


def fail(table: TrialTable, trials: int = 1) -> None:
    for _ in range(trials):
        met = replace(ask(table), history=run_result([0.1]).history, worker={"gpu": "0"})
        table.fail(met, "loss is nan", {"rung": 3})


def test_a_study_with_its_target_of_trials_is_finished(url: str) -> None:
    table = opened(url)
    complete(table, 3)
    assert not table.is_finished(4)
    fail(table)
    assert table.is_finished(4)
    assert not table.is_finished(5)
    assert not table.is_finished(4, retry=True)


def test_a_study_with_a_trial_that_was_cut_short_is_not_finished(url: str) -> None:
    table = opened(url)
    complete(table, 4)
    ask(table)
    assert not opened(url).is_finished(4)


def test_a_study_is_used_up_for_what_said_so_and_as_long_as_nothing_is_added(url: str) -> None:
    table = opened(url, trials=9)
    complete(table, 2)
    table.use_up(RANDOM)
    again = opened(url, trials=9)
    assert again.is_finished(9)
    assert again.is_finished(9, RANDOM)
    assert not again.is_finished(9, GRID)
    assert not again.is_finished(9, {**RANDOM, "sampler": {**RANDOM["sampler"], "seed": 1}})
    assert again.ending() == USED_UP
    complete(again)
    assert not again.is_finished(9, RANDOM)


@pytest.mark.parametrize(
    ("completed", "failed", "ending"),
    [(4, 0, MET), (1, 3, MET), (2, 1, USED_UP), (0, 4, NOTHING), (0, 2, NOTHING), (0, 0, NOTHING)],
)
def test_something_came_of_a_study_in_which_a_trial_is_complete(
    url: str, completed: int, failed: int, ending: Ending
) -> None:
    table = opened(url)
    complete(table, completed)
    fail(table, failed)
    assert of_finished(table.entries(), 4) == ending


def test_the_table_knows_how_the_latest_launch_left_the_study(url: str) -> None:
    table = opened(url)
    assert table.ending() == STOPPED
    for ending in (BUDGET, of_error(PlumblineError("no worker can train:\nwhy\nKeyError: 1"))):
        table.end(ending)
        assert TrialTable.load(url, "test").ending() == ending
    assert opened(url).ending() == STOPPED, "a launch that is killed tells nothing"
    complete(table, 4)
    assert table.ending() == MET, "the trials count, not what was said before"


@pytest.mark.parametrize(
    ("error", "state", "status", "code", "words"),
    [
        (StoppedError("by SIGTERM"), "stopped", "KILLED", 75, "Stopped before its target: by SIGTERM"),
        (KeyboardInterrupt("by SIGINT"), "stopped", "KILLED", 75, "Stopped before its target: by SIGINT"),
        (StorageError("full\nmore"), "failed", "FAILED", 74, "Failed: full"),
        (OSError(28, "No space left"), "failed", "FAILED", 74, "Failed: [Errno 28] No space left"),
        (PlumblineError("a bug:\nplace\nKeyError: 1"), "failed", "FAILED", 1, "Failed: a bug: KeyError: 1"),
        (ValueError(), "failed", "FAILED", 1, "Failed: ValueError"),
        (OSError("http://me:pw@host"), "failed", "FAILED", 74, "Failed: http://me:***@host"),
    ],
)  # fmt: skip
def test_an_error_ends_a_launch_with_its_exit_code_and_its_reason(
    error: BaseException, state: str, status: str, code: int, words: str
) -> None:
    ending = of_error(error)
    assert (ending.state, ending.status, ending.exit_code, ending.words) == (
        *(state, status, code),
        words,
    )


def test_failed_trials_run_again_under_their_numbers_with_nothing_of_their_end(url: str) -> None:
    table = opened(url)
    complete(table)
    fail(table, 2)
    table.mark_published("http://host:1", "FINISHED")
    before = table.entries()
    assert table.retry_failed() == [1, 2]
    for each in (table, opened(url)):
        assert [entry.state for entry in each.entries()] == ["complete", "running", "running"]
        assert each.entries()[0] == before[0]
        assert not each.is_published("http://host:1", "FINISHED")
        for trial, entry in zip(each.interrupted(), before[1:], strict=True):
            assert (trial.number, trial.params) == (entry.number, entry.params)
            assert (trial.attempts.losses, trial.attempts.unheard) == (0, 0)
        again = each.entries()[1]
        assert (again.value, again.reason, again.history, again.ended_at) == (None, None, (), None)
        assert again.notes == {"n": 1}
    table.complete(table.interrupted()[0], run_result([0.5]), {})
    assert opened(url).entries()[1].state == "complete"
    assert opened(url).retry_failed() == []


def test_what_failed_before_it_began_is_tried_again_too(url: str) -> None:
    """As a combination that the network refuses."""
    table = opened(url)
    table.fail(table.create(Suggestion({"model.dropout": 0.1}), SPACE), "refused: why")
    assert table.retry_failed() == [0]
    (trial,) = opened(url).interrupted()
    assert (trial.number, trial.attempts) == (0, Attempts())
