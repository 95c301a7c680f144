"""The trial table on a PostgreSQL server that goes away: nothing twice, and one writer."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline.command.errors import (
    ConfigError,
    PlumblineError,
    StoppedError,
    StorageError,
    UnavailableError,
)
from pipeline.run.comparison import Training, compare
from search.study.vocabulary import Attempts, Study
from search.trial_table.lock import AdvisoryLock, LockedError, TakenError, study_lock
from search.trial_table.postgres import LostError, ServerStorage
from search.trial_table.rows import certify
from search.trial_table.storage import existing_storage, open_storage
from search.trial_table.trials import TrialTable
from tests.postgres import Postgres
from tests.search.conftest import study
from tests.search.fakes import run_result
from tests.search.trial_table.test_trials import SPACE, SUGGESTION, asked

pytestmark = pytest.mark.faults  # the server is stopped and started

SECRETS = ("s3cret", "%40%2F")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that comes back is waited for, however slow the machine."""
    monkeypatch.setattr("search.trial_table.postgres.LOCKED_SECONDS", 240.0)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come back is not waited for long."""
    monkeypatch.setattr("search.trial_table.postgres.LOCKED_SECONDS", 0.3)
    monkeypatch.setattr("search.trial_table.lock.LOCKED_SECONDS", 0.3)


@contextlib.contextmanager
def launched(url: str) -> Iterator[TrialTable]:
    """The table of a launch that holds the study, with one trial running."""
    with study_lock(url, "test", wait=False) as storage:
        table = TrialTable.open(storage, study())
        if not table.entries():
            asked(table)
        yield table


def lose_answer(table: TrialTable, nth: int, arrives: bool) -> Callable[[], bool]:
    """Lose the connection at the `nth` commit, after or before the server did it; whether that was."""
    import psycopg

    assert isinstance(table._storage, ServerStorage)
    dialect = table._storage.engine.dialect
    commit, count = dialect.do_commit, 0

    def do_commit(connection: Any) -> None:
        nonlocal count
        count += 1
        if count != nth:
            commit(connection)
            return
        if arrives:
            commit(connection)
        connection.dbapi_connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    dialect.do_commit = do_commit  # type: ignore[method-assign]
    return lambda: count >= nth


WRITES: dict[str, Callable[[TrialTable], object]] = {
    "create": lambda table: table.create(SUGGESTION, SPACE),
    "start": lambda table: table.start(0, study().base, Attempts(made=2)),
    "complete": lambda table: table.complete(table.interrupted()[0], run_result([0.5]), {}),
    "fail": lambda table: table.fail(table.interrupted()[0], "loss is nan"),
    "describe": lambda table: table.describe(study().about("", "")),
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_was_not_answered_is_there_once(
    postgres: Postgres, server_template: str, write: str, arrives: bool
) -> None:
    """Whether or not it had arrived, and whichever of its transactions it was."""
    nth = 0
    lost = True
    while lost:
        nth += 1
        url = postgres.database(server_template)
        with launched(url) as table:
            was_lost = lose_answer(table, nth, arrives)
            before = len(table.entries())
            WRITES[write](table)
            lost = was_lost()
            loaded = TrialTable(existing_storage(url), "test")
            assert loaded.entries() == table.entries()
            assert len(table.entries()) == before + (write == "create")
            if write == "describe":
                assert loaded.about() == table.about()
    assert nth > 1, "nothing was lost"


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_was_restarted_costs_nothing_and_the_study_stays_held(
    postgres: Postgres, server_url: str, mode: Any
) -> None:
    with launched(server_url) as table:
        postgres.restart(mode)
        asked(table)
        table.complete(table.interrupted()[0], run_result([0.5]), {})
        with pytest.raises(LockedError), study_lock(server_url, "test", wait=False):
            pass
        assert TrialTable(existing_storage(server_url), "test").entries() == table.entries()
    assert [entry.state for entry in table.entries()] == ["complete", "running"]


@pytest.mark.usefixtures("patient")
def test_a_server_that_is_away_is_waited_for(postgres: Postgres, server_url: str) -> None:
    with launched(server_url) as table:
        postgres.stop()
        back = threading.Timer(1.0, postgres.start)
        back.start()
        asked(table)
        back.join()
        assert TrialTable(existing_storage(server_url), "test").entries() == table.entries()


@pytest.mark.usefixtures("hasty")
def test_a_server_that_stays_away_is_an_error_that_names_it_without_its_password(
    postgres: Postgres, server_url: str
) -> None:
    with launched(server_url) as table:
        before = table.entries()
        postgres.stop("immediate")
        try:
            with pytest.raises(LostError) as caught:
                asked(table)
            with pytest.raises(UnavailableError), study_lock(server_url, "test", wait=False):
                pass
        finally:
            postgres.start()
    message = str(caught.value)
    assert caught.value.exit_code == 69
    assert message.startswith(
        f"storage.url: postgresql+psycopg://ann:***@127.0.0.1:{postgres.port}/"
    )
    assert not any(secret in message for secret in SECRETS)
    assert TrialTable(existing_storage(server_url), "test").entries() == before == table.entries()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("ended", "error"), [(False, TakenError), (True, StoppedError)])
def test_a_launch_that_lost_its_lock_to_another_one_writes_nothing_more(
    postgres: Postgres, server_url: str, ended: bool, error: type[PlumblineError]
) -> None:
    """Whether that one still runs or has ended already: the table is no longer what this one knows."""
    with launched(server_url) as table:
        postgres.cut()
        with contextlib.ExitStack() as other:
            theirs = other.enter_context(launched(server_url))
            theirs.complete(theirs.interrupted()[0], run_result([0.7]), {})
            if ended:
                other.close()
            with pytest.raises(error) as caught:
                table.complete(table.interrupted()[0], run_result([0.5]), {})
            assert caught.value.exit_code == 75
            assert "another launch has taken the study over" in str(caught.value)
            assert TrialTable(existing_storage(server_url), "test").entries() == theirs.entries()


@pytest.mark.usefixtures("patient")
def test_the_lock_of_a_session_that_the_server_still_believes_in_is_waited_for(
    postgres: Postgres, server_url: str
) -> None:
    """Of this launch itself: the network went, and only one end of it has noticed."""
    import psycopg

    with launched(server_url) as table:
        postgres.cut()
        with psycopg.connect(server_url.replace("+psycopg", "")) as believed:
            believed.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock("test", False).key])
            end = threading.Timer(1.0, believed.close)
            end.start()
            asked(table)
            end.join()
        assert TrialTable(existing_storage(server_url), "test").entries() == table.entries()


def test_a_study_whose_lock_was_lost_is_held_again_before_there_is_anything_to_write(
    postgres: Postgres, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.trial_table.postgres._KEEP_SECONDS", 0.0)
    with launched(server_url) as table:
        postgres.cut()
        table.keep()
        with pytest.raises(LockedError), study_lock(server_url, "test", wait=False):
            pass


@pytest.mark.usefixtures("hasty")
def test_a_table_that_somebody_locks_is_an_error_after_the_bound(server_url: str) -> None:
    import psycopg

    with (
        launched(server_url) as table,
        psycopg.connect(server_url.replace("+psycopg", "")) as somebody,
    ):
        somebody.execute("LOCK TABLE trials")
        with pytest.raises(UnavailableError, match="lock timeout"):
            asked(table)
        somebody.rollback()
        asked(table)
        assert TrialTable(existing_storage(server_url), "test").entries() == table.entries()


@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_stopped_in_the_middle_is_waited_for_no_longer_than_the_bound(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres, server_url: str
) -> None:
    """Its machine still acknowledges all that it is sent, so TCP notices nothing."""
    with launched(server_url) as table:
        pids = [
            pid
            for (pid,) in postgres.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = '' AND "
                f"datname = '{server_url.rpartition('/')[2]}'"
            )
        ]
        assert len(pids) == 1
        monkeypatch.setattr("search.trial_table.connection.ANSWER_SECONDS", 0.3)
        os.kill(int(str(pids[0])), signal.SIGSTOP)
        try:
            # It still has the study's lock, so far as the server knows.
            with pytest.raises(TakenError):
                table.use_up({})
        finally:
            os.kill(int(str(pids[0])), signal.SIGCONT)


def test_a_launch_waits_for_its_turn_for_as_long_as_it_takes(
    monkeypatch: pytest.MonkeyPatch, server_url: str
) -> None:
    monkeypatch.setattr("search.trial_table.connection.ANSWER_SECONDS", 0.2)
    with ExitStack() as other:
        other.enter_context(study_lock(server_url, "test", wait=False))
        threading.Timer(2.0, other.close).start()
        with study_lock(server_url, "test", wait=True):
            pass


def test_launches_that_start_together_in_an_empty_database_make_its_tables_once(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    studies = [study(f"study.name=study-{number}") for number in range(4)]  # Hydra has one thread

    def launch(one: Study) -> str:
        with study_lock(url, one.config.name, wait=False) as storage:
            return TrialTable.open(storage, one).name

    names = [one.config.name for one in studies]
    with ThreadPoolExecutor(4) as launches:
        assert list(launches.map(launch, studies)) == names
    assert {each.study_name for each in open_storage(url).get_all_studies()} == set(names)


def mlflows(postgres: Postgres) -> str:
    """The database of an MLflow server: it keeps its version where Optuna keeps its own."""
    url = postgres.database()
    postgres.execute(
        "CREATE TABLE alembic_version (version_num text); CREATE TABLE experiments (name text); "
        "INSERT INTO alembic_version VALUES ('1b5f0d9ad7c1')",
        url,
    )
    return url


def an_older_version_s(postgres: Postgres) -> str:
    """A database of studies that an Optuna made which knew fewer tables."""
    url = postgres.database()
    open_storage(url).engine.dispose()
    postgres.execute(
        "UPDATE alembic_version SET version_num = 'v2.6.0.a'; DROP TABLE trial_heartbeats", url
    )
    return url


def contents(postgres: Postgres, url: str) -> dict[str, object]:
    """The tables of a database with their rows."""
    tables = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url)
    return {str(table): postgres.execute(f"SELECT * FROM {table}", url) for (table,) in tables}


def lock(url: str) -> None:
    """What a launch does first that can write."""
    with study_lock(url, "test", wait=False):
        pass


OPENINGS: list[Callable[[str], object]] = [
    lock,
    lambda url: TrialTable.find(url, "test"),
    lambda url: TrialTable.load(url, "test"),
    TrialTable.names,
]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (mlflows, "is a database of something else .* of their own"),
        (
            an_older_version_s,
            "no longer compatible with the table schema .* optuna storage upgrade",
        ),
    ],
)
@pytest.mark.parametrize("opening", OPENINGS, ids=["lock", "find", "load", "names"])
def test_a_database_of_something_else_is_named_and_left_as_it_is(
    postgres: Postgres,
    make: Callable[[Postgres], str],
    message: str,
    opening: Callable[[str], object],
) -> None:
    url = make(postgres)
    before = contents(postgres, url)
    with pytest.raises(StorageError, match=message) as caught:
        opening(url)
    assert str(caught.value).startswith("storage.url: postgresql+psycopg://ann:***@127.0.0.1")
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert contents(postgres, url) == before


def test_an_empty_database_holds_no_study_and_stays_empty_until_a_launch(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    assert TrialTable.find(url, "test") is None
    for opening in (lambda: TrialTable.load(url, "test"), lambda: TrialTable.names(url)):
        with pytest.raises(ConfigError, match=r"there is no study database .*run a study first"):
            opening()
    assert contents(postgres, url) == {}
    lock(url)
    assert TrialTable.names(url) == []


@pytest.mark.parametrize("url", ["mysql://ann:s3cret@h/db", "postgresql://ann:s3cret@h/db"])
def test_another_kind_of_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"storage\.url: expected .*ann:\*\*\*@h/db"):
        open_storage(url)


def test_a_row_on_the_server_keeps_its_certificate(server_url: str) -> None:
    with launched(server_url) as table:
        entry = table.entries()[0]
        table.complete(entry, run_result([0.9]), {})
        ended = table.entries()[0]
        assert ended.result is not None
        training = Training({}, ended.history, ended.result)
        one = compare("test, trial 0", entry.uid, "val_accuracy", training, training)
        for _ in range(2):
            certify(table._storage, "test", [one])
    with launched(server_url) as table:
        assert table.entries()[0].certificate == one
