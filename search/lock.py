"""One launch of a study at a time."""

import contextlib
import zlib
from collections.abc import Iterator

import sqlalchemy
from filelock import FileLock, Timeout

from search.storage import check_server, check_writable, errors_named, sqlite_file


class LockedError(Exception):
    """Another launch of the study is running."""


@contextlib.contextmanager
def study_lock(url: str, name: str, wait: bool) -> Iterator[None]:
    """Hold the study `name` in the storage at `url`, so that its table has one writer.

    The lock ends with the process, however it ends: a file lock beside an SQLite file, a session's
    advisory lock in PostgreSQL. Raises LockedError where another process holds it and `wait` is false.
    """
    file = sqlite_file(url)
    if file is None:
        with _advisory_lock(url, name, wait):
            yield
        return
    check_writable(file.parent)
    lock = FileLock(f"{file}.{name}.lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _advisory_lock(url: str, name: str, wait: bool) -> Iterator[None]:
    with errors_named(url):
        check_server(url)
        engine = sqlalchemy.create_engine(url)
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
        key = zlib.crc32(f"plumbline {name}".encode())
        got = connection.execute(sqlalchemy.text(f"SELECT {function}(:key)"), {"key": key}).scalar()
    try:
        if got is False:
            raise LockedError
        yield
    finally:
        connection.close()
        engine.dispose()
