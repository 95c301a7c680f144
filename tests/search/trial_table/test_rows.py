"""Rows: what is written comes back as it was, and what is damaged, foreign or older is told apart."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipeline.command.compose import compose
from pipeline.command.errors import StorageError
from pipeline.data import Dataset
from pipeline.run.config import RunConfig
from pipeline.tracking.record import dataset_info
from search.setup.read import Setup, read
from search.study.vocabulary import Attempts, Study, Suggestion, Suggestions
from search.trial_table.trials import TrialTable
from tests.conftest import MakeRunConfig
from tests.search.conftest import study
from tests.search.fakes import epoch_metrics, run_result

BEFORE = Path(__file__).parent / "recorded.sql"
"""A study of three trials, as the version that wrote each field of a run as a text recorded it."""

SPACE = study().space


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The database with the study that the version before recorded."""
    file = tmp_path / "studies.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(BEFORE.read_text(encoding="utf-8"))
    connection.close()
    return file


def before() -> Setup:
    """What that study was launched with."""
    values = compose(["+study=smoke", "study.name=before", "study.trials=5", "train.epochs=2"])
    return read(values, lambda: "")


def test_a_study_that_the_version_before_recorded_is_read_and_goes_on(
    recorded: Path, digits: Dataset
) -> None:
    setup = before()
    data = dataset_info(digits)
    whole = Study(setup.study, setup.run, setup.space, data, setup.search)
    table = TrialTable.open(f"sqlite:///{recorded}", whole)
    entries = table.entries()
    assert [entry.state for entry in entries] == ["complete"] * 3
    for entry in entries:
        assert entry.run == setup.space.apply(setup.run, entry.params)
        assert entry.result is not None
        assert entry.result.value == entry.value == max(entry.curve.values())
    assert isinstance(setup.make_engine(entries, 1).ask(1), Suggestions)
    assert table.about().trials == 3


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.depth=3", "model.hidden_units=[64,32,16]", "train.learning_rate=null"),
        ("data=npz", "data.path='odd, \\'quoted\\' name.npz'", "data.test_split=0.2"),
        ("train.learning_rate=1e-05", "train.patience=3", "model.l2=0.1", "model.depth=0"),
        ("objective.metric=val_loss", "objective.direction=minimize", "objective.select=last"),
    ],
)
@pytest.mark.parametrize("form", ["json", "texts"])
def test_the_run_of_a_trial_comes_back_as_it_was_from_either_form(
    url: str, run_config: MakeRunConfig, overrides: tuple[str, ...], form: str
) -> None:
    run = run_config(*overrides)
    table = TrialTable.open(url, study())
    table.create(Suggestion({"model.dropout": 0.1}), SPACE)
    table.start(0, run, Attempts(made=1))
    if form == "texts":
        rewrite(url, "start", lambda start: {**start, "run": run.parameters()})
    (entry,) = TrialTable.open(url, study()).entries()
    assert entry.run == run
    assert isinstance(entry.run, RunConfig)


