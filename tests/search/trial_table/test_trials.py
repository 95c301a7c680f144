"""The trial table: what it keeps, what it shows when, and which study it lets go on."""

import dataclasses
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from pipeline.command.errors import ConfigError
from pipeline.run.result import RunResult
from search.study.vocabulary import Attempts, Entry, Suggestion
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.search.conftest import DROPOUT, study
from tests.search.fakes import epoch_metrics, run_result

NOTES = {"trial": {"rung": 0.1 + 0.2}, "study": {"bytes": "00ff" * 1000}}
SUGGESTION = Suggestion({"model.dropout": 0.1 + 0.2}, notes=NOTES)
SPACE = study().space


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, url: str) -> str:
    """A trial table of the test's own, of either kind."""
    chosen: str = url if request.param == "sqlite" else request.getfixturevalue("server_url")
    return chosen


def asked(table: TrialTable, suggestion: Suggestion = SUGGESTION) -> Entry:
    """A trial of a study of dropout, started."""
    trial = table.create(suggestion, SPACE)
    run = SPACE.apply(study().base, trial.params, trial.epochs)
    return table.start(trial.number, run, Attempts(made=1))


def end(table: TrialTable) -> None:
    """One more trial in `table`, ended."""
    table.fail(asked(table), "loss is nan")


def opened(url: str, *overrides: str, **identity: Any) -> TrialTable:
    return TrialTable.open(url, study(*overrides, **identity))


def only(url: str) -> Entry:
    """The one trial that the database gives back."""
    (entry,) = opened(url).entries()
    return entry


@pytest.mark.parametrize(
    "suggestion",
    [
        SUGGESTION,
        Suggestion({"model.dropout": 0.0}),
        Suggestion({"model.dropout": 0.6}, epochs=9, continues=0),
    ],
)
def test_a_trial_comes_back_as_it_was_suggested_and_started(
    url: str, suggestion: Suggestion
) -> None:
    table = opened(url)
    trial = asked(table, suggestion)
    entry = only(url)
    assert [entry] == table.entries()
    assert (entry.number, entry.uid, entry.state, entry.attempts.made) == (
        0,
        trial.uid,
        "running",
        1,
    )
    assert (entry.params, entry.notes) == (suggestion.params, suggestion.notes)
    assert (entry.epochs, entry.continues) == (suggestion.epochs, suggestion.continues)
    assert entry.run == SPACE.apply(study().base, trial.params, suggestion.epochs)
    assert entry.settings["train.epochs"] == str(suggestion.epochs or 4)
    assert (entry.value, entry.result, entry.reason, entry.ended_at) == (None, None, None, None)


@pytest.mark.parametrize(("stop", "state"), [("completed", "complete"), ("pruned", "pruned")])
def test_a_result_comes_back_from_the_table_exactly(url: str, stop: Any, state: str) -> None:
    table = opened(url)
    result = run_result([0.1 + 0.2, 1 / 3, 0.7], stop)
    began = dataclasses.replace(asked(table), worker={"device": "fake", "threads": "1"})
    told = table.complete(began, result, {"more": 1})
    entry = only(url)
    assert [entry] == [told] == table.entries()
    assert entry.result == result
    assert isinstance(entry.result, RunResult)
    assert (entry.state, entry.value, entry.history) == (state, 0.7, result.history)
    assert entry.worker == {"device": "fake", "threads": "1"}
    assert entry.notes == {**NOTES, "more": 1}
    assert entry.ended_at is not None
    assert entry.ended_at >= entry.started_at


def test_a_failed_trial_keeps_its_reason_its_notes_and_the_epochs_that_it_got_to(url: str) -> None:
    table = opened(url)
    history = (epoch_metrics(1, 0.3), epoch_metrics(2, 0.4))
    reason = "OSError: postgresql://me:hidden@host/db is away"
    met = dataclasses.replace(asked(table), history=history, diverged=True)
    told = table.fail(met, reason, {"more": 1})
    entry = only(url)
    assert [entry] == [told] == table.entries()
    assert (entry.state, entry.reason) == ("failed", reason.replace("hidden", "***"))
    assert (entry.history, entry.notes) == (history, {**NOTES, "more": 1})
    assert (entry.value, entry.result, entry.diverged) == (None, None, True)


