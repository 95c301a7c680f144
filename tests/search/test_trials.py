"""The trial table: what it keeps, what it shows when, and which study it lets go on."""

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipeline.errors import ConfigError, PlumblineError
from pipeline.result import RunResult
from search.study import Study, Trial
from search.trials import TrialTable, open_storage
from tests.search.conftest import DROPOUT, engine_of, setup_of, study, study_of
from tests.search.fakes import epoch_metrics, run_result


def asked(table: TrialTable, *overrides: str) -> Trial:
    """A trial of a study of dropout, started."""
    setup = setup_of(*overrides, space=DROPOUT)
    trial = dataclasses.replace(engine_of(setup, table).ask(), attempt=1)
    table.start(trial, setup.space.apply(setup.run, trial.params))
    return trial


def opened(url: str, *overrides: str, **identity: Any) -> TrialTable:
    return TrialTable.open(url, study(*overrides, **identity))


def test_a_running_trial_is_shown_with_its_parameters(url: str) -> None:
    table = opened(url)
    trial = asked(table)
    (entry,) = opened(url).entries()
    assert (entry.number, entry.uid, entry.state, entry.attempt) == (0, trial.uid, "running", 1)
    assert entry.params == trial.params
    assert entry.run["model.dropout"] == str(trial.params["model.dropout"])
    assert entry.run["train.epochs"] == "4"
    assert (entry.value, entry.result, entry.reason, entry.ended_at) == (None, None, None, None)


def test_a_result_comes_back_from_the_table_exactly(url: str) -> None:
    table = opened(url)
    result = run_result([0.1 + 0.2, 1 / 3, 0.7])
    told = table.complete(asked(table), result, {"device": "fake", "threads": "1"})
    (entry,) = opened(url).entries()
    assert entry == told
    assert entry.result == result
    assert isinstance(entry.result, RunResult)
    assert (entry.state, entry.value) == ("complete", 0.7)
    assert entry.history == result.history
    assert entry.worker == {"device": "fake", "threads": "1"}
    assert entry.ended_at is not None
    assert entry.ended_at >= entry.started_at


def test_a_pruned_trial_keeps_its_result_and_is_no_complete_one(url: str) -> None:
    table = opened(url)
    result = run_result([0.2, 0.1], "pruned")
    table.complete(asked(table), result, {})
    (entry,) = opened(url).entries()
    assert (entry.state, entry.result, entry.history) == ("pruned", result, result.history)
    assert not table.optuna_study.get_trials(states=[optuna.trial.TrialState.COMPLETE])


def test_a_failed_trial_keeps_its_reason_and_the_epochs_that_it_got_to(url: str) -> None:
    table = opened(url)
    history = (epoch_metrics(1, 0.3), epoch_metrics(2, 0.4))
    table.fail(asked(table), "loss is nan at epoch 3", history)
    (entry,) = opened(url).entries()
    assert (entry.state, entry.reason) == ("failed", "loss is nan at epoch 3")
    assert entry.history == history
    assert (entry.value, entry.result) == (None, None)


@pytest.mark.parametrize("step", ["set_user_attr", "tell"])
def test_a_trial_shows_as_finished_only_with_its_result(
    url: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the writes is the last before a crash, nobody sees a finished trial without result."""
    table = opened(url)
    trial = asked(table)

    def crash(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Trial if step == "set_user_attr" else optuna.Study, step, crash)
        with pytest.raises((OSError, PlumblineError)):
            table.complete(trial, run_result([0.5]), {})
    after = opened(url)
    (entry,) = after.entries()
    assert (entry.state, entry.value, entry.result) == ("running", None, None)
    assert after.interrupted() == [0]


def test_an_interrupted_trial_keeps_number_parameters_and_attempt(url: str) -> None:
    table = opened(url)
    finished = asked(table)
    table.complete(finished, run_result([0.5]), {})
    left = asked(table)
    after = opened(url)
    assert after.interrupted() == [1]
    again = engine_of(setup_of(space=DROPOUT), after).resume(1)
    assert again == left
    assert again.attempt == 1


def test_losses_of_a_trial_are_remembered_over_launches(url: str) -> None:
    table = opened(url)
    trial = dataclasses.replace(asked(table), attempt=2, losses=1)
    table.start(trial, study().base)
    again = engine_of(setup_of(space=DROPOUT), opened(url)).resume(0)
    assert (again.attempt, again.losses) == (2, 1)


def test_an_attempt_records_what_it_runs(url: str) -> None:
    setup = setup_of("sampler.seed=3", space=DROPOUT)
    table = TrialTable.open(url, study_of(setup))
    trial = engine_of(setup, table).ask()
    run = setup.space.apply(setup.run, trial.params)
    table.start(trial, run)
    (entry,) = table.entries()
    assert entry.run == run.parameters()


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
    table = opened(url)
    table.complete(asked(table), run_result([0.5]), {})
    with pytest.raises(ConfigError) as caught:
        opened(url, *overrides, space=space, digest=digest)
    message = str(caught.value)
    assert message.startswith("study.name: 'test' exists with other settings:\n")
    assert difference in message
    assert "study.name=" in message.splitlines()[-1]
    assert len(opened(url).entries()) == 1


def test_only_what_changed_is_shown(url: str) -> None:
    opened(url)
    with pytest.raises(ConfigError) as caught:
        opened(url, "train.epochs=5")
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "override",
    [
        "study.trials=99",
        "study.question=Why?",
        "launcher.workers=3",
        "sampler=random",
        "pruner=none",
        "tracking.name=none",
    ],
)
def test_what_makes_trials_no_less_comparable_may_change(url: str, override: str) -> None:
    table = opened(url)
    asked(table)
    again = opened(url, override)
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
    setup = setup_of("study.name=other", space=DROPOUT)
    other = TrialTable.open(url, study_of(setup))
    assert other.uid != one.uid
    assert other.entries() == []


def test_a_storage_is_made_where_there_is_none(tmp_path: Path) -> None:
    subject: Study = study()
    file = tmp_path / "new" / "folder" / "studies.db"
    assert TrialTable.open(f"sqlite:///{file}", subject).entries() == []
    assert file.is_file()


def test_readers_are_not_locked_out_while_the_table_is_written(url: str) -> None:
    """SQLite's write-ahead log: a reader in the middle of its reading does not stop a writer."""
    import sqlite3

    table = opened(url)
    reader = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=0)
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM trials").fetchone() == (0,)
    table.complete(asked(table), run_result([0.5]), {})
    assert reader.execute("SELECT COUNT(*) FROM trials").fetchone() == (0,)
    reader.close()
    assert opened(url).entries()[0].state == "complete"
