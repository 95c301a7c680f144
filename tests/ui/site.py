"""A real study in a folder, shown by the real `mlflow ui` on a free port of this machine."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ui.browser import Browser

ROOT = Path(__file__).parents[2]

_START_SECONDS = 240
_RUNS = """
SELECT run_uuid, name, experiment_id, EXISTS (
    SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = 'mlflow.parentRunId'
) FROM runs WHERE lifecycle_stage = 'active' AND experiment_id IN (
    SELECT experiment_id FROM experiments WHERE name = ?
)
"""


@dataclass(frozen=True)
class Site:
    """Where the pages of a study are. `trials`: the names of its runs, by trial number."""

    address: str
    name: str
    experiment: int
    run: str
    trials: tuple[str, ...]

    def prepare(self, window: Browser) -> None:
        """What a person does once: choose the view of runs, and close the assistant's panel."""
        window.open(f"{self.address}/health")
        window.js("""
            localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
            localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
        """)

    def runs(self, mode: str = "") -> str:
        """The list of runs; `CHART`: with charts that compare them."""
        chosen = f"&compareRunsMode={mode}" if mode else ""
        return self._at(f"experiments/{self.experiment}/runs?workflowType=machine_learning{chosen}")

    def artifact(self, path: str) -> str:
        """An artifact of the study's run."""
        return self._at(f"experiments/{self.experiment}/runs/{self.run}/artifacts/{path}")

    def model(self) -> str:
        """The registered model of the study."""
        return self._at(f"models/{self.name}")

    def _at(self, path: str) -> str:
        return f"{self.address}/#/{path}"


def make_study(folder: Path, *overrides: str) -> None:
    """Run a study in `folder`, and write its report and its export there, as a person would."""
    command(folder, "search.optimize", *overrides)
    command(folder, "search.report")  # again: on a busy machine the study does not wait for it
    command(folder, "search.export", "export.formats=[keras]")


def command(folder: Path, module: str, *overrides: str) -> None:
    """`python -m module overrides` in `folder`; it must succeed."""
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, "-m", module, *overrides],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout


@contextmanager
def site_of(folder: Path, name: str) -> Iterator[Site]:
    """The study `name` in `folder`, in a UI that is stopped at the end."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        rows = database.execute(_RUNS, (name,)).fetchall()
    ((run, experiment),) = [(run, experiment) for run, _, experiment, nested in rows if not nested]
    trials = tuple(sorted(name for _, name, _, nested in rows if nested))
    with _mlflow_ui(folder) as address:
        yield Site(address, name, experiment, run, trials)


@contextmanager
def _mlflow_ui(folder: Path) -> Iterator[str]:
    """`mlflow ui` as it is typed in `folder`; its address. It is stopped with all its workers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = folder / "mlflow-ui.log"
    typed = [sys.executable, "-m", "mlflow", "ui", "--workers", "1", "--port", str(port)]
    env = {name: text for name, text in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with log.open("w") as opened:
        process = subprocess.Popen(
            typed,
            cwd=folder,
            env={**env, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=opened,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with its workers, to be stopped together
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _answers(address):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
