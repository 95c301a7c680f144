"""What the tracker is told of a study and its trials."""

import dataclasses
import shlex
from typing import Any

import pytest

from pipeline.command.compose import compose, to_yaml
from pipeline.run.config import run_config
from pipeline.tracking.record import metric_name, source_tags
from search.study.endings import MET, Ending
from search.study.shown import pasted, shown
from search.study.space import replaced
from search.study.vocabulary import Attempts, Entry
from search.telling.runs import Records, trial_name
from tests.search import made
from tests.search.conftest import DATASET, study
from tests.search.fakes import epoch_metrics, run_result


def records(*overrides: str) -> Records:
    return Records(study(*overrides).about("a: 1\n", "python -m x"), "s1")


def entry(number: int = 0, values: list[float] | None = None, **changes: Any) -> Entry:
    """A trial that ended a second after the one before it."""
    result = run_result(values or [0.5])
    facts: dict[str, Any] = {
        "number": number,
        "uid": f"s1-{number}",
        "state": "complete",
        "params": {"model.dropout": 0.1 * number},
        "run": replaced(made.BASE, {"model.dropout": 0.05 * number, "train.epochs": 4}),
        "attempts": Attempts(made=1),
        "started_at": 1000.0 + number,
        "ended_at": 2000.0 + number,
        "value": result.value,
        "result": result,
        "history": result.history,
        "worker": {"device": "fake", "threads": "1"},
    }
    return Entry(**(facts | changes))


def failed(number: int, reason: str = "loss is nan at epoch 2") -> Entry:
    history = (epoch_metrics(1, 0.5),)
    return entry(number, state="failed", value=None, result=None, history=history, reason=reason)


def best_curve(subject: Records, entries: list[Entry]) -> list[tuple[int, float, float]]:
    points = subject.of_study(entries, None).points
    assert {point.metric for point in points} <= {f"best_{subject.about.objective.metric}"}
    return [(point.step, point.value, point.at) for point in points]


def test_a_complete_trial_is_tracked_with_curves_finals_and_parameters() -> None:
    subject = entry(3, [0.25, 0.75, 0.5], attempts=Attempts(made=2))
    record = records().of_trial(subject)
    assert (record.uid, record.parent, record.experiment) == ("s1-3", "s1", "test")
    assert (record.status, record.attempt) == ("FINISHED", 2)
    assert (record.started_at, record.ended_at) == (1003.0, 2003.0)
    assert record.params == subject.settings
    values = {(point.metric, point.step): (point.value, point.at) for point in record.points}
    assert len(values) == len(record.points)
    for epoch in subject.history:
        for name, value in {**epoch.metrics, "system/epoch_seconds": epoch.seconds}.items():
            assert values[name, epoch.epoch] == (value, epoch.finished_at)
    assert subject.result is not None
    for name, value in subject.result.final_metrics().items():
        assert values[metric_name(name), 0] == (value, 2003.0)
    assert values["objective", 0][0] == 0.75
    assert record.tags["trial.number"] == "3"
    assert record.tags["trial.state"] == "complete"
    assert record.tags["sampler"] == "TPESampler"
    assert record.tags["device"] == "fake"
    assert record.tags["loop"] == subject.result.loop == "fake"
    assert record.tags["data.digest"] == DATASET.digest
    assert "trial.reason" not in record.tags
    assert record.texts == {"model_summary.txt": "a model\nof two lines\n"}
    assert record.dataset == DATASET


def test_a_pruned_trial_is_tracked_as_pruned() -> None:
    record = records().of_trial(entry(state="pruned", result=run_result([0.2], "pruned")))
    assert (record.tags["trial.state"], record.status) == ("pruned", "FINISHED")
    assert {"test_accuracy", "objective"} <= {point.metric for point in record.points}


def test_a_trial_is_tagged_with_its_place_in_hyperband() -> None:
    notes = {"tuner/bracket": 2, "tuner/round": 1}
    tags = records().of_trial(entry(4, continues=3, notes=notes)).tags
    assert [tags[f"trial.{name}"] for name in ("continues", "bracket", "rung")] == ["3", "2", "1"]
    tags = records().of_trial(entry(4, notes={"pruner": {"completed_rung_0": 0.5}})).tags
    assert tags["trial.rung"] == "0"
    assert "trial.bracket" not in tags


