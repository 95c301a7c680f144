"""The database file: what is opened, what is refused and left as it is, and one launch at a time."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.command.errors import ConfigError, StorageError
from search.table.lock import LockedError, study_lock
from search.table.storage import open_storage
from tests.search.conftest import environment


def _text(file: Path) -> None:
    file.write_text("my notes, not a database")


def _something_else(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")


def _another_version(file: Path) -> None:
    open_storage(f"sqlite:///{file}").engine.dispose()
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
        database.execute("DROP TABLE trial_heartbeats")
    database.close()


def _cut(file: Path) -> None:
    whole = sqlite3.connect(file)
    whole.execute("CREATE TABLE studies (name TEXT)")
    whole.executemany("INSERT INTO studies VALUES (?)", [("x" * 1000,)] * 50)
    whole.commit()
    whole.close()
    file.write_bytes(file.read_bytes()[:9000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text, "is no SQLite database"),
        (_something_else, "is a database of something else"),
        (_another_version, "no longer compatible with the table schema"),
        (_cut, "the study database is damaged"),
    ],
)
def test_a_file_that_is_no_trial_table_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    file = tmp_path / "studies.db"
    make(file)
    before = file.read_bytes()
    with pytest.raises(StorageError, match=message) as caught:
        open_storage(f"sqlite:///{file}")
    assert str(file) in str(caught.value)
    assert file.read_bytes() == before


PROBE = """
import sqlite3, sys

with sqlite3.connect(sys.argv[1]) as connection:
    connection.execute("SELECT COUNT(*) FROM trials").fetchone()
connection.close()
"""


def test_looking_at_a_database_again_drops_no_lock_on_it(url: str) -> None:
    """POSIX drops a process's locks on a file when it closes the file anywhere.

    Another process then takes itself for the last one that has the database open, and removes the log
    that is still written here.
    """
    file = Path(url.removeprefix("sqlite:///"))
    storage = open_storage(url)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("SELECT COUNT(*) FROM trials").fetchone()
        log = file.with_name(f"{file.name}-wal")
        before = log.stat().st_ino
        open_storage(url).engine.dispose()
        subprocess.run([sys.executable, "-c", PROBE, file], check=True)
        assert log.exists()
        assert log.stat().st_ino == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no url"])
def test_a_place_that_keeps_nothing_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.url: "):
        open_storage(url)


HOLDER = """
import sys
from search.table.lock import study_lock

with study_lock(sys.argv[1], "test", wait=False):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held_until_killed(url: str) -> Iterator[None]:
    """Within the block another process holds the study; then it is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


@pytest.mark.parametrize("place", ["url", pytest.param("server_url", marks=pytest.mark.slow)])
def test_a_study_is_locked_while_its_launch_lives_and_no_longer(
    request: pytest.FixtureRequest, place: str
) -> None:
    """However it ends: here it is killed."""
    url = request.getfixturevalue(place)
    with held_until_killed(url):
        with pytest.raises(LockedError), study_lock(url, "test", wait=False):
            pass
        with study_lock(url, "other", wait=False):
            pass
    with study_lock(url, "test", wait=True):
        pass
