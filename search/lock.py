"""One launch of a study at a time."""

import contextlib
import zlib
from collections.abc import Iterator

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy.engine import make_url

from pipeline.errors import ConfigError
from pipeline.redact import redact
from search.storage import check_writable, errors_named, sqlite_file


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
    if make_url(url).get_backend_name() != "postgresql":
        raise ConfigError(f"storage.url: expected sqlite or postgresql, got {redact(url)}")
    with errors_named(url):
        try:
            engine = sqlalchemy.create_engine(url)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"storage.url: there is no {error.name} here "
                "(install plumbline[postgres] and write postgresql+psycopg://...)"
            ) from None
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
