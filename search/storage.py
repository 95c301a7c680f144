"""The database that holds the trial table: opened, checked, never overwritten."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from sqlalchemy.engine import make_url

from pipeline.errors import ConfigError, StorageError, UnavailableError
from pipeline.redact import redact
from search.server import (
    LOCKED_SECONDS,
    OPTUNA_TABLES,
    ServerStorage,
    Storage,
    schema_errors_named,
    was_launched_in,
)

optuna.logging.set_verbosity(optuna.logging.ERROR)

_NEEDED_BYTES = 50 * 2**20


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL, or None for a server."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigError(f"storage.url: expected a database URL, got {redact(url)}") from None
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError(f"storage.url: a study in memory would be lost, got {url} (name a file)")
    return Path(parsed.database)


def open_storage(url: str) -> Storage:
    """Optuna's storage at `url`; an SQLite file is created where there is none.

    Raises StorageError where the file can't be written or is damaged, or the database is something
    else's or another version's, which is left as it is; UnavailableError where a server can't be reached.
    """
    file = sqlite_file(url)
    with errors_named(url):
        if file is None:
            return ServerStorage(url)
        check_writable(file.parent)
        # Several processes that create the tables at once would break each other.
        with FileLock(f"{file}.lock", timeout=LOCKED_SECONDS):
            tables = _check_sqlite(file)
            _create_sqlite(url, file)
            with schema_errors_named(str(file.absolute())):
                storage = optuna.storages.RDBStorage(
                    url,
                    engine_kwargs={"connect_args": {"timeout": LOCKED_SECONDS}},
                    skip_table_creation=bool(tables),
                )
        sqlalchemy.event.listen(storage.engine, "connect", _set_pragmas)
        storage.engine.dispose()
        return storage


def find_storage(url: str) -> Storage | None:
    """Optuna's storage at `url`; None where no study was ever launched there. Nothing is created."""
    file = sqlite_file(url)
    with errors_named(url):
        found = was_launched_in(url) if file is None else file.exists()
    return open_storage(url) if found else None


def existing_storage(url: str) -> Storage:
    """Optuna's storage at `url`, for those who only read: nothing is created.

    Raises ConfigError where no study was ever launched there; for the rest as `open_storage`.
    """
    storage = find_storage(url)
    if storage is None:
        file = sqlite_file(url)
        raise ConfigError(
            f"storage.url: there is no study database {file.absolute() if file else redact(url)} "
            "(run a study first, or name the database of one)"
        )
    return storage


def check_writable(folder: Path) -> None:
    """Create `folder` if need be, and raise StorageError where it can't take what a study writes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".plumbline-") as probe:
            probe.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StorageError(f"{folder.absolute()}: can't be written: {error.strerror}") from None
    if free < _NEEDED_BYTES:
        raise StorageError(
            f"{folder.absolute()}: the disk has {free // 2**20} MiB left, a study needs "
            f"{_NEEDED_BYTES // 2**20} MiB"
        )


@contextlib.contextmanager
def errors_named(url: str) -> Iterator[None]:
    """Turn the database's own errors into a StorageError that names it, without its password."""
    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        cause = getattr(cause, "orig", None) or cause
        lines = redact(str(cause)).strip().splitlines() or [type(cause).__name__]
        file = sqlite_file(url)
        if file is None:
            raise UnavailableError(f"storage.url: {redact(url)}: {lines[0]}") from error
        raise StorageError(f"study database {file.absolute()}: {lines[0]}") from error


def _check_sqlite(file: Path) -> set[str]:
    """The tables in `file`; none where there is none."""
    if not file.exists() or file.stat().st_size == 0:
        return set()
    name = file.absolute()
    # SQLite alone opens the file: closing it elsewhere would drop the locks that this process holds.
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=LOCKED_SECONDS)) as connection:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {row[0] for row in rows}
    except sqlite3.DatabaseError as error:
        damage, tables = str(error), set()
        if "locked" in damage:
            raise StorageError(f"study database {name}: {damage}") from None
        if error.sqlite_errorname == "SQLITE_NOTADB":
            raise StorageError(f"{name}: is no SQLite database (left as it is)") from None
    if damage != "ok":
        raise StorageError(
            f"{name}: the study database is damaged: {damage} (left as it is; move it away, or "
            "recover it with `sqlite3 FILE .recover`)"
        )
    if tables and not tables >= OPTUNA_TABLES:
        raise StorageError(f"{name}: is a database of something else (left as it is)")
    return tables


def _create_sqlite(url: str, file: Path) -> None:
    """Make a study database where there is none. It appears whole, whenever this process is killed."""
    if file.exists() and file.stat().st_size > 0:
        return
    partial = file.with_name(f"{file.name}.partial")
    for leftover in (partial, file.with_name(f"{partial.name}-journal")):
        leftover.unlink(missing_ok=True)
    made = make_url(url).set(database=str(partial))
    optuna.storages.RDBStorage(made.render_as_string(hide_password=False)).engine.dispose()
    partial.replace(file)


def _set_pragmas(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # readers don't stop the writer
    connection.execute("PRAGMA synchronous=FULL")  # a finished trial survives a power cut
