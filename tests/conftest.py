"""Fixtures that the tests of every room share."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pipeline.command.compose import compose
from pipeline.command.signals import SIGNALS
from pipeline.data import Dataset, load
from pipeline.network.backend import limit_threads
from pipeline.run.config import RunConfig
from pipeline.run.config import run_config as read_run_config
from tests.postgres import Postgres, running

limit_threads(1)  # before any test imports Keras: results repeat at one number of threads

MakeRunConfig = Callable[..., RunConfig]
RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


@cache  # a RunConfig is frozen: tests may share it
def _run_config(*overrides: str) -> RunConfig:
    return read_run_config(compose(["data=digits", *overrides]))


@pytest.fixture(scope="session")
def run_config() -> MakeRunConfig:
    """`run_config("model.depth=1", ...)`: a RunConfig on the digits, composed as a command does."""
    return _run_config


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The bundled digits."""
    return load(_run_config().data)


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """The file or folder that MNIST_PATH names."""
    path = os.environ.get("MNIST_PATH")
    if not path:
        pytest.skip("needs the real MNIST: set MNIST_PATH to an .npz in Keras's layout")
    if not Path(path).exists():
        pytest.skip(f"needs the real MNIST: there is nothing at MNIST_PATH={path}")
    return Path(path).absolute()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A command takes signals its own way to the end of its process; this process goes on."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        # Under nohup. What is started inherits that, what is handled it does not.
        signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder of the test's own, with nothing configured from outside."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """`run_python("-m", "pipeline.train", ..., VARIABLE="value")`: this checkout in a process of its own."""

    def run(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        root = str(Path(__file__).parents[1])
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": root, **env},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that runs. A test that stops it starts it again."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def server_template(postgres: Postgres) -> str:
    """A database on the server with empty trial tables, to be copied."""
    from search.trial_table.storage import open_storage

    url = postgres.database()
    open_storage(url).engine.dispose()
    return url.rpartition("/")[2]


@pytest.fixture
def server_url(postgres: Postgres, server_template: str) -> str:
    """A trial table of the test's own on the server."""
    return postgres.database(server_template)


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database to copy: making one takes seconds."""
    from pipeline.tracking.mlflow import MlflowTracker

    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    MlflowTracker(f"sqlite:///{file}")
    return file
