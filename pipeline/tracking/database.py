"""MLflow's database in a file, where it is faster or safer without MLflow: made whole, and asked."""

import contextlib
import glob
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

UID = "uid"
"""Tag by which a run is found again."""

ATTEMPT = "attempt"
"""Tag that says how often it was begun anew."""

_HEADER = b"SQLite format 3\0"
_LOCKED_SECONDS = 5.0
_ENDED = """
    SELECT tags.value, coalesce(attempts.value, '1')
    FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
    LEFT JOIN tags AS attempts ON attempts.run_uuid = tags.run_uuid AND attempts.key = ?
    WHERE tags.key = ? AND experiments.name = ? AND experiments.lifecycle_stage = 'active'
    AND runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'
"""

_RUNS = """
    SELECT tags.value, runs.run_uuid
    FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
    WHERE tags.key = ? AND experiments.name = ? AND experiments.lifecycle_stage = 'active'
    AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time
"""

_EXPERIMENT = "SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage = 'active'"


def database_of(uri: str) -> Path | None:
    """The file of an SQLite tracking URI, with `%25` read as MLflow reads it; None for a server."""
    try:
        parsed = make_url(uri)
    except (ArgumentError, ValueError):  # `databricks`, or a port that is no number
        return None
    return Path(parsed.database) if parsed.drivername == "sqlite" and parsed.database else None


def file_fault(url: URL) -> str | None:
    """Why the `url` of an SQLite database names no plain file, with the remedy; None: it does."""
    name = url.database or ""
    if url.drivername not in ("sqlite", "sqlite+pysqlite") or url.host:
        return "expected sqlite:///FILE, or sqlite:////FILE from the root on"
    if not name or name.startswith((":memory:", "file:")) or "uri" in url.query:
        return "expected a file, which outlives the study (sqlite:///FILE)"
    if name.startswith("~"):
        return f"a ~ stands for nothing in a URL (write sqlite:///$HOME{name[1:]})"
    if not name.isprintable() or "\ufffd" in name:
        return "expected a file's name without control characters, and with %25 for a % of its own"
    if Path(name).is_dir():
        return "expected a file, and this is a folder (sqlite:///FOLDER/NAME.db)"
    if Path(name).exists() and not Path(name).is_file():
        return "expected a file, and this is a device or a pipe"
    return None


def of_something_else(file: Path) -> str | None:
    """Why MLflow can't keep runs in `file`, which is there and not its own; None: it can.

    It is left as it is. MLflow would make its tables among those of any other database, and fail after that.
    """
    if not file.is_file() or file.stat().st_size == 0:
        return None
    with file.open("rb") as opened:
        if opened.read(len(_HEADER)) != _HEADER:
            return "is no SQLite database"
    try:
        with contextlib.closing(_read_only(file)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {row[0] for row in rows}
    except sqlite3.Error:  # locked, or damaged: whoever publishes says so
        return None
    return "is a database of something else" if tables and "experiments" not in tables else None


def ended_in(file: Path, experiment: str) -> set[tuple[str, int]]:
    """The uids and attempts of all runs in `experiment` that ended and are not in the trash.

    Takes a millisecond, where to import MLflow takes a second. Raises sqlite3.Error.
    """
    with contextlib.closing(_read_only(file)) as connection:
        found = connection.execute(_ENDED, (ATTEMPT, UID, experiment))
        return {(uid, int(attempt)) for uid, attempt in found}


def runs_in(file: Path, experiment: str) -> dict[str, str]:
    """The runs in `experiment` that are not in the trash: their ids by uid. As quick as `ended_in`."""
    with contextlib.closing(_read_only(file)) as connection:
        return dict(connection.execute(_RUNS, (UID, experiment)).fetchall())


def experiment_in(file: Path, name: str) -> str | None:
    """The id of an experiment that is not in the trash, if there is one. As quick as `ended_in`."""
    with contextlib.closing(_read_only(file)) as connection:
        row = connection.execute(_EXPERIMENT, (name,)).fetchone()
    return None if row is None else str(row[0])


def create_database(file: Path, make: Callable[[str], object]) -> None:
    """Have `make`, which gets a URI, make MLflow's database where there is none: whole or not at all.

    MLflow takes seconds to make one, and can't open what a killed process or two at once left of it.
    """
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_name(f"{file.name}.lock")
    with FileLock(lock):
        for leftover in file.parent.glob(f"{glob.escape(file.name)}.*.partial*"):
            leftover.unlink(missing_ok=True)
        # MLflow keeps connections by name: each attempt gets one of its own.
        partial = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
        if not file.exists():
            make(URL.create("sqlite", database=str(partial)).render_as_string())
            partial.replace(file)
        lock.unlink(missing_ok=True)  # whoever waits for it finds the database there


def _read_only(file: Path) -> sqlite3.Connection:
    address = f"{file.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, timeout=_LOCKED_SECONDS, uri=True)
