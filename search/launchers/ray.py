"""Workers on a Ray cluster, by way of a driver: the one process of a launch that belongs to the cluster.

Ray ends a process that loses its cluster, and puts signal handlers and output of its own into it. So
the coordinator never imports it. Losing the cluster is for the coordinator the end of a pipe.
"""

import contextlib
import multiprocessing
import socket
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import connection
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.errors import ConfigError, UnavailableError
from search.launchers.base import Event, Failed, Finished, Lost, OutOfMemory, RayConfig, Task
from search.launchers.driver import Gone, cluster_address, drive
from search.stopping import signals_held

_REACH_SECONDS = 10.0  # for a node to answer at all
_CLOSE_SECONDS = 30.0  # for the driver to take its workers and its own cluster down
_LOG_TAIL = 2000  # characters of a dead driver's output that go into the error


def check(config: RayConfig) -> None:
    """Raise ConfigError or UnavailableError where no worker can ever start; nothing is created."""
    if find_spec("ray") is None:
        raise ConfigError("launcher: Ray is not installed (pip install 'plumbline[ray]')")
    address = cluster_address(config)
    if address is None:
        return
    if config.workers is None:
        raise ConfigError(
            f"launcher.workers: is missing: how many workers the cluster {address} is to run"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"RAY_ADDRESS: expected host:port or ray://host:port, got {address}")
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except OSError as error:
        raise UnavailableError(
            f"launcher.address: no Ray cluster answers at {address}: {error} (start it, correct the "
            "address, or go on with launcher=local)"
        ) from None


class RayLauncher:
    """Workers on a cluster, by way of a driver process.

    A task waits in a queue until a worker has room for it: Ray may still be making nodes, or have
    fewer of them than workers were asked for. No trial is given a GPU of its own: Ray has the workers
    share one, or not, as `num_gpus` says.
    """

    def __init__(self, config: RayConfig, data: DataConfig, workers: int) -> None:
        self._config = config
        self._size = workers
        self._tasks: set[int] = set()  # submitted and not ended
        self._heard = False  # anything from the driver: it has its cluster
        self._gone: str | None = None  # why there is no cluster any more
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-")
        self._log = Path(self._folder.name) / "driver.log"
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._driver = context.Process(
            target=drive,
            args=(theirs, config, data, workers, str(self._log)),
            name="plumbline-ray-driver",
            daemon=True,
        )
        with signals_held():
            self._driver.start()
        theirs.close()  # so that the pipe ends when the driver does

    def free(self) -> int:
        return self._size - len(self._tasks)

    def submit(self, task: Task) -> None:
        self._tasks.add(task.number)
        self._say(replace(task, alone=self._config.num_gpus >= 1))

    def poll(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        if self._gone is None:
            connection.wait([self._pipe], timeout)
        try:
            while self._gone is None and self._pipe.poll():
                message = self._pipe.recv()
                self._heard = True
                if isinstance(message, Gone):
                    self._gone = message.reason
                    continue
                if isinstance(message, Finished | Failed | OutOfMemory | Lost):
                    self._tasks.discard(message.number)
                events.append(message)
        except (EOFError, OSError):
            self._gone = self._last_words()
        if self._gone is not None and not events:  # else next time: trials may have finished
            raise self._unavailable(self._gone)
        return events

    def reply(self, number: int, prune: bool) -> None:
        self._say((number, prune))

    def close(self) -> None:
        if self._heard:
            self._say(None)
            self._driver.join(_CLOSE_SECONDS)
        self._driver.kill()  # what it started on this machine ends with it, however it ends
        self._driver.join()
        self._pipe.close()
        self._folder.cleanup()

    def _say(self, message: object) -> None:
        with contextlib.suppress(OSError):  # the driver is gone: poll says so
            self._pipe.send(message)

    def _last_words(self) -> str:
        self._driver.join(5)
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return text[-_LOG_TAIL:].strip() or f"its driver ended with {self._driver.exitcode}"

    def _unavailable(self, reason: str) -> UnavailableError:
        where = cluster_address(self._config) or "of this launch"
        return UnavailableError(
            f"launcher: the Ray cluster {where} is lost; the same command goes on when it is back, or "
            f"at once with launcher=local:\n{reason}"
        )