def rewrite(url: str, key: str, change: Callable[[Any], Any]) -> None:
    """Have the attribute `key` of trial 0 be what `change` makes of it."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        ask = "SELECT value_json FROM trial_user_attributes WHERE trial_id = 1 AND key = ?"
        (text,) = connection.execute(ask, (key,)).fetchone()
        write = "UPDATE trial_user_attributes SET value_json = ? WHERE trial_id = 1 AND key = ?"
        connection.execute(write, (json.dumps(change(json.loads(text))), key))
    connection.close()


def without(*names: str) -> Callable[[Any], Any]:
    return lambda tree: {name: value for name, value in tree.items() if name not in names}


TRIAL = "trial 0 of 'before'"
STUDY = "the study 'before'"
SQL = {
    "an attribute is gone": ("DELETE FROM trial_user_attributes WHERE key = 'end'", TRIAL),
    "the plan is gone": ("DELETE FROM trial_user_attributes WHERE key = 'plan'", TRIAL),
    "a flipped bracket": (
        "UPDATE trial_user_attributes SET value_json = replace(value_json, '}', ']') WHERE key = 'end'",
        STUDY,
    ),
    "a number that is none": (
        'UPDATE trial_user_attributes SET value_json = replace(value_json, \'"at": 1\', \'"at": "x1\')'
        " WHERE key = 'start'",
        STUDY,
    ),
    "a state that is none": ("UPDATE trials SET state = 'COMPLETF'", STUDY),
    "bytes that are no text": (
        "UPDATE trial_user_attributes SET value_json = CAST(x'ff' AS TEXT) WHERE key = 'end'",
        "decode",
    ),
    "a study without its uid": ("DELETE FROM study_user_attributes WHERE key = 'uid'", STUDY),
    "a study about nothing": (
        "UPDATE study_user_attributes SET value_json = '{}' WHERE key = 'about'",
        STUDY,
    ),
}
ROWS = {
    "no result": ("end", without("result")),
    "a result without its test metrics": (
        "end",
        lambda end: {**end, "result": without("test")(end["result"])},
    ),
    "hits of other rows": (
        "end",
        lambda end: {**end, "result": {**end["result"], "hits": {"rows": 9, "bits": "AA=="}}},
    ),
    "a curve of words": (
        "end",
        lambda end: {**end, "result": {**end["result"], "history": ["one"]}},
    ),
    "a run of another version": (
        "start",
        lambda start: {**start, "run": without("train.loop")(start["run"])},
    ),
    "a run out of its range": (
        "start",
        lambda start: {**start, "run": {**start["run"], "model.dropout": "7"}},
    ),
    "no number of attempts": ("start", without("attempt")),
}


def read_everyhow(file: Path, digits: Dataset) -> list[str]:
    """What each way to read the study says of it."""
    setup, url = before(), f"sqlite:///{file}"
    whole = Study(setup.study, setup.run, setup.space, dataset_info(digits), setup.search)
    ways: tuple[Callable[[], object], ...] = (
        lambda: TrialTable.load(url, "before"),
        lambda: TrialTable.find(url, "before"),
        lambda: TrialTable.open(url, whole),
    )
    said = []
    for way in ways:
        with pytest.raises(StorageError) as caught:
            way()
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize("damage", SQL)
def test_damage_is_named_with_its_file_and_place(
    recorded: Path, digits: Dataset, damage: str
) -> None:
    statement, place = SQL[damage]
    with sqlite3.connect(recorded) as connection:
        connection.execute(statement)
    connection.close()
    for text in read_everyhow(recorded, digits):
        assert text.startswith(f"study database {recorded}: ")
        assert place in text


@pytest.mark.parametrize("damage", ROWS)
def test_a_row_that_makes_no_sense_is_named_with_its_trial_and_what_to_do(
    recorded: Path, digits: Dataset, damage: str
) -> None:
    rewrite(f"sqlite:///{recorded}", *ROWS[damage])
    for text in read_everyhow(recorded, digits):
        assert text.startswith(f"study database {recorded}: {TRIAL} can't be read: ")
        assert "study.name" in text


def test_a_trial_that_an_optuna_script_enqueued_is_named(recorded: Path, digits: Dataset) -> None:
    theirs = optuna.load_study(study_name="before", storage=f"sqlite:///{recorded}")
    theirs.enqueue_trial({"model.dropout": 0.1})
    for text in read_everyhow(recorded, digits):
        assert "trial 3 of 'before' can't be read: " in text
        assert "Plumbline did not make it" in text


def test_a_program_that_adds_trials_while_the_study_runs_is_noticed(url: str) -> None:
    table = TrialTable.open(url, study())
    table.create(Suggestion({"model.dropout": 0.1}), SPACE)
    optuna.load_study(study_name="test", storage=url).enqueue_trial({"model.dropout": 0.2})
    with pytest.raises(StorageError, match="another program writes into this study"):
        table.create(Suggestion({"model.dropout": 0.3}), SPACE)


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_the_curve_of_a_trial_stands_where_optuna_shows_it(url: str, state: str) -> None:
    """In `trial.intermediate_values`, which its plots, its dashboard and its pruners read."""
    table = TrialTable.open(url, study())
    trial = table.create(Suggestion({"model.dropout": 0.1}), SPACE)
    begun = table.start(0, SPACE.apply(study().base, trial.params), Attempts(made=1))
    values = [0.25, 0.75, 0.5]
    history = tuple(epoch_metrics(number, value) for number, value in enumerate(values, 1))
    if state == "failed":
        table.fail(replace(begun, history=history), "loss is nan")
    else:
        table.complete(
            begun, run_result(values, "pruned" if state == "pruned" else "completed"), {}
        )
    (theirs,) = optuna.load_study(study_name="test", storage=url).get_trials()
    assert theirs.intermediate_values == dict(enumerate(values, 1))
    if state == "failed":
        table.retry_failed()
        (theirs,) = optuna.load_study(study_name="test", storage=url).get_trials()
        assert theirs.intermediate_values == {}, "it begins anew"