def test_a_failed_trial_is_tracked_with_its_reason_and_its_epochs() -> None:
    record = records().of_trial(failed(1))
    assert record.status == "FAILED"
    assert record.tags["trial.state"] == "failed"
    assert record.tags["trial.reason"] == "loss is nan at epoch 2"
    assert {point.step for point in record.points} == {1}
    assert "test_accuracy" not in {point.metric for point in record.points}


def test_a_running_trial_is_tracked_without_an_end() -> None:
    whole = entry(0, [0.1, 0.2])
    running = dataclasses.replace(whole, state="running", ended_at=None, value=None, result=None)
    record = records().of_trial(running)
    assert (record.status, record.ended_at, record.texts) == ("RUNNING", None, {})
    finished = records().of_trial(whole)
    assert finished.points[: len(record.points)] == record.points


def test_a_trial_that_is_given_up_is_tracked_as_killed_and_its_next_attempt_takes_its_place() -> (
    None
):
    running = entry(0, state="running", ended_at=None, value=None, result=None)
    record = records().given_up(running)
    assert (record.status, record.tags["trial.state"]) == ("KILLED", "interrupted")
    assert record.ended_at is not None
    again = records().of_trial(dataclasses.replace(running, attempts=Attempts(made=2)))
    assert (again.uid, again.attempt > record.attempt) == (record.uid, True)


def test_the_study_has_a_curve_of_the_best_value_so_far() -> None:
    entries = [entry(0, [0.3]), entry(1, [0.2]), failed(2), entry(3, [0.5]), entry(4, [0.4])]
    assert best_curve(records(), entries) == [
        (1, 0.3, 2000.0),
        (2, 0.3, 2001.0),
        (3, 0.3, 2002.0),
        (4, 0.5, 2003.0),
        (5, 0.5, 2004.0),
    ]


def test_the_best_so_far_is_the_smallest_where_the_objective_is_minimized() -> None:
    subject = records("objective.metric=val_loss", "objective.direction=minimize")
    entries = [entry(0, [0.3]), entry(1, [0.2]), entry(2, [0.5])]
    assert [value for _, value, _ in best_curve(subject, entries)] == [0.3, 0.2, 0.2]


def test_the_curve_follows_the_order_in_which_trials_ended() -> None:
    entries = [entry(0, [0.3], ended_at=2009.0), entry(1, [0.2])]
    assert best_curve(records(), entries) == [(1, 0.2, 2001.0), (2, 0.3, 2009.0)]


def test_a_curve_keeps_the_points_that_it_had_when_a_trial_is_tried_again() -> None:
    before = best_curve(records(), [entry(0, [0.3]), failed(1), entry(2, [0.2])])
    retried = dataclasses.replace(records(), retried=(2001.0,))
    assert best_curve(retried, [entry(0, [0.3]), entry(2, [0.2])]) == before, "while it runs again"
    again = entry(1, [0.5], ended_at=3000.0)
    after = best_curve(retried, [entry(0, [0.3]), again, entry(2, [0.2])])
    assert after == [*before, (4, 0.5, 3000.0)]


def test_a_pruned_trial_is_never_the_best() -> None:
    pruned = entry(1, [0.9], state="pruned")
    assert best_curve(records(), [pruned]) == []
    subject = records().of_study([entry(0, [0.3]), pruned], MET)
    assert subject.tags["study.best_trial"] == "0"


def test_of_equal_trials_the_first_to_end_stays_the_best() -> None:
    subject = records().of_study([entry(0, [0.5]), entry(1, [0.5])], MET)
    assert subject.tags["study.best_trial"] == "0"


def test_the_study_is_the_parent_that_carries_question_space_and_configuration() -> None:
    record = records("study.question=Why?").of_study([entry(2, [0.5])], MET)
    assert (record.uid, record.parent, record.name) == ("s1", None, "test")
    assert (record.started_at, record.ended_at) == (1002.0, 2002.0)
    assert record.params == {
        "model.dropout": "0.0 .. 0.6",
        "objective.metric": "val_accuracy",
        "objective.direction": "maximize",
        "objective.select": "best",
        "objective.cost": "null",
    }
    assert record.texts == {"config.yaml": "a: 1\n"}
    note = record.tags["mlflow.note.content"]
    for text in (
        "Why?",
        "model.dropout",
        "0.0 .. 0.6",
        "trial 2",
        "model.dropout=0.2",
        "python -m x",
    ):
        assert text in note


