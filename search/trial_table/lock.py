"""One launch of a study at a time."""

import contextlib
import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy

from pipeline.command.errors import ConfigError, StoppedError
from search.trial_table.postgres import LOCKED_SECONDS, LostError, ServerStorage
from search.trial_table.sqlite import is_held as is_held_in
from search.trial_table.storage import attribute, errors_named, open_file, sqlite_file
from search.trial_table.writing import Storage

HALF = "half"
"""Attribute of a study that is being renamed or deleted: what `do` is, and the `command` for it."""


class LockedError(Exception):
    """Another launch of the study is running."""


@contextlib.contextmanager
def study_lock(url: str, name: str, wait: bool, completes: str | None = None) -> Iterator[Storage]:
    """Hold the study `name` in the storage at `url`, so that its table has one writer: what is given.

    The lock ends with the process, however it ends: in an SQLite file a lock on a byte of the file, in
    PostgreSQL an advisory lock of the very session that writes. Raises LockedError where another
    process holds it and `wait` is false; ConfigError where the study is half renamed or half deleted, which
    only the command may take it for that `completes` it.
    """
    with contextlib.ExitStack() as stack:
        file = sqlite_file(url)
        if file is None:
            with errors_named(url):
                storage: Storage = ServerStorage(url, AdvisoryLock(name, wait))
        else:
            storage = in_file = open_file(url, file)
            if not stack.enter_context(in_file.held(name, wait)):
                raise LockedError
            in_file.keep()  # the file that is locked is still the one of this name
        stack.callback(storage.engine.dispose)
        _refuse_what_is_half(storage, name, completes)
        yield storage


def is_held(storage: Storage, name: str) -> bool:
    """Whether a launch, or another command that writes, has the study `name` now. Nothing is locked."""
    file = sqlite_file(storage.url)
    if file is not None:
        return is_held_in(file, name)
    key = _key(name) % 2**64
    with errors_named(storage.url), storage.engine.connect() as connection:
        halves = {"high": key >> 32, "low": key % 2**32}
        return connection.execute(sqlalchemy.text(_HOLDER), halves).first() is not None


def _refuse_what_is_half(storage: Storage, name: str, completes: str | None) -> None:
    half = attribute(storage, name, HALF)
    if half is None or half["do"] == completes:
        return
    raise ConfigError(
        f"study.name: a command to {half['do']} {name!r} was cut short; it is neither there nor gone until "
        f"the same one, with its settings, has completed it: {half['command']}"
    )


class TakenError(LostError):
    """The lock went with the connection, and somebody else has it. Exit code 75."""

    exit_code = StoppedError.exit_code


class AdvisoryLock:
    """Takes the lock of a study in every session that is to write: no lock, no connection.

    A session that ends loses it. The next one of this launch takes it again, if no other launch held it
    in between; if it did, StoppedError. TakenError where another session holds it now, which may be this
    launch's last one, whose end the server has not noticed yet.
    """

    def __init__(self, name: str, wait: bool) -> None:
        self._name = name
        self._wait = wait
        self._launch = ""
        self.key = _key(name)

    def __call__(self, connection: Any, _: object) -> None:
        """Take the lock in this session of the driver."""
        try:
            connection.autocommit = True
            self._take(connection)
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise

    def _take(self, connection: Any) -> None:
        connection.execute(_NOTICE_DEAD_CLIENTS)
        first = not self._launch
        function = "pg_advisory_lock" if first and self._wait else "pg_try_advisory_lock"
        connection.unbounded = first and self._wait
        (got,) = connection.execute(f"SELECT {function}(%s)", [self.key]).fetchone()
        connection.unbounded = False
        if got is False:  # waiting for it gives nothing, which is no False
            if first:
                raise LockedError
            raise TakenError(f"{self._name}: {_TAKEN}")
        connection.execute(f"SET lock_timeout = {round(LOCKED_SECONDS * 1000)}")
        if first:
            self._launch = uuid.uuid4().hex
            connection.execute(_WRITE, [self._name, self._launch])
        elif connection.execute(_READ, [self._name]).fetchone() != (self._launch,):
            raise StoppedError(f"{self._name}: {_TAKEN}")


def _key(name: str) -> int:
    digest = hashlib.sha256(f"plumbline study {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


_HOLDER = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid::bigint = :high AND objid::bigint = :low
"""
_TAKEN = (
    "the connection to the database server was lost, and another launch has taken the study over "
    "(nothing is lost: the same command goes on when that one has ended)"
)
# A client's machine that lost its power must not hold the lock for two hours, which is TCP's default.
_NOTICE_DEAD_CLIENTS = (
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
_READ = "SELECT launch FROM plumbline_launches WHERE study = %s"
_WRITE = (
    "INSERT INTO plumbline_launches VALUES (%s, %s) "
    "ON CONFLICT (study) DO UPDATE SET launch = EXCLUDED.launch"
)
