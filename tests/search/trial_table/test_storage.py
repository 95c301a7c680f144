"""The database file: what is opened, what is refused and left as it is, and one launch at a time."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.command.errors import ConfigError, StorageError
from search.trial_table.lock import LockedError, study_lock
from search.trial_table.storage import existing_storage, open_storage
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
from search.trial_table.lock import study_lock

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


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("sqlite:///studies.db?mode=ro", r"nothing behind a \?"),
        ("sqlite:///studies.db?timeout=1", r"nothing behind a \?"),
        ("sqlite:///file:studies.db", "expected a file, which outlives the study"),
        ("sqlite:///~/studies.db", r"write sqlite:///\$HOME/studies.db"),
        ("sqlite:///per%cent.db", "with %25 for a % of its own"),
        ("sqlite:///two\nlines.db", "without control characters"),
        ("sqlite+aiosqlite:///studies.db", "expected sqlite:///FILE"),
        ("sqlite://ann:hush@host/studies.db", "expected sqlite:///FILE"),
        ("sqlite:///.", "this is a folder"),
        ("sqlite:////", "this is a folder"),
        ("sqlite:////dev/zero", "a device or a pipe"),
    ],
)
def test_an_address_that_would_mean_another_file_is_refused_and_makes_nothing(
    url: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for use in (open_storage, existing_storage):
        with pytest.raises(ConfigError, match=rule) as caught:
            use(url)
        assert "hush" not in str(caught.value)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("written", "name"), [("my studies", "my studies"), ("5%25", "5%")])
def test_an_address_names_a_file_as_sqlalchemy_reads_it(
    written: str, name: str, empty_table: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_table, tmp_path / f"{name}.db")
    url = f"sqlite:///{tmp_path}/{written}.db"
    assert existing_storage(url).get_all_studies() == []
    open_storage(url).engine.dispose()
    assert {each.suffix for each in tmp_path.iterdir()} == {".db", ".lock"}
