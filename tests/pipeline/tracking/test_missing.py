"""What a tracker no longer has is known, whatever became of it: it is asked itself."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipeline.tracking.config import TrackingConfig, missing
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import RunRecord

UIDS = ["study", "study-0", "study-1"]
ATTEMPTS = dict.fromkeys(UIDS, 1)
NAME = "apples"


def record(uid: str, experiment: str = NAME) -> RunRecord:
    return RunRecord(uid, experiment, uid, "FINISHED", started_at=1000.0, ended_at=1010.0)


@pytest.fixture
def file(mlflow_database: Path, workdir: Path) -> Path:
    """A database with all runs."""
    file = Path(shutil.copy(mlflow_database, workdir / "mlflow.db"))
    tracker = MlflowTracker(f"sqlite:///{file}")
    for uid in UIDS:
        tracker.publish(record(uid))
    return file


def client(file: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{file}")


def execute(file: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def run_of(file: Path, uid: str) -> str:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (run,) = connection.execute(
            "SELECT run_uuid FROM tags WHERE key = 'uid' AND value = ?", [uid]
        ).fetchone()
    return str(run)


def experiment(file: Path) -> str:
    found = client(file).get_experiment_by_name(NAME)
    assert found is not None
    return str(found.experiment_id)


def nothing(_: Path) -> None: ...


def trashed(file: Path) -> None:
    client(file).delete_run(run_of(file, "study-1"))


def gone_for_good(file: Path) -> None:
    """As `mlflow gc` leaves it."""
    run = run_of(file, "study-1")
    tables = ("tags", "params", "metrics", "latest_metrics", "runs")
    execute(file, *(f"DELETE FROM {table} WHERE run_uuid = '{run}'" for table in tables))


def running_again(file: Path) -> None:
    client(file).update_run(run_of(file, "study-1"), status="RUNNING")


def experiment_trashed(file: Path) -> None:
    client(file).delete_experiment(experiment(file))


def experiment_gone_for_good(file: Path) -> None:
    number = experiment(file)
    execute(
        file,
        *(f"DELETE FROM {table}" for table in ("tags", "params", "metrics", "latest_metrics")),
        f"DELETE FROM runs WHERE experiment_id = {number}",
        f"DELETE FROM experiments WHERE experiment_id = {number}",
    )


def made_anew_by_another_study(file: Path) -> None:
    """One that has the same uids, even."""
    experiment_gone_for_good(file)
    for uid in UIDS:
        MlflowTracker(f"sqlite:///{file}").publish(record(uid, "pears"))


@pytest.mark.parametrize(
    ("became", "lacking"),
    [
        (nothing, set()),
        (trashed, {"study-1"}),
        (gone_for_good, {"study-1"}),
        (running_again, {"study-1"}),
        (experiment_trashed, set(UIDS)),
        (experiment_gone_for_good, set(UIDS)),
        (made_anew_by_another_study, set(UIDS)),
    ],
)
def test_a_file_and_a_server_say_what_they_lack(
    file: Path, became: Callable[[Path], None], lacking: set[str]
) -> None:
    """A server answers by the client of MLflow, which here asks the same database."""
    became(file)
    uri = f"sqlite:///{file}"
    assert missing(tracking(uri), NAME, ATTEMPTS) == lacking
    assert {uid for uid, _ in ATTEMPTS.items() - MlflowTracker(uri).ended(NAME)} == lacking


def test_an_attempt_that_it_does_not_show_is_lacking(file: Path) -> None:
    again = {**ATTEMPTS, "study-1": 2}
    uri = f"sqlite:///{file}"
    assert missing(tracking(uri), NAME, again) == {"study-1"}
    MlflowTracker(uri).publish(replace(record("study-1"), attempt=2))
    assert missing(tracking(uri), NAME, again) == set()


def tracking(uri: str) -> TrackingConfig:
    return TrackingConfig(name="mlflow", uri=uri, report_seconds=None, keep_models=1)


def no_database(file: Path) -> str:
    file.unlink()
    return f"sqlite:///{file}"


def no_tables(file: Path) -> str:
    file.write_bytes(b"")
    return f"sqlite:///{file}"


def no_server(_: Path) -> str:
    return "http://127.0.0.1:9"


@pytest.mark.parametrize("what", [no_database, no_tables, no_server])
def test_a_tracker_that_can_not_be_asked_is_taken_to_lack_everything(
    file: Path, what: Callable[[Path], str]
) -> None:
    assert missing(tracking(what(file)), NAME, ATTEMPTS) == set(UIDS)


def test_a_file_is_asked_without_a_trace(file: Path) -> None:
    before = sorted(file.parent.iterdir())
    file.parent.chmod(0o555)
    try:
        assert missing(tracking(f"sqlite:///{file}"), NAME, ATTEMPTS) == set()
    finally:
        file.parent.chmod(0o755)
    assert sorted(file.parent.iterdir()) == before
