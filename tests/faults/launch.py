"""Commands that were started: as a user does, each in a process group of its own."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONG = 240.0  # seconds: a bound, never a pace


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
