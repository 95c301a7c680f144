"""A user's folder with a study in it: launched, disturbed, looked into."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from search.study.vocabulary import Entry
from search.table.trials import TrialTable
from tests.faults import fakes
from tests.faults.fakes import Fault
from tests.postgres import Postgres

ROOT = Path(__file__).parents[2]
LONG = 240.0  # seconds: a bound, never a pace
STORAGE = "sqlite:///mlruns/studies.db"


def eventually(what: Callable[[], Any], within: float = LONG, every: float = 0.005) -> Any:
    """The first true thing that `what` returns; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (result := what()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(every)
    return result


@dataclass
class Launch:
    """A command that was started. `pid` is also its process group, as in a terminal."""

    stdout_file: Path
    stderr_file: Path
    began: float = field(default_factory=time.monotonic)
    pid: int = 0
    status: int | None = None
    seconds: float = 0.0
    started: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def stdout(self) -> str:
        return self.stdout_file.read_text() if self.stdout_file.exists() else ""

    @property
    def stderr(self) -> str:
        return self.stderr_file.read_text() if self.stderr_file.exists() else ""

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def wait(self, within: float = LONG) -> int:
        """The exit code; minus the signal's number for a process that was killed."""
        if not self.ended.wait(within):
            self.signal(signal.SIGKILL)
            raise AssertionError(f"still running after {within:g} s:\n{self.output}")
        assert self.status is not None
        return self.status

    def signal(self, number: int) -> None:
        """Send a signal to the coordinator alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Send a signal to the coordinator and its workers, as a terminal does on Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Driver:
    """The process of `tests.faults.driver`, which starts commands quickly."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.driver"],
            cwd=ROOT,
            env={
                **{key: value for key, value in os.environ.items() if "MLFLOW" not in key},
                "PYTHONPATH": str(ROOT),
                "OPENBLAS_NUM_THREADS": "1",  # no threads: they don't survive a fork
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._launches: dict[int, Launch] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, folder: Path, module: str, argv: list[str], **request: Any) -> Launch:
        """Start a command in `folder`. It runs when this returns."""
        assert self._process.stdin is not None
        with self._lock:
            number = next(self._ids)
            out, err = folder.parent / f"out-{number}.txt", folder.parent / f"err-{number}.txt"
            launch = self._launches[number] = Launch(out, err)
            message = {
                "id": number,
                "module": module,
                "argv": argv,
                "cwd": str(folder),
                "stdout": str(out),
                "stderr": str(err),
                **request,
            }
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        assert launch.started.wait(LONG), "the driver does not answer"
        return launch

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(LONG)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer["id"] == 0:
                continue
            launch = self._launches[answer["id"]]
            if "pid" in answer:
                launch.pid = answer["pid"]
                launch.started.set()
            else:
                launch.status = answer["status"]
                launch.seconds = time.monotonic() - launch.began
                launch.ended.set()


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
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (process / "cmdline").read_bytes()
                    if b"spawn_main" in command:
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


class ServerWorld(World):
    """A folder of a user's own, with the trial table on a PostgreSQL server."""

    def __init__(self, driver: Driver, base: Path, server: Postgres, url: str) -> None:
        super().__init__(driver, base)
        self.server = server
        self._url = url
        self.settings["search.table.postgres.LOCKED_SECONDS"] = (
            LONG  # a busy machine restarts it slowly
        )
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


@dataclass(frozen=True)
class TrackedRun:
    """A run in an MLflow database. `metrics`: (name, step) -> [(value, milliseconds)]."""

    status: str
    start: int
    end: int | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[tuple[str, int], list[tuple[float, int]]]


def tracked(database: Path, experiment: str) -> list[TrackedRun]:
    """The active runs of an experiment, read past MLflow's client."""
    with contextlib.closing(sqlite3.connect(database, timeout=LONG)) as connection:
        ask = connection.execute
        runs = ask(
            "SELECT run_uuid, status, start_time, end_time FROM runs JOIN experiments USING "
            "(experiment_id) WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'",
            [experiment],
        ).fetchall()
        found = []
        for run, status, start, end in runs:
            metrics: dict[tuple[str, int], list[tuple[float, int]]] = {}
            rows = ask("SELECT key, step, value, timestamp FROM metrics WHERE run_uuid = ?", [run])
            for key, step, value, at in rows:
                metrics.setdefault((key, step), []).append((value, at))
            tags = dict(ask("SELECT key, value FROM tags WHERE run_uuid = ?", [run]).fetchall())
            params = dict(ask("SELECT key, value FROM params WHERE run_uuid = ?", [run]).fetchall())
            found.append(TrackedRun(status, start, end, tags, params, metrics))
        return found


def assert_tracked(
    database: Path, entries: list[Entry], uid: str, experiment: str, retried: int = 0
) -> None:
    """One run for every trial and one for the study, each ended, with the table's points at its times.

    `retried`: how many trials were tried again after they had failed.
    """
    runs = tracked(database, experiment)
    by_uid = {run.tags.get("uid", "?"): run for run in runs}
    assert sorted(run.tags.get("uid", "?") for run in runs) == sorted(
        [uid, *(entry.uid for entry in entries)]
    )
    assert by_uid[uid].status == "FINISHED"
    statuses = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
    for entry in entries:
        run = by_uid[entry.uid]
        assert run.status == statuses[entry.state]
        assert run.tags["trial.state"] == entry.state
        assert run.params == entry.settings
        assert run.start == round(entry.started_at * 1000)
        assert entry.ended_at is not None
        assert run.end == round(entry.ended_at * 1000)
        expected = {
            (metric, epoch.epoch): [(value, round(epoch.finished_at * 1000))]
            for epoch in entry.history
            for metric, value in {**epoch.metrics, "epoch_seconds": epoch.seconds}.items()
        }
        if entry.result is not None:
            for metric, value in entry.result.final_metrics().items():
                expected[metric, 0] = [(value, round(entry.ended_at * 1000))]
        assert run.metrics == expected
    best = f"best_{'val_accuracy'}"
    steps = {step for metric, step in by_uid[uid].metrics if metric == best}
    complete = [entry for entry in entries if entry.state == "complete"]
    if complete:
        assert max(steps) == len(entries) + retried
    assert all(len(points) == 1 for points in by_uid[uid].metrics.values()), by_uid[uid].metrics


@contextlib.contextmanager
def exclusively(database: Path) -> Iterator[None]:
    """Nobody else can write to `database` within the block."""
    with contextlib.closing(
        sqlite3.connect(database, timeout=LONG, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
