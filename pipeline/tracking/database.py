"""MLflow's database in a file, where it is faster or safer without MLflow: made whole, and asked."""

import contextlib
import glob
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

UID = "uid"
"""Tag by which a run is found again."""

ATTEMPT = "attempt"
"""Tag that says how often it was begun anew."""

_SQLITE = "sqlite:///"
_LOCKED_SECONDS = 5.0
_ENDED = """
    SELECT tags.value, coalesce(attempts.value, '1')
    FROM tags JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
    LEFT JOIN tags AS attempts ON attempts.run_uuid = tags.run_uuid AND attempts.key = ?
    WHERE tags.key = ? AND experiments.name = ? AND experiments.lifecycle_stage = 'active'
    AND runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'
"""


def database_of(uri: str) -> Path | None:
    """The file of an SQLite tracking URI; None for a server."""
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None


def ended_in(file: Path, experiment: str) -> set[tuple[str, int]]:
    """The uids and attempts of all runs in `experiment` that ended and are not in the trash.

    Takes a millisecond, where to import MLflow takes a second. Raises sqlite3.Error.
    """
    address = f"{file.absolute().as_uri()}?mode=ro"
    with contextlib.closing(
        sqlite3.connect(address, timeout=_LOCKED_SECONDS, uri=True)
    ) as connection:
        found = connection.execute(_ENDED, (ATTEMPT, UID, experiment))
        return {(uid, int(attempt)) for uid, attempt in found}


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
            make(f"{_SQLITE}{partial}")
            partial.replace(file)
        lock.unlink(missing_ok=True)  # whoever waits for it finds the database there