WRITES: dict[str, Callable[[TrialTable], object]] = {
    "create": lambda table: table.create(SUGGESTION, SPACE),
    "complete": lambda table: table.complete(table.interrupted()[0], run_result([0.5]), {}),
    "fail": lambda table: table.fail(table.interrupted()[0], "loss is nan"),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_trial_is_created_and_ended_whole_or_not_at_all(url: str, write: str) -> None:
    """Whichever statement is the last before a crash, the database shows what was before."""
    if write != "create":
        asked(opened(url))
    before = opened(url).entries()
    done = 0
    while True:
        storage = open_storage(url)
        table = TrialTable(storage, "test")
        left = done

        def crash(*arguments: Any) -> None:
            nonlocal left
            if arguments[2].split()[0] in ("INSERT", "UPDATE"):
                if not left:
                    raise OSError("the disk is full")
                left -= 1

        sqlalchemy.event.listen(storage.engine, "before_cursor_execute", crash)
        try:
            WRITES[write](table)
        except OSError:
            assert opened(url).entries() == before, f"after {done} statements"
            done += 1
        else:
            break
    assert done >= 2, "nothing was interrupted"
    assert opened(url).entries() != before


def test_an_interrupted_trial_is_given_back_as_it_was_last_started(url: str) -> None:
    table = opened(url)
    table.complete(asked(table), run_result([0.5]), {})
    left = asked(table, Suggestion({"model.dropout": 0.5}, epochs=3, continues=0))
    assert opened(url).interrupted() == [left]
    again = table.start(left.number, study().base, Attempts(made=2, losses=1))
    assert again.attempts == Attempts(made=2, losses=1)
    assert opened(url).interrupted() == table.interrupted() == [again]


def test_a_trial_that_is_given_up_keeps_how_its_attempts_went_and_all_else(url: str) -> None:
    table = opened(url)
    left = asked(table)
    table.count(left.number, Attempts(made=1, excused=1))
    given_up = dataclasses.replace(left, attempts=Attempts(made=1, excused=1))
    assert opened(url).interrupted() == table.interrupted() == [given_up]


def test_a_trial_that_was_never_taken_up_is_given_up_as_it_is(url: str) -> None:
    table = opened(url)
    trial = table.create(SUGGESTION, SPACE)
    table.count(trial.number, Attempts(made=1))
    assert opened(url).interrupted() == [trial]


def test_no_trial_is_blamed_for_how_launches_of_the_version_before_ended(url: str) -> None:
    """It did not count which of them were told to end."""
    trial = asked(opened(url))
    storage = open_storage(url)
    old = {"attempt": 7, "losses": 1, "at": 1.0, "run": {}}
    storage.set_trial_user_attr(storage.get_all_trials(1)[0]._trial_id, "start", old)
    (left,) = opened(url).interrupted()
    assert (left.uid, left.attempts) == (trial.uid, Attempts(made=7, losses=1, excused=6))


def test_what_people_read_of_a_study_comes_back_from_the_table(url: str) -> None:
    subject = study("study.question=Why?")
    about = subject.about("uri: postgresql://me:hidden@host/db\n", "python -m x password=hidden")
    table = TrialTable.open(url, subject)
    assert TrialTable.names(url) == []
    table.describe(about)
    loaded = TrialTable.load(url, "test")
    assert loaded.about() == table.about() == about
    assert "hidden" not in repr(loaded.about())
    assert (loaded.uid, about.objective, about.dataset) == (
        table.uid,
        subject.base.objective,
        subject.dataset,
    )
    later = dataclasses.replace(about, trials=99)
    table.describe(later)
    assert TrialTable.load(url, "test").about() == later


def test_only_plumblines_own_studies_are_named(url: str) -> None:
    optuna.create_study(study_name="theirs", storage=open_storage(url))
    for name in ("two", "one"):
        subject = study(f"study.name={name}")
        TrialTable.open(url, subject).describe(subject.about("", ""))
    assert TrialTable.names(url) == ["one", "two"]


@pytest.mark.parametrize(
    ("overrides", "space", "digest", "difference"),
    [
        pytest.param(
            [],
            {"model": {"dropout": {"low": 0.0, "high": 0.7}}},
            "digest of the data",
            "study.space.model.dropout: 0.0 .. 0.6 in the study, 0.0 .. 0.7 now",
            id="space",
        ),
        pytest.param(
            [],
            {**DROPOUT, "train": {"optimizer": ["adam", "sgd"]}},
            "digest of the data",
            "study.space.train.optimizer: not there in the study, [adam,sgd] now",
            id="one more dimension",
        ),
        pytest.param(
            ["objective.metric=val_loss", "objective.direction=minimize"],
            DROPOUT,
            "digest of the data",
            "objective.direction: maximize in the study, minimize now",
            id="objective",
        ),
        pytest.param(
            ["objective.cost=train_seconds", "pruner=none"],
            DROPOUT,
            "digest of the data",
            "objective.cost: null in the study, train_seconds now",
            id="a second objective",
        ),
        pytest.param(
            ["train.epochs=5"],
            DROPOUT,
            "digest of the data",
            "train.epochs: 4 in the study, 5 now",
            id="fixed parameter",
        ),
        pytest.param(
            [],
            DROPOUT,
            "another digest",
            "data digest: digest of the data in the study, another digest now",
            id="data",
        ),
    ],
)
def test_a_study_goes_on_only_with_the_settings_that_it_began_with(
    url: str, overrides: list[str], space: dict[str, Any], digest: str, difference: str
) -> None:
    """The error shows all that changed, and nothing else."""
    opened(url)
    with pytest.raises(ConfigError) as caught:
        opened(url, *overrides, space=space, digest=digest)
    message = str(caught.value)
    assert message.startswith("study.name: 'test' exists with other settings:\n")
    assert difference in message
    assert "study.name=" in message.splitlines()[-1]
    assert len(message.splitlines()) <= 4


def test_what_makes_trials_no_less_comparable_may_change(url: str) -> None:
    table = opened(url)
    asked(table)
    workers = ("launcher.workers=3", "sampler=random", "pruner=none")
    again = opened(url, "study.trials=99", "study.question=Why?", *workers)
    assert again.uid == table.uid
    assert len(again.entries()) == 1


def test_the_data_may_move(url: str) -> None:
    places = ["data=npz", "data.path=here.npz"], ["data=npz", "data.path=there/now.npz"]
    first, second = (opened(url, *place) for place in places)
    assert first.uid == second.uid


def test_a_study_made_by_plain_optuna_is_refused(url: str) -> None:
    theirs = optuna.create_study(study_name="test", storage=open_storage(url), direction="maximize")
    theirs.add_trial(optuna.trial.create_trial(value=0.9))
    with pytest.raises(ConfigError, match="'test' in this storage was not made by Plumbline"):
        opened(url)
    assert len(theirs.get_trials()) == 1


def test_studies_of_one_storage_are_kept_apart(url: str) -> None:
    one = opened(url)
    asked(one)
    other = opened(url, "study.name=other")
    assert other.uid != one.uid
    assert other.entries() == []


def test_a_storage_is_made_where_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "studies.db"
    assert opened(f"sqlite:///{file}").entries() == []
    assert file.is_file()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_readers_are_not_locked_out_while_the_table_is_written(url: str) -> None:
    """SQLite's write-ahead log: a reader in the middle of its reading does not stop a writer."""
    table = opened(url)
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=0)
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM trials").fetchone() == (0,)
    table.complete(asked(table), run_result([0.5]), {})
    assert reader.execute("SELECT COUNT(*) FROM trials").fetchone() == (0,)
    reader.close()
    assert only(url).state == "complete"


