"""Where MLflow can keep runs: a database file or a server, told apart before anything is trained."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.command.redact import redact

_DATABASES = ("postgresql", "mysql", "mssql")
_RULE = "expected sqlite:///FILE or a server, http://HOST:PORT"
_MIGRATE = (
    "mlflow migrate-filestore --source FOLDER --target sqlite:///mlflow.db brings old runs along"
)


def fault(uri: str) -> str | None:
    """Why nothing can ever be published to the MLflow tracking `uri`, with the remedy; None: it can."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError as error:
        return _told(uri, f"{_RULE}: {error}")
    kind, _, driver = parts.scheme.partition("+")
    if kind in ("http", "https"):
        return None if parts.hostname else _told(uri, f"{_RULE}: it names no host")
    if kind in _DATABASES or uri == "databricks" or kind == "databricks":
        return None
    if kind == "sqlite":
        file = uri.partition("///")[2].partition("?")[0]
        if driver or not file or file.startswith(":memory:"):
            return _told(uri, "expected a file, which outlives the study: sqlite:///mlflow.db")
        if Path(file).is_dir():
            return _told(uri, "expected a file, and this is a folder (sqlite:///FOLDER/mlflow.db)")
        return None
    if kind in ("", "file") or len(kind) == 1:  # a single letter: a drive
        return _told(
            uri, f"MLflow keeps no runs in a folder any more: sqlite:///mlflow.db ({_MIGRATE})"
        )
    return _told(uri, _RULE)


def _told(uri: str, rule: str) -> str:
    where = " (from MLFLOW_TRACKING_URI)" if os.environ.get("MLFLOW_TRACKING_URI") == uri else ""
    return f"tracking.uri: {rule}; got {redact(uri)}{where}"
