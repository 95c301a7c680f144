"""Where MLflow can keep runs: a database file or a server, told apart before anything is trained."""

import os
import re
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from pipeline.command.redact import redact
from pipeline.tracking.database import database_of, file_fault, of_something_else

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
    kind = parts.scheme.partition("+")[0]
    if uri != uri.strip() or not uri.isprintable():
        return _told(uri, f"{_RULE}, without spaces around it and control characters")
    if kind in ("http", "https"):
        return _fault_of_a_server(uri)
    if uri == "databricks" or kind == "databricks":
        return None
    if kind in _DATABASES:
        return _fault_of_a_driver(uri)
    if kind == "sqlite":
        return _fault_of_a_file(uri)
    if kind in ("", "file") or len(kind) == 1:  # a single letter: a drive
        return _told(
            uri, f"MLflow keeps no runs in a folder any more: sqlite:///mlflow.db ({_MIGRATE})"
        )
    return _told(uri, _RULE)


def shown_at(uri: str) -> str | None:
    """The address of the server at `uri` as a page may show it, without a user; None: there is none."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  # raises where it is no number
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", uri):
        return None
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _fault_of_a_server(uri: str) -> str | None:
    parts = urlsplit(uri)
    if not parts.hostname or re.search(r"\s", uri):
        return _told(uri, f"{_RULE}: it names no host")
    if parts.query or parts.fragment:  # which may be a secret
        shown = re.split("[?#]", uri)[0]
        return _told(shown, f"{_RULE}: MLflow takes nothing behind a ? or #")
    return None


def _fault_of_a_driver(uri: str) -> str | None:
    """The same for a database server, which MLflow reaches through SQLAlchemy."""
    try:
        dialect = make_url(uri).get_dialect()
        dialect.import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        return _told(uri, f"{_RULE}: {error}")
    except ImportError as error:
        return _told(uri, f"its driver is not installed: {error} (install it, or name another)")
    return _told(uri, "MLflow takes no asynchronous driver") if dialect.is_async else None


def _fault_of_a_file(uri: str) -> str | None:
    if not uri.startswith("sqlite:///"):
        return _told(uri, "expected a file, which outlives the study: sqlite:///mlflow.db")
    file = database_of(uri)
    wrong = file_fault(make_url(uri))
    if wrong is None and file is not None and (kind := of_something_else(file)):
        wrong = f"{file} {kind}, left as it is: expected MLflow's, or one that is not there yet"
    return None if wrong is None else _told(uri, wrong)


def _told(uri: str, rule: str) -> str:
    where = " (from MLFLOW_TRACKING_URI)" if os.environ.get("MLFLOW_TRACKING_URI") == uri else ""
    return f"tracking.uri: {rule}; got {redact(uri)}{where}"
