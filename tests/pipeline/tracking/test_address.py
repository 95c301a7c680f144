"""The address of a page in MLflow is that of the experiment, wherever the UI is; no password is in it."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.command.errors import UnavailableError
from pipeline.tracking import address
from pipeline.tracking.address import run_page, runs_page
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import UID

PAGE = "experiments/7/runs"
BEST = "?workflowType=machine_learning&orderByKey=metrics.%60objective%60&orderByAsc="


def tracking(uri: str) -> TrackingConfig:
    return TrackingConfig(name="mlflow", uri=uri, report_seconds=None, keep_models=1)


@pytest.fixture
def file(workdir: Path) -> Path:
    """As much of MLflow's database as is asked: an experiment with a run, and one in the trash."""
    file = workdir / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.executescript(f"""
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
            INSERT INTO experiments VALUES (7, 'apples', 'active'), (8, 'gone', 'deleted');
            CREATE TABLE runs
                (run_uuid TEXT, experiment_id INTEGER, lifecycle_stage TEXT, start_time INTEGER);
            INSERT INTO runs VALUES ('f00', 7, 'active', 1);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            INSERT INTO tags VALUES ('{UID}', 'apple', 'f00');
        """)
    return file


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("ascending", [False, True])
def test_the_best_trial_is_first(ascending: bool) -> None:
    assert runs_page(tracking("sqlite:///mlflow.db"), "apples", ascending=ascending) == (
        f" make ui, then\n  http://127.0.0.1:5000/#/{PAGE}{BEST}{str(ascending).lower()}"
    )


@pytest.mark.usefixtures("file")
def test_a_run_has_a_page_of_its_own() -> None:
    there = tracking("sqlite:///mlflow.db")
    assert run_page(there, "apples", "apple").endswith(f"/#/{PAGE}/f00")
    assert run_page(there, "apples", "pear").endswith(f"/#/{PAGE}")


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("name", ["gone", "pears"])
def test_an_experiment_that_is_not_there_is_named(name: str) -> None:
    assert runs_page(tracking("sqlite:///mlflow.db"), name) == (
        f" make ui, then experiment {name!r} in MLflow"
    )


def test_another_database_is_named_for_the_ui(file: Path) -> None:
    other = file.rename("a b.db")
    found = runs_page(tracking(f"sqlite:///{other.name}"), "apples")
    assert found.startswith(" mlflow ui --backend-store-uri 'sqlite:///a b.db', then\n  http://")


@pytest.mark.parametrize(
    ("uri", "base"),
    [
        ("http://10.0.0.5:5000", "http://10.0.0.5:5000"),
        ("https://ann:p%40ss@mlflow.example.org/a/", "https://mlflow.example.org/a"),
    ],
)
def test_a_servers_page_is_on_the_server(
    uri: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "experiment_id", lambda *_: "7")
    assert runs_page(tracking(uri), "apples") == f"\n  {base}/#/{PAGE}{BEST}false"


@pytest.mark.parametrize("uri", ["http://ann:apple@127.0.0.1:9", "databricks"])
def test_where_there_is_no_answer_the_experiment_is_named(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("no answer")

    monkeypatch.setattr(address, "experiment_id", away)
    assert runs_page(tracking(uri), "apples") == " experiment 'apples' in MLflow"
