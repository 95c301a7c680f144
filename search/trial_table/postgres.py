"""The trial table on a PostgreSQL server that may go away and come back: one writer, nothing twice."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url

from pipeline.command.errors import ConfigError, StorageError, UnavailableError
from pipeline.command.redact import redact
from search.trial_table.connection import connector
from search.trial_table.writing import Storage

LOCKED_SECONDS = 30.0
"""How long a writer waits for a reader that locks the database, or for a server to come back."""

_AGAIN_SECONDS = 0.2  # between two tries of a write
_KEEP_SECONDS = 5.0  # how soon it is noticed that the connection is lost
_TABLES_KEY = 7_586_270_195  # advisory lock: whoever creates tables in this database


OPTUNA_TABLES = frozenset({"studies", "trials", "version_info"})
"""Where there are tables but not these, they are somebody else's."""

_LAUNCHES = sqlalchemy.Table(  # who held a study last: Optuna's own tables know nothing of launches
    "plumbline_launches",
    sqlalchemy.MetaData(),
    sqlalchemy.Column("study", sqlalchemy.Text, primary_key=True),
    sqlalchemy.Column("launch", sqlalchemy.Text, nullable=False),
)

T = TypeVar("T")
Claim = Callable[[Any, object], None]
"""A function that takes each new connection (of the driver) before anything is written through it."""


class LostError(UnavailableError):
    """The server went away: what it was asked may have been done, or not."""


class ServerStorage(Storage):
    """Optuna's storage on a server, through one connection at a time.

    A write that the server did not answer is repeated when it is back, unless it had arrived: Optuna
    by itself would create a trial twice. Raises LostError where that takes longer than LOCKED_SECONDS.
    """

    def __init__(self, url: str, claim: Claim | None = None) -> None:
        check_server(url)
        # Two, because Optuna takes two to create its tables; later a second one finds itself locked out.
        arguments = {"creator": _connector(url), "pool_size": 1, "max_overflow": 1}
        # Several launches that create the tables at once would break each other.
        with _alone(url) as connection:
            there = _tables(connection, url)
            with schema_errors_named(f"storage.url: {redact(url)}"):
                super().__init__(url, arguments, skip_table_creation=bool(there))
            _LAUNCHES.create(self.engine, checkfirst=True)
        self._seen = time.monotonic()
        self.engine.dispose()  # from here on
        sqlalchemy.event.listen(self.engine, "handle_error", _named(url))
        if claim is not None:
            sqlalchemy.event.listen(self.engine, "connect", claim)
        self.engine.connect().close()

    def keep(self) -> None:
        """Look whether the connection lives, and renew it: it holds the study's lock."""
        if time.monotonic() - self._seen < _KEEP_SECONDS:
            return
        self._seen = time.monotonic()
        for _ in range(2):  # what was lost is noticed, then renewed
            # There is nothing to write now: the next write waits, or fails.
            with contextlib.suppress(LostError), self.engine.connect() as connection:
                connection.execute(sqlalchemy.text("SELECT 1"))
                return

    def create(self, study_id: int, number: int, frozen: FrozenTrial) -> int:
        """A trial of its number is the one that was not answered for: there is one writer."""
        ask = sqlalchemy.text(
            "SELECT trial_id FROM trials WHERE study_id = :study AND number = :number"
        )

        def arrived() -> int | None:
            with self.engine.connect() as connection:
                found = connection.execute(ask, {"study": study_id, "number": number}).scalar()
            return None if found is None else int(found)

        create = super().create
        return self._patiently(lambda: create(study_id, number, frozen), arrived)

    def delete_study(self, study_id: int) -> None:
        """Also out of the list of who held it last."""
        name = self.get_study_name_from_id(study_id)
        super().delete_study(study_id)
        with self.engine.begin() as connection:
            connection.execute(_LAUNCHES.delete().where(_LAUNCHES.c.study == name))

    def end(
        self,
        trial_id: int,
        state: TrialState,
        values: Sequence[float] | None,
        attributes: Mapping[str, Any],
        curve: Mapping[int, float],
    ) -> None:
        """A trial that is in this state already was brought there by the write that was not answered."""

        def arrived() -> bool | None:
            return True if self.get_trial(trial_id).state == state else None

        end = super().end
        self._patiently(lambda: end(trial_id, state, values, attributes, curve), arrived)

    def annotate(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Twice is as good as once."""
        write = super().annotate
        self._patiently(lambda: write(trial_id, attributes))

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Twice is as good as once."""
        write = super().set_study_user_attr
        self._patiently(lambda: write(study_id, key, value))

    def _patiently(self, ask: Callable[[], T], arrived: Callable[[], T | None] | None = None) -> T:
        deadline = 0.0
        while True:
            try:
                if deadline and arrived is not None and (found := arrived()) is not None:
                    return found
                result = ask()
            except LostError:
                deadline = deadline or time.monotonic() + LOCKED_SECONDS
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN_SECONDS)
            else:
                self._seen = time.monotonic()
                return result


