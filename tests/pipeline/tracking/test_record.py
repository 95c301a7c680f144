"""Records: what is told of a run, in points, tags and params."""

import getpass
import json
import os
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError

import pytest
from pydantic import TypeAdapter

from pipeline.run.result import EpochMetrics, RunResult
from pipeline.tracking.record import (
    Point,
    environment_tags,
    epoch_points,
    final_points,
    final_texts,
    provenance_of,
    provenance_tags,
)

HISTORY = (
    EpochMetrics(1, {"loss": 0.5, "val_loss": 0.6}, 1.5, 1000.25),
    EpochMetrics(2, {"loss": 0.4, "val_loss": 0.7}, 0.5, 1001.0),
)

RESULT = RunResult(
    history=HISTORY,
    stop="completed",
    value=0.6,
    best_epoch=1,
    test={"test_loss": 0.65, "test_accuracy": 0.9},
    timings={"train_seconds": 2.0},
    examples_per_second=50.0,
    parameters=21,
    model_summary="a table",
    device="cpu",
    loop="tensorflow",
)


def test_a_curve_has_one_point_per_metric_and_epoch_at_its_own_time() -> None:
    assert epoch_points(HISTORY) == (
        Point("loss", 0.5, 1, 1000.25),
        Point("val_loss", 0.6, 1, 1000.25),
        Point("system/epoch_seconds", 1.5, 1, 1000.25),
        Point("loss", 0.4, 2, 1001.0),
        Point("val_loss", 0.7, 2, 1001.0),
        Point("system/epoch_seconds", 0.5, 2, 1001.0),
    )


def test_a_longer_history_only_adds_points() -> None:
    earlier = epoch_points(HISTORY[:1])
    assert epoch_points(HISTORY)[: len(earlier)] == earlier


def test_final_points_are_the_objective_test_metrics_timings_and_size() -> None:
    points = {point.metric: point for point in final_points(RESULT, 1002.0)}
    assert {name: point.value for name, point in points.items()} == {
        "objective": 0.6,
        "test_loss": 0.65,
        "test_accuracy": 0.9,
        "system/best_epoch": 1,
        "system/seconds": 2.0,
        "system/examples_per_second": 50.0,
        "system/parameters": 21,
    }
    assert {point.at for point in points.values()} == {1002.0}


def test_a_result_survives_json() -> None:
    whole = replace(RESULT, confusion=((3, 1), (0, 4)), test_confusion=((5, 0), (2, 6)))
    for result in (RESULT, whole):
        assert TypeAdapter(RunResult).validate_json(json.dumps(asdict(result))) == result


def test_a_result_written_before_there_were_matrices_and_digests_is_still_read() -> None:
    tree = json.loads(json.dumps(asdict(RESULT)))
    for later in ("confusion", "hardest", "test_confusion", "weights_digest", "history_digest"):
        del tree[later]
    assert TypeAdapter(RunResult).validate_python(tree) == RESULT


def test_a_run_leaves_its_summary_and_the_matrices_that_it_has() -> None:
    whole = replace(RESULT, confusion=((3, 1), (0, 4)), test_confusion=((5, 0), (2, 6)))
    assert final_texts(RESULT) == {"model_summary.txt": "a table"}
    texts = final_texts(whole)
    assert set(texts) == {"model_summary.txt", "confusion.json", "confusion_test.json"}
    for name, rows, matrix in (
        ("confusion.json", "validation", whole.confusion),
        ("confusion_test.json", "test", whole.test_confusion),
    ):
        tree = json.loads(texts[name])
        assert tree["of"].startswith(f"{rows} rows")
        assert tree["matrix"] == [list(row) for row in matrix]


def test_tags_name_the_versions_and_the_user() -> None:
    environment_tags.cache_clear()
    tags = environment_tags()
    for package in ("keras", "tensorflow", "numpy", "optuna", "mlflow"):
        assert tags[f"version.{package}"][0].isdigit()
    assert tags["mlflow.user"] == getpass.getuser()


def test_what_is_not_installed_has_no_version_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    """With JAX nothing needs TensorFlow."""

    def lacking(name: str) -> str:
        if name == "tensorflow":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr("pipeline.tracking.record.version", lacking)
    environment_tags.cache_clear()
    tags = environment_tags()
    environment_tags.cache_clear()
    assert "version.tensorflow" not in tags
    assert tags["version.keras"] == "1.0"


def test_a_user_without_a_name_has_no_user_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # as in a container started with --user
    environment_tags.cache_clear()
    assert "mlflow.user" not in environment_tags()
    environment_tags.cache_clear()


def test_what_decides_the_numbers_of_a_run_can_be_read_back_from_its_tags() -> None:
    worker = {
        "device": "cpu",
        "threads": "1",
        "lanes": "8",
        "backend": "jax",
        "version.jax": "0.10",
    }
    assert provenance_of({**provenance_tags(worker), "study": "dropout", "uid": "7"}) == worker
