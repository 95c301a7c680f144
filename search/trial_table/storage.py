"""The database that holds the trial table: opened, checked, never overwritten."""

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import optuna
import sqlalchemy
from filelock import FileLock
from pydantic import Field, ValidationError
from sqlalchemy.engine import make_url

from pipeline.command.errors import ConfigError, StorageError, UnavailableError
from pipeline.command.redact import redact
from pipeline.command.section import Section, did_you_mean, unambiguous
from pipeline.tracking.database import file_fault
from search.trial_table.postgres import (
    LOCKED_SECONDS,
    ServerStorage,
    schema_errors_named,
    was_launched_in,
)
from search.trial_table.sqlite import FileStorage, check, create, logged_as, reader, writer
from search.trial_table.writing import Storage

optuna.logging.set_verbosity(optuna.logging.ERROR)

_NEEDED_BYTES = 50 * 2**20


class StorageConfig(Section):
    """Where the trial table is. `url`: an SQLAlchemy URL. `weights`: folder for trials' weights."""

    url: Annotated[str, Field(pattern=r"^\w[\w+]*://"), unambiguous("storage.url")]
    weights: Annotated[str, Field(min_length=1)]


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL, or None for a server."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise ConfigError(f"storage.url: expected a database URL, got {redact(url)}") from None
    if parsed.get_backend_name() != "sqlite":
        return None
    wrong = file_fault(parsed)
    if wrong is None and "?" in url:
        wrong = (
            "expected nothing behind a ?, which would not be heard (one of the name's own is %3F)"
        )
    if wrong is not None:
        raise ConfigError(f"storage.url: {wrong}, got {redact(url)}")
    return Path(str(parsed.database))


def open_storage(url: str) -> Storage:
    """Optuna's storage at `url`; an SQLite file is created where there is none.

    Raises StorageError where the file can't be written or is damaged, or the database is something
    else's or another version's, which is left as it is; UnavailableError where a server can't be reached.
    """
    file = sqlite_file(url)
    if file is not None:
        return open_file(url, file)
    with errors_named(url):
        return ServerStorage(url)


def open_file(url: str, file: Path) -> FileStorage:
    """Optuna's storage in the SQLite `file` of `url`, as `open_storage`."""
    with errors_named(url):
        file = logged_as(file)
        real = file.resolve()  # a link stays a link
        check_writable(real.parent)
        # Several processes that create the tables at once would break each other.
        with FileLock(f"{real}.lock", timeout=LOCKED_SECONDS):
            if not real.exists() or not check(file, writer(file)):
                create(make_url(url), real)
            return FileStorage(url, file)


def find_storage(url: str) -> Storage | None:
    """Optuna's storage at `url`, to be read; None where no study was ever launched there.

    Nothing is created or written, so that a disk that is full or can't be written does no harm.
    """
    file = sqlite_file(url)
    with errors_named(url):
        if file is None:
            return ServerStorage(url) if was_launched_in(url) else None
        if not file.exists():
            return None
        file = logged_as(file)
        connect = reader(file)
        if not check(file, connect):
            return None
        with schema_errors_named(str(file.absolute())):
            return Storage(url, {"creator": connect}, skip_table_creation=True)


def existing_storage(url: str) -> Storage:
    """Optuna's storage at `url`, to be read, as `find_storage`.

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


@contextlib.contextmanager
def reading(url: str) -> Iterator[Storage]:
    """Within the block, Optuna's storage at `url`, to be read: as `existing_storage`, errors named."""
    with errors_named(url):
        storage = existing_storage(url)
        try:
            yield storage
        finally:
            storage.engine.dispose()


@contextlib.contextmanager
def damage_named(url: str, what: str) -> Iterator[None]:
    """Turn the failure to make sense of what was read into a StorageError that names `what`, and where.

    Whatever a database gives goes through here once: a flipped byte is no bug of whoever trips over it.
    """
    try:
        with errors_named(url):
            yield
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        said = redact(said).splitlines()[0]
        raise StorageError(
            f"{place(url)}: {what} can't be read: {said} (it is damaged, or of another version, and left as "
            "it is: go on from a copy made before, or give a new study another study.name)"
        ) from error


def studies_in(storage: Storage) -> Mapping[str, bool]:
    """The studies in `storage` by name, and whether a launch has described each."""
    with damage_named(storage.url, "its list of studies"):
        studies = storage.get_all_studies()
    return {study.study_name: "about" in study.user_attrs for study in studies}


def described_in(storage: Storage) -> list[str]:
    """The studies in `storage` that a launch has described, by name."""
    return sorted(name for name, described in studies_in(storage).items() if described)


def chosen_in(storage: Storage, name: str | None) -> str:
    """The study in `storage` that `name` names, or the only one if that is None.

    Raises ConfigError, with the studies that there are, where it can't be told which is meant.
    """
    names = described_in(storage)
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    wrong = "is missing" if name is None else f"there is no study {name!r}"
    hint = did_you_mean(name or "", names)
    there = ", ".join(names) or "none"
    raise ConfigError(f"study.name: {wrong}{hint}; in {redact(storage.url)} there are: {there}")


def attribute(storage: Storage, study: str, name: str) -> Any:
    """One attribute of a study as it stands now, asked for in one question; None where it has none."""
    with (
        damage_named(storage.url, f"{name!r} of {study!r}"),
        storage.engine.connect() as connection,
    ):
        given = {"study": study, "name": name}
        text = connection.execute(sqlalchemy.text(_ATTRIBUTE), given).scalar()
        return None if text is None else json.loads(text)


def place(url: str) -> str:
    """What to call the database at `url`: its file, or the URL of a server without its password."""
    file = sqlite_file(url)
    return f"storage.url: {redact(url)}" if file is None else f"study database {file.absolute()}"


def rename_study(storage: Storage, study: int, name: str, about: Mapping[str, Any]) -> None:
    """Give the study of that id another name, and what people read of it, in one transaction.

    What it was going to be, and that it is published, is forgotten. Optuna has no way to rename.
    """
    given = {"study": study, "name": name, "about": json.dumps(about)}
    with storage.engine.begin() as connection:
        for statement in _RENAME:
            connection.execute(sqlalchemy.text(statement), given)


_RENAME = (
    "UPDATE studies SET study_name = :name WHERE study_id = :study",
    "UPDATE study_user_attributes SET value_json = :about WHERE study_id = :study AND key = 'about'",
    "DELETE FROM study_user_attributes WHERE study_id = :study AND key IN ('half', 'published')",
)
_ATTRIBUTE = (
    "SELECT value_json FROM study_user_attributes JOIN studies USING (study_id) "
    "WHERE study_name = :study AND key = :name"
)


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
    except (
        sqlalchemy.exc.SQLAlchemyError,
        sqlite3.Error,
        optuna.exceptions.StorageInternalError,
    ) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        cause = getattr(cause, "orig", None) or cause
        lines = redact(str(cause)).strip().splitlines() or [type(cause).__name__]
        kind = UnavailableError if sqlite_file(url) is None else StorageError
        raise kind(f"{place(url)}: {lines[0]}") from error
