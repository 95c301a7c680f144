"""Tracking URIs: what can never take a run is refused at the door."""

import sqlite3
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import database_of

REST = {"name": "mlflow", "report_seconds": None, "keep_models": 1}


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////somewhere/mlflow.db?timeout=5",
        "http://127.0.0.1:5000",
        "http://[::1]:5000",
        "https://ann:p%40ss@mlflow.example.org/path",
        pytest.param(
            "postgresql+psycopg://ann@db/mlflow",
            marks=pytest.mark.skipif(not find_spec("psycopg"), reason="needs psycopg"),
        ),
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
        ("sqlite:///file:runs.db?uri=true", "expected a file"),
        ("sqlite:///~/mlflow.db", r"write sqlite:///$HOME/mlflow.db"),
        ("SQLITE:///mlflow.db", "expected a file"),
        ("sqlite://host/mlflow.db", "expected a file"),
        ("sqlite:////dev/null", "a device or a pipe"),
        ("mysql+nodriver://db/mlflow", "expected sqlite:///FILE or a server"),
        ("mysql+asyncmy://db/mlflow", "its driver is not installed"),
        ("POSTGRESQL://db/mlflow", "expected sqlite:///FILE or a server"),
        (" http://x:5000", "without spaces around it"),
        ("http://x y:5000", "names no host"),
        ("http://x\n:5000", "control characters"),
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


def test_what_stands_behind_a_server_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"nothing behind a \? or #; got http://x:5000/$"):
        validated(TrackingConfig, {**REST, "uri": "http://x:5000/?key=hush"}, "tracking")


def test_a_database_of_something_else_is_refused_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    """MLflow would make its tables among those of the trial table, and then fail for ever."""
    table, text = tmp_path / "studies.db", tmp_path / "text.db"
    with sqlite3.connect(table) as connection:
        connection.execute("CREATE TABLE studies (name)")
    connection.close()
    text.write_text("no database, though it is called one")
    for file, kind in [
        (table, "is a database of something else"),
        (text, "is no SQLite database"),
    ]:
        before = file.read_bytes()
        with pytest.raises(ConfigError, match=f"{kind}, left as it is"):
            validated(TrackingConfig, {**REST, "uri": f"sqlite:///{file}"}, "tracking")
        assert file.read_bytes() == before


def test_an_empty_file_and_a_locked_database_are_taken(tmp_path: Path) -> None:
    empty, locked = tmp_path / "empty.db", tmp_path / "locked.db"
    empty.touch()
    with sqlite3.connect(locked) as connection:
        connection.execute("CREATE TABLE experiments (name)")
    connection.execute("BEGIN EXCLUSIVE")
    for file in (empty, locked):
        validated(TrackingConfig, {**REST, "uri": f"sqlite:///{file}"}, "tracking")
    connection.close()


def test_a_percent_sign_of_a_file_is_written_as_mlflow_reads_it() -> None:
    assert database_of("sqlite:////home/ann/100%25/my%20runs.db?timeout=5") == Path(
        "/home/ann/100%/my runs.db"
    )


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder"):
        validated(TrackingConfig, {**REST, "uri": f"sqlite:///{tmp_path}"}, "tracking")


def test_it_is_said_where_a_uri_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(ConfigError, match=r"got ./mlruns \(from MLFLOW_TRACKING_URI\)"):
        validated(TrackingConfig, {**REST, "uri": "./mlruns"}, "tracking")


@pytest.mark.parametrize(
    ("uri", "ui", "server"),
    [
        ("http://here:5000", None, "http://here:5000"),
        ("https://here/mlflow/", None, "https://here/mlflow"),
        ("http://ann:s3cret@here:5000", None, "http://here:5000"),
        ("http://t0ken@here", None, "http://here"),
        ("http://[::1]:5000", None, "http://[::1]:5000"),
        ("sqlite:///mlflow.db", None, None),
        ("databricks", None, None),
        ("sqlite:///mlflow.db", "http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("http://inside:5000", "https://ann:s3cret@outside/ml", "https://outside/ml"),
    ],
)
def test_a_browser_is_sent_to_a_server_alone_and_without_its_password(
    uri: str, ui: str | None, server: str | None
) -> None:
    given = {"name": "mlflow", "uri": uri, "report_seconds": None, "keep_models": 1, "ui": ui}
    tracking = validated(TrackingConfig, given, "tracking")
    assert tracking.server == server
    assert validated(TrackingConfig, {**given, "name": "none"}, "tracking").server is None


@pytest.mark.parametrize(
    "ui", ["here:5000", "sqlite:///mlflow.db", "http://", "http://a:b", "5000"]
)
def test_what_no_browser_opens_is_no_ui(ui: str) -> None:
    given = {"name": "mlflow", "uri": "sqlite:///mlflow.db", "report_seconds": None, "ui": ui}
    with pytest.raises(ConfigError, match=r"tracking\.ui: expected the address of a server"):
        validated(TrackingConfig, {**given, "keep_models": 1}, "tracking")
