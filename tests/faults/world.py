"""A user's folder with a study in it: launched, disturbed, looked into."""

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from tests.faults import fakes
from tests.faults.fakes import Fault
from tests.faults.launch import LONG, Driver, Launch, eventually
from tests.postgres import Postgres


class World:
    """A folder of a user's own, in which one study is launched again and again."""

    def __init__(self, driver: Driver, base: Path) -> None:
        self._driver = driver
        self.folder = base / "work"
        self.faults = base / "faults"
        self.folder.mkdir()
        self.faults.mkdir()
        self.overrides = [
            "+study=smoke",
            "tracking.report=false",  # its own tests are elsewhere, and it costs seconds
            "launcher.trainer=tests.faults.fakes.make_trainer",
            "launcher.workers=2",
            "train.epochs=3",
            "sampler=random",
            "pruner=none",
            "tracking=none",
        ]
        self.name = "smoke"
        self.fake = True  # trained by `tests.faults.fakes`
        self.keep = 3  # tracking.keep_models
        self.epoch_seconds = 0.002
        self.env: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self._launches: list[Launch] = []
        self._environment = f"{fakes.FAULTS}={self.faults}".encode()

    def start(
        self,
        *overrides: str,
        module: str = "search.optimize",
        faults: list[dict[str, Any]] | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Launch:
        """Launch the study, with more `overrides`. `faults`, `settings`: see the driver."""
        argv = [*(self.overrides if module == "search.optimize" else []), *overrides]
        env = {**self.environment, **self.env}
        launch = self._driver.start(
            self.folder,
            module,
            argv,
            env=env,
            faults=faults or [],
            settings={
                "search.telling.watcher._PUBLISH_SECONDS": 5.0,
                "pipeline.tracking.config._INTERVAL_SECONDS": 0.5,
                **self.settings,
                **(settings or {}),
            },
        )
        self._launches.append(launch)
        return launch

    @property
    def environment(self) -> dict[str, str]:
        """What the trainer reads, wherever it runs."""
        return {fakes.FAULTS: str(self.faults), fakes.SECONDS: str(self.epoch_seconds)}

    def close(self) -> None:
        """Stop what still runs."""
        for launch in self._launches:
            if not launch.ended.is_set():
                launch.signal(signal.SIGKILL)
                launch.ended.wait(LONG)

    def run(self, *overrides: str, within: float = LONG, **more: Any) -> Launch:
        """Launch the study and wait for its end."""
        launch = self.start(*overrides, **more)
        launch.wait(within)
        return launch

    def fault(self, does: str, name: str = "fault", **more: Any) -> Path:
        """From now on workers do this; see `fakes.Fault`."""
        return fakes.write(self.faults, name, Fault(does, **more))

    def happened(self, name: str = "fault") -> int:
        """How often a fault was met."""
        return fakes.happened(self.faults, name)

    @property
    def database(self) -> Path:
        return self.folder / "mlruns" / "studies.db"

    def rows(self, sql: str) -> list[Any]:
        """What the study database answers, past all code of the project; [] where it has no table yet."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database, timeout=LONG)) as connection:
            try:
                return connection.execute(sql).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def count(self, state: str) -> int:
        """How many trials are in `state`, in Optuna's words."""
        (row,) = self.rows(f"SELECT COUNT(*) FROM trials WHERE state = '{state}'") or [(0,)]
        return int(row[0])

    @property
    def url(self) -> str:
        """Of the trial table."""
        return f"sqlite:///{self.database}"

    def table(self, name: str | None = None) -> TrialTable:
        return TrialTable.load(self.url, name or self.name)

    def entries(self, name: str | None = None) -> list[Entry]:
        """The trials as the table has them."""
        return self.table(name).entries()

    def workers(self) -> list[int]:
        """The worker processes of this study that live, whoever started them."""
        return [pid for pid in self._processes(b"spawn_main", b"forkserver") if not _template(pid)]

    def templates(self) -> list[int]:
        """The processes that live of those that workers are forked from."""
        return [pid for pid in self._processes(b"forkserver") if _template(pid)]

    def _processes(self, *commands: bytes) -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    if any(command in (process / "cmdline").read_bytes() for command in commands):
                        environment = (process / "environ").read_bytes().split(b"\0")
                        alive = b") Z " not in (process / "stat").read_bytes()
                        if self._environment in environment and alive:
                            found.append(int(process.name))
        return found

    def assert_whole(self, target: int, name: str | None = None) -> None:
        """Exactly `target` trials, all of them ended, each once, and no worker left."""
        entries = self.entries(name)
        assert [entry.number for entry in entries] == list(range(target))
        assert self.count("RUNNING") == self.count("WAITING") == 0
        for entry in entries:
            assert entry.state in {"complete", "pruned", "failed"}
            if entry.result is not None:
                epochs = [epoch.epoch for epoch in entry.history]
                assert epochs == list(range(1, len(epochs) + 1))
        self.assert_best_kept(entries, name or self.name)
        eventually(lambda: not self.workers(), within=60)

    def assert_best_kept(self, entries: list[Entry], name: str) -> None:
        """On disk are the weights of the best of `entries`, each readable, and nothing else."""
        complete = [
            (-entry.value, entry.number)
            for entry in entries
            if entry.state == "complete" and entry.value is not None
        ]
        best = {number for _, number in sorted(complete)[: self.keep]}
        folder = self.folder / "mlruns" / "weights" / f"{name}-{entries[0].uid[:8]}"
        assert {file.name for file in folder.glob("*")} == {f"{number}.npz" for number in best}
        for number in best:
            with np.load(folder / f"{number}.npz", allow_pickle=False) as arrays:
                assert arrays.files
                if self.fake:  # its weights are full of its value
                    assert (arrays["arr_0"] == entries[number].value).all()


def _template(pid: int) -> bool:
    """Whether a process is the first one of a fork server: what it forks has the same command."""
    with contextlib.suppress(OSError):
        process = Path(f"/proc/{pid}")
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        above = Path(f"/proc/{parent}/cmdline").read_bytes()
        return b"forkserver" in (process / "cmdline").read_bytes() and b"forkserver" not in above
    return False


class ServerWorld(World):
    """A folder of a user's own, with the trial table on a PostgreSQL server."""

    def __init__(self, driver: Driver, base: Path, server: Postgres, url: str) -> None:
        super().__init__(driver, base)
        self.server = server
        self._url = url
        # A busy machine restarts a server slowly.
        self.settings["search.trial_table.postgres.LOCKED_SECONDS"] = LONG
        self.overrides += [f"storage.url='{url}'"]

    @property
    def url(self) -> str:
        return self._url

    def rows(self, sql: str) -> list[Any]:
        import psycopg

        try:
            return self.server.execute(sql, self._url)
        except psycopg.errors.UndefinedTable:
            return []


def hanging(world: World, *overrides: str, **more: Any) -> tuple[Launch, Path]:
    """A launch whose two workers are in the second epoch of a trial, until the file is removed."""
    hang = world.fault("hang", epoch=2)
    launch = world.start(*overrides, **more)
    eventually(lambda: world.happened() >= 2)
    return launch, hang


def outcomes(entries: list[Entry]) -> dict[int, tuple[Any, ...]]:
    """What must be the same again, by trial."""
    return {
        entry.number: (
            entry.state,
            dict(entry.params),
            entry.value,
            [(epoch.epoch, dict(epoch.metrics)) for epoch in entry.history],
            entry.settings,
        )
        for entry in entries
    }


@contextlib.contextmanager
def exclusively(database: Path) -> Iterator[None]:
    """Nobody else can write to `database` within the block."""
    with contextlib.closing(
        sqlite3.connect(database, timeout=LONG, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