def test_what_is_published_is_remembered_until_a_trial_ends(url: str) -> None:
    table = opened(url)
    end(table)
    assert not opened(url).is_published("http://host:1", "FINISHED")
    table.mark_published("http://me:secret@host:1", "FINISHED")
    again = opened(url)
    assert again.is_published("http://me:other@host:1", "FINISHED")
    assert not again.is_published("http://elsewhere:1", "FINISHED")
    assert not again.is_published("http://me:secret@host:1", "KILLED")
    recorded = optuna.load_study(study_name="test", storage=url).user_attrs
    assert "***@host:1" in str(recorded)
    assert "secret" not in str(recorded)
    end(again)
    assert not again.is_published("http://me:secret@host:1", "FINISHED")


def test_what_was_published_to_a_file_that_is_gone_is_not_published(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = opened(url)
    uri = "sqlite:///mlflow.db"
    Path("mlflow.db").touch()
    table.mark_published(uri, "FINISHED")
    assert table.is_published(uri, "FINISHED")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert not table.is_published(uri, "FINISHED")
    assert table.is_published(f"sqlite:///{tmp_path}/mlflow.db", "FINISHED")
    (tmp_path / "mlflow.db").unlink()
    assert not table.is_published(f"sqlite:///{tmp_path}/mlflow.db", "FINISHED")


def test_only_a_study_that_was_described_is_found_and_nothing_is_created(
    url: str, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere" / "studies.db"
    assert TrialTable.find(f"sqlite:///{nowhere}", "test") is None
    assert not nowhere.parent.exists()
    table = opened(url)
    assert TrialTable.find(url, "test") is None
    table.describe(study().about("config", "command"))
    end(table)
    found = TrialTable.find(url, "test")
    assert found is not None
    assert found.entries() == table.entries()
    assert TrialTable.find(url, "other") is None
