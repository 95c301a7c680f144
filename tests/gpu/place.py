"""A folder in which the commands of docs/gpu.md run, and what they leave there."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from search.machine.gpus import Gpu
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable

ROOT = Path(__file__).parents[2]
_AT_MOST = 150.0  # seconds of a command, so that one that hangs leaves time for the others
_LEAVE = 15.0  # seconds to end in, for one that took longer


class Skipped(Exception):
    """Says why something can't be tried on this machine."""


class Broken(Exception):
    """Says what is not as the page says."""


def hold(true: object, otherwise: str) -> None:
    """Raise Broken with `otherwise` unless it is `true`."""
    if not true:
        raise Broken(otherwise)


@dataclass(frozen=True)
class Ran:
    """A command that has ended: its exit code, and all that it printed."""

    command: str
    code: int
    said: str

    def well(self) -> None:
        """Raise Broken unless it ended well."""
        lines = self.said.strip().splitlines() or ["nothing"]
        hold(self.code == 0, f"exit code {self.code}: {lines[-1]} ({self.command})")


class Place:
    """`folder`: where commands run. `gpus`: those of the machine. `until`: on the monotonic clock.

    `overrides`: go with each command of a study.
    """

    def __init__(
        self, folder: Path, gpus: list[Gpu], backend: str, overrides: list[str], until: float
    ) -> None:
        self.gpus = gpus
        self.backend = backend
        self._folder = folder
        self._overrides = overrides
        self._until = until
        # No link: a virtual environment is found by the name that its Python is called by.
        python = folder / "bin" / "python"
        python.parent.mkdir()
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)

    def left(self) -> float:
        """Seconds until the script has to be over."""
        return self._until - time.monotonic()

    def run(self, command: str) -> Ran:
        """Run a line of a shell; `python` is the one of this process."""
        paths = {"PATH": self._folder / "bin", "PYTHONPATH": ROOT}
        environment = {**os.environ, "KERAS_BACKEND": self.backend}
        environment.pop("MLFLOW_TRACKING_URI", None)
        for name, first in paths.items():
            environment[name] = os.pathsep.join(filter(None, [str(first), os.environ.get(name)]))
        seconds = max(1.0, min(_AT_MOST, self.left()))
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"not over after {seconds:.0f} s: {command}") from None
        finally:
            if process.poll() is None:  # Ctrl-C, too: a group of its own hears none
                _end(process)
        return Ran(command, process.returncode, said)

    def study(self, command: str) -> Ran:
        """Run a command of a study, with the overrides; lanes are those of the usual trainer alone."""
        own = "launcher.trainer=" if "launcher.lanes=" in command else None
        words = [word for word in self._overrides if own is None or not word.startswith(own)]
        return self.run(" ".join([command, *map(shlex.quote, words)]))

    def trials(self, name: str) -> list[Entry]:
        """What the trial table has of a study; empty where it is not there."""
        table = TrialTable.find(f"sqlite:///{self._folder}/mlruns/studies.db", name)
        return [] if table is None else table.entries()

    @property
    def mlflow(self) -> str:
        """The URI of the tracking database."""
        return f"sqlite:///{self._folder}/mlflow.db"

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _end(process: "subprocess.Popen[str]") -> None:
    """End a command with all that it has started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=_LEAVE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def sections(page: str) -> dict[str, list[str]]:
    """The commands of a page for `python`, by heading; one over several lines is one."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        found[heading] = [re.sub(" +", " ", line) for line in lines if "python -m search" in line]
    return found
