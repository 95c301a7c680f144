"""The trial table in an SQLite file: one writer a study, whatever its path; readers leave no trace."""

import contextlib
import functools
import hashlib
import os
import shutil
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock, Timeout

from pipeline.command.errors import StorageError
from search.trial_table.postgres import LOCKED_SECONDS, OPTUNA_TABLES, schema_errors_named
from search.trial_table.writing import Storage

if sys.platform == "linux":
    import fcntl

Connect = Callable[[], sqlite3.Connection]

_BEYOND = 2**62  # where the locks of studies lie in a file; SQLite's own lie at 2**30


class FileStorage(Storage):
    """Optuna's storage in an SQLite `file`, for writing. The file must stay where it is meanwhile."""

    def __init__(self, url: str, file: Path) -> None:
        self._file = file
        with schema_errors_named(str(file.absolute())):
            # Never made anew where it has vanished: that would be an empty one.
            super().__init__(
                url, {"creator": lambda: _connect(file, "mode=rw")}, skip_table_creation=True
            )
        sqlalchemy.event.listen(self.engine, "connect", _set_pragmas)
        self.engine.dispose()
        # Closing it would drop the locks that SQLite holds on the file in this process (POSIX).
        self._descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)

    @contextlib.contextmanager
    def held(self, study: str, wait: bool) -> Iterator[bool]:
        """Lock `study` within the block, for this process while it lives; False where another one has it.

        On Linux the lock is a byte of the file itself, so that it holds by whatever name the file is
        opened; elsewhere it is a file beside it.
        """
        if sys.platform == "linux":
            command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
            try:
                fcntl.fcntl(self._descriptor, command, _flock(fcntl.F_WRLCK, study))
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _flock(fcntl.F_UNLCK, study))
        else:
            lock = FileLock(f"{self._file.resolve()}.{study}.lock", timeout=-1 if wait else 0)
            try:
                lock.acquire()
            except Timeout:
                yield False
                return
            with lock:
                yield True

    def keep(self) -> None:
        """Raise StorageError where the file is not in its place any more: SQLite would write to nowhere.

        A file that was deleted is put back out of the open connection, with all that was written.
        """
        ours = os.fstat(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(ours, self._file.stat()):
                return
        name = f"study database {self._file.absolute()}"
        if ours.st_nlink or os.path.lexists(self._file):
            raise StorageError(
                f"{name}: was moved away while a study was running (put it back, and the same command "
                "goes on)"
            )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self.engine.connect() as connection:
                connection.exec_driver_sql("VACUUM INTO ?", (os.fspath(self._file.absolute()),))
        except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise StorageError(
                f"{name}: was deleted while a study was running, and can't be put back: {error}"
            ) from error
        raise StorageError(
            f"{name}: was deleted while a study was running; it is put back, with all trials that had "
            "ended (the same command goes on)"
        )


def is_held(file: Path, study: str) -> bool:
    """Whether a process has `study` locked in `file`. On Linux nothing is locked by asking."""
    if sys.platform == "linux":
        there = file.stat()
        descriptor = _open_for_good(file.absolute(), there.st_dev, there.st_ino)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK, study))
        (kind,) = struct.unpack_from("h", answer)
        return bool(kind != fcntl.F_UNLCK)
    lock = FileLock(f"{file.resolve()}.{study}.lock", timeout=0)
    try:
        with lock:
            return False
    except Timeout:
        return True


@functools.cache
def _open_for_good(file: Path, _device: int, _inode: int) -> int:
    # Closing it would drop the locks that SQLite holds on the file in this process (POSIX).
    return os.open(file, os.O_RDONLY | os.O_CLOEXEC)


def logged_as(file: Path) -> Path:
    """The name of `file` that SQLite's log belongs to, where it has several: links, in one folder if hard.

    SQLite looks for the log by the name that it is given. Under another one it may miss what a launch
    that was killed has written, and two that write would each have a log of their own.
    """
    if file.is_symlink():
        file = file.resolve()
    if not file.exists() or file.stat().st_nlink == 1:
        return file
    beside = sorted(each for each in file.parent.iterdir() if not each.is_symlink())
    names = [each for each in beside if each.samefile(file)]
    return next((each for each in names if each.with_name(f"{each.name}-wal").exists()), names[0])


def writer(file: Path) -> Connect:
    """A way to open `file` that may write beside it."""
    return lambda: _connect(file, "mode=rw")


def reader(file: Path) -> Connect:
    """A way to read `file` that makes nothing beside it, also on a disk that can't be written."""
    log = file.with_name(f"{file.name}-wal")
    if not log.exists():
        return lambda: _connect(file, "immutable=1")  # nobody writes, and what was written is in it
    try:
        with contextlib.closing(_connect(file, "mode=ro")) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise
        # A log that a launch left behind can't be read where it can't be written: copies can.
        folder = tempfile.TemporaryDirectory(prefix="plumbline-")
        for each in (file, log):
            shutil.copyfile(each, Path(folder.name) / each.name)
        copy = Path(folder.name) / file.name
        return functools.partial(_connect_to_copy, copy, folder)
    return lambda: _connect(file, "mode=ro")


def check(file: Path, connect: Connect) -> set[str]:
    """The tables in `file`. Raises StorageError where it is damaged, or something else's."""
    if file.stat().st_size == 0:
        return set()
    name = file.absolute()
    try:
        with contextlib.closing(connect()) as connection:
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


def create(url: sqlalchemy.URL, file: Path) -> None:
    """Make a study database in `file`, missing or empty. It appears whole, or not at all."""
    half = file.with_name(f"{file.name}.partial")
    for leftover in (half, file.with_name(f"{half.name}-journal")):
        leftover.unlink(missing_ok=True)
    made = url.set(database=str(half))
    Storage(made.render_as_string(hide_password=False)).engine.dispose()
    if not file.exists():
        half.replace(file)
        return
    # An empty file may have other names, which must stay those of the same file: it is filled at once.
    with (
        contextlib.closing(sqlite3.connect(half)) as whole,
        contextlib.closing(_connect(file, "mode=rw")) as empty,
    ):
        whole.backup(empty)
    half.unlink()


def _connect(file: Path, query: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?{query}",
        timeout=LOCKED_SECONDS,
        uri=True,
        check_same_thread=False,  # SQLAlchemy's pool sees to that
    )


def _connect_to_copy(file: Path, _: "tempfile.TemporaryDirectory[str]") -> sqlite3.Connection:
    """A connection to `file` in a folder that lives as long as this may be called."""
    return _connect(file, "mode=rw")


def _set_pragmas(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # readers don't stop the writer
    connection.execute("PRAGMA synchronous=FULL")  # a finished trial survives a power cut


def _flock(kind: int, study: str) -> bytes:
    """The `struct flock` of the byte that stands for `study` (fcntl(2), open file description locks)."""
    digest = hashlib.sha256(study.encode()).digest()
    start = _BEYOND + int.from_bytes(digest[:4], "big")
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, 1, 0)