def check_server(url: str) -> None:
    """Raise ConfigError where the server that `url` names is of no kind that can hold studies here."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise ConfigError(f"storage.url: expected sqlite or postgresql, got {redact(url)}")
    if parsed.drivername != "postgresql+psycopg":
        raise ConfigError(f"storage.url: expected postgresql+psycopg://..., got {redact(url)}")
    try:
        parsed.get_dialect().import_dbapi()
    except ImportError as error:
        raise ConfigError(
            f"storage.url: psycopg can't be imported here: {error} (install plumbline[postgres])"
        ) from None


def was_launched_in(url: str) -> bool:
    """Whether a study was ever launched in the database of a server; nothing is created.

    Raises StorageError where it holds something else.
    """
    check_server(url)
    with _alone(url) as connection:
        return _LAUNCHES.name in _tables(connection, url)


@contextlib.contextmanager
def schema_errors_named(name: str) -> Iterator[None]:
    """Turn what Optuna says of tables of another version, or not its own, into a StorageError."""
    try:
        yield
    except RuntimeError as error:
        raise StorageError(
            f"{name}: {error} (left as it is; storage.url may name another one)"
        ) from None


def _tables(connection: sqlalchemy.Connection, url: str) -> set[str]:
    """The tables that are there. Raises StorageError where they are somebody else's."""
    tables = set(sqlalchemy.inspect(connection).get_table_names())
    if tables and not tables >= OPTUNA_TABLES:
        raise StorageError(
            f"storage.url: {redact(url)}: is a database of something else (left as it is; studies need "
            "a database of their own, which may be empty: not the MLflow server's)"
        )
    return tables


def _connector(url: str) -> Callable[[], Any]:
    """A way to connect that notices a silent server within the bound; what the URL says comes first."""
    arguments = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(LOCKED_SECONDS * 1000),
    }
    return connector(url, arguments)


@contextlib.contextmanager
def _alone(url: str) -> Iterator[sqlalchemy.Connection]:
    """A connection; nobody else creates tables in this database meanwhile."""
    engine = sqlalchemy.create_engine(url, creator=_connector(url))
    try:
        with engine.begin() as connection:
            lock = sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)")
            connection.execute(lock, {"key": _TABLES_KEY})
            yield connection
    finally:
        engine.dispose()


def _named(url: str) -> Callable[[Any], None]:
    """Turns the driver's errors into ones that name the server, and tells a lost one from others.

    As none of them is SQLAlchemy's, Optuna does not repeat what it asked by itself.
    """

    def handle(context: Any) -> None:
        if isinstance(context.sqlalchemy_exception, sqlalchemy.exc.OperationalError):
            lines = redact(str(context.original_exception)).strip().splitlines()
            text = f"storage.url: {redact(url)}: {lines[0] if lines else 'no answer'}"
            if context.is_disconnect or context.connection is None:
                raise LostError(f"{text} (when it is back, the same command goes on)")
            raise UnavailableError(text)

    return handle