def test_a_study_that_runs_has_no_end() -> None:
    record = records().of_study([entry(0)], None)
    assert (record.status, record.ended_at) == ("RUNNING", None)


def test_a_study_without_trials_has_a_record() -> None:
    record = records().of_study([], None)
    assert record.points == ()
    assert "study.best_trial" not in record.tags


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "7: 0.1235, sgd (dropout, optimizer)"),
        ({"state": "running"}, "7: 0.1235, sgd (dropout, optimizer)"),
        ({"state": "pruned"}, "7 pruned: 0.1235, sgd (dropout, optimizer)"),
        ({"state": "failed"}, "7 failed: 0.1235, sgd (dropout, optimizer)"),
        ({"continues": 3}, "7 after 3: 0.1235, sgd (dropout, optimizer)"),
    ],
)
def test_a_trials_name_begins_with_what_differs(changes: dict[str, Any], name: str) -> None:
    params = {"model.dropout": 0.123456, "train.optimizer": "sgd"}
    assert trial_name(entry(7, params=params, **changes)) == name


def test_a_trials_name_stays_short() -> None:
    long = entry(7, params={f"model.field_{n}": 0.123456 for n in range(40)})
    assert len(trial_name(long)) == 120


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (1e-05, "1e-05"), (64, "64"), (None, "null"), ("[64, 32]", "[64,32]")],
)
def test_values_are_shown_with_four_digits(value: object, text: str) -> None:
    assert shown(value) == text


def test_best_parameters_pasted_back_are_the_same_values() -> None:
    params = {
        "model.dropout": 0.1 + 0.2,
        "model.hidden_units": "[64, 32]",
        "model.l2": 1e-05,
        "train.learning_rate": 0.0006930123456789012,
        "train.batch_size": 48,
        "train.optimizer": "sgd",
        "train.patience": None,
    }
    run = run_config(compose(["data=digits", *shlex.split(pasted(params))]))
    assert run.model.dropout == params["model.dropout"]
    assert run.model.hidden_units == (64, 32)
    assert run.model.l2 == params["model.l2"]
    assert run.train.learning_rate == params["train.learning_rate"]
    assert (run.train.batch_size, run.train.optimizer, run.train.patience) == (48, "sgd", None)


@pytest.mark.parametrize("ending", [None, MET])
def test_what_a_version_before_kept_of_commands_and_addresses_is_not_told(
    ending: Ending | None,
) -> None:
    config = to_yaml(compose(["study.on_end=curl apple", "storage.url=https://apple@host"]))
    before = study().about(config, "python -m search.optimize study.on_end='curl apple'")
    record = Records(before, "s1").of_study([entry()], ending)
    assert "apple" in before.config + before.command
    assert "apple" not in str(record)
    assert "epochs: 20" in record.texts["config.yaml"]
    assert "'study.on_end=***'" in record.tags["mlflow.note.content"]


def test_a_trial_is_tagged_with_what_trained_it_whoever_publishes() -> None:
    worker = {
        "device": "cpu",
        "threads": "1",
        "version.keras": "3.0",
        "code.commit": "abc",
        "code.dirty": "true",
        "user": "ada",
        "data.digest": "of its own data",
    }
    result = run_result([0.5], weights_digest="w" * 64, history_digest="h" * 64)
    tags = records().of_trial(entry(worker=worker, result=result)).tags
    assert worker.items() <= tags.items()
    assert tags["mlflow.source.git.commit"] == "abc"
    assert tags["mlflow.user"] == "ada"
    assert (tags["digest.weights"], tags["digest.history"]) == ("w" * 64, "h" * 64)


def test_of_a_trial_whose_row_does_not_say_nothing_is_made_up() -> None:
    tags = records().of_trial(entry()).tags
    known = {"device", "threads", "loop", "trial.number", "trial.state", "data.digest"}
    assert source_tags("search/optimize.py").items() <= tags.items()
    assert set(tags) - known - set(source_tags("")) == set(records().about.search)


def test_a_study_is_tagged_with_what_its_launch_was() -> None:
    versions = {"version.optuna": "5.0.0", "mlflow.user": "ada"}
    about = study().about("a: 1\n", "python -m x", versions)
    tags = Records(about, "s1").of_study([], None).tags
    assert versions.items() <= tags.items()
    assert "version.keras" not in tags
