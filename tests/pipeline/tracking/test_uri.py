"""Tracking URIs: what can never take a run is refused at the door."""

from pathlib import Path

import pytest

from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from pipeline.tracking.config import TrackingConfig

REST = {"name": "mlflow", "report_seconds": None, "keep_models": 1}


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////somewhere/mlflow.db?timeout=5",
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "https://ann:p%40ss@mlflow.example.org/path",
        "postgresql+psycopg://ann@db/mlflow",
        "databricks",
    ],
)
def test_a_database_or_a_server_is_taken(uri: str) -> None:
    assert validated(TrackingConfig, {**REST, "uri": uri}, "tracking").uri == uri


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("sqlite:///:memory:", "expected a file"),
        ("sqlite://", "expected a file"),
        ("sqlite:///", "expected a file"),
        ("sqlite:///?mode=memory", "expected a file"),
        ("sqlite+pysqlite:///mlflow.db", "expected a file"),
        ("ftp://x", "expected sqlite:///FILE or a server"),
        ("htttp://x:5000", "expected sqlite:///FILE or a server"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://:5000", "names no host"),
        ("http://x:port", "Port could not be cast"),
        ("http://x:99999", "Port out of range"),
        ("file:", "no runs in a folder"),
        ("file:///tmp/runs", "no runs in a folder"),
        ("./mlruns", "migrate-filestore"),
        ("mlruns", "no runs in a folder"),
        ("C:\\runs", "no runs in a folder"),
    ],
)
def test_what_keeps_no_runs_is_refused_with_the_remedy(uri: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validated(TrackingConfig, {**REST, "uri": uri}, "tracking")
    assert str(caught.value).startswith("tracking.uri: ")
    assert rule in str(caught.value)
    assert uri in str(caught.value)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder"):
        validated(TrackingConfig, {**REST, "uri": f"sqlite:///{tmp_path}"}, "tracking")


def test_it_is_said_where_a_uri_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(ConfigError, match=r"got ./mlruns \(from MLFLOW_TRACKING_URI\)"):
        validated(TrackingConfig, {**REST, "uri": "./mlruns"}, "tracking")
