"""Studies, tables and commands for the tests of `search`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.compose import compose
from pipeline.tracking.record import DatasetInfo
from search.setup.read import Setup, read
from search.study.vocabulary import Engine, Entry, Study
from search.trial_table.storage import open_storage

ROOT = Path(__file__).parents[2]

DROPOUT = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}


_compose = cache(compose)  # Hydra takes a tenth of a second each time


def composed(*overrides: str) -> dict[str, Any]:
    """The composed configuration of a study on digits."""
    defaults = ("data=digits", "tracking=none", "train.epochs=4", "study.name=test")
    return deepcopy(_compose((*defaults, *overrides)))


def setup_of(*overrides: str, space: Mapping[str, Any]) -> Setup:
    """The checked configuration of a study of `space` on digits."""
    values = composed(*overrides)
    values["study"]["space"] = space
    setup = read(values, lambda: "the list of studies")
    setup.check_oracle()
    return setup


DATASET = DatasetInfo("digits", "digest of the data", "scikit-learn", (1437, 8, 8), (360, 8, 8))


def study_of(setup: Setup, digest: str = DATASET.digest) -> Study:
    """The study of `setup`."""
    dataset = replace(DATASET, digest=digest)
    return Study(setup.study, setup.run, setup.space, dataset, setup.search)


def study(*overrides: str, space: Mapping[str, Any] = DROPOUT, **identity: str) -> Study:
    """A study of dropout, or of `space`."""
    return study_of(setup_of(*overrides, space=space), **identity)


def engine_of(setup: Setup, entries: Sequence[Entry], workers: int = 1) -> Engine:
    """A new engine, made from what a table remembers, as the command makes it."""
    return setup.make_engine(entries, workers)


@pytest.fixture(scope="session")
def empty_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial table without studies: making one takes a second, copying it does not."""
    file = tmp_path_factory.mktemp("table") / "studies.db"
    storage = open_storage(f"sqlite:///{file}")
    storage.engine.dispose()  # brings all that was written into the file itself
    assert not file.with_suffix(".db-wal").exists()
    return file


@pytest.fixture
def url(empty_table: Path, tmp_path: Path) -> str:
    """A trial table of the test's own."""
    return f"sqlite:///{shutil.copy(empty_table, tmp_path / 'studies.db')}"


class Copies:
    """Fresh trial tables, as many as a test wants."""

    def __init__(self, url: str) -> None:
        self._file = url.removeprefix("sqlite:///")
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"sqlite:///{shutil.copy(self._file, f'{self._file}.{self._count}')}"


@pytest.fixture
def copies(url: str) -> Copies:
    """Fresh trial tables."""
    return Copies(url)


@dataclass
class RecordingWatcher:
    """Keeps what a coordinator tells."""

    entries: list[Entry] = field(default_factory=list)
    running_entries: list[Entry] = field(default_factory=list)

    def running(self, trials: Mapping[int, Entry], last: bool) -> None:
        self.running_entries += trials.values()

    def ended(self, entry: Entry) -> None:
        self.entries.append(entry)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a command that runs this checkout, wherever it is started."""
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1", **variables}


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """Runs `python ARGUMENTS` in the test's own folder and gives back what it printed."""

    def run(*arguments: str, cwd: Path = tmp_path) -> "subprocess.CompletedProcess[str]":
        return run_python(arguments, cwd)

    return run


def run_python(arguments: Sequence[str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """`python ARGUMENTS` in `cwd`."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
