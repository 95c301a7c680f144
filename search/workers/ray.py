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
from pathlib import Path
from typing import Any

from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.command.signals import signals_held
from pipeline.run.config import DataConfig
from search.workers.awake import AwakeClock
from search.workers.channel import Channel, wait
from search.workers.driver import BEAT_SECONDS, Beat, Gone, cluster_address, drive
from search.workers.messages import (
    Event,
    Failed,
    Finished,
    Lost,
    OutOfMemory,
    RayConfig,
    Started,
    Task,
)

_REACH_SECONDS = 10.0  # for a node to answer at all
_CLOSE_SECONDS = 30.0  # for the driver to take its workers and its own cluster down
_KILL_SECONDS = 10.0  # for a killed process to be gone
_SILENT_SECONDS = 30 * BEAT_SECONDS  # a driver that says nothing for so long is lost
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
        self._begun: list[int] = []  # trials whose worker waits until this is on record
        self._clock = AwakeClock()
        self._silent_at = config.start_seconds + _SILENT_SECONDS  # it has a cluster to start first
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-")
        log = Path(self._folder.name) / "driver.log"
        self._log = log.open("w+b")  # a cleaner of temporary files may take its name away
        context = multiprocessing.get_context("spawn")
        self._line, theirs = Channel.pair()
        self._driver = context.Process(
            target=drive,
            args=(theirs, config, data, workers, log),
            name="plumbline-ray-driver",
            daemon=True,
        )
        with signals_held():
            self._driver.start()
        theirs.close()  # so that the line ends when the driver does

    def free(self) -> int:
        return self._size - len(self._tasks)

    def submit(self, task: Task) -> None:
        self._tasks.add(task.number)
        self._say(replace(task, alone=self._config.num_gpus >= 1))

    def poll(self, timeout: float) -> list[Event]:
        for number in self._begun:
            self._say((number, False))
        self._begun.clear()
        events: list[Event] = []
        if self._gone is None:
            wait([self._line], timeout)
            for message in self._received():
                if isinstance(message, Gone):
                    self._gone = message.reason
                elif not isinstance(message, Beat):
                    self._follow(message)
                    events.append(message)
        if self._gone is not None and not events:  # else next time: trials may have finished
            raise self._unavailable(self._gone)
        return events

    def _received(self) -> list[Any]:
        now = self._clock()
        try:
            messages = self._line.received()
        except (EOFError, OSError):
            self._driver.join(5)
            self._gone = self._last_words() or f"its driver ended with {self._driver.exitcode}"
            return []
        if messages:
            self._heard = True
            self._silent_at = now + _SILENT_SECONDS
        elif now > self._silent_at:
            self._gone = f"its driver has said nothing for a long time; {self._last_words()}"
        return messages

    def _follow(self, event: Event) -> None:
        if isinstance(event, Started):
            self._begun.append(event.number)
        elif isinstance(event, Finished | Failed | OutOfMemory | Lost):
            self._tasks.discard(event.number)

    def reply(self, number: int, prune: bool) -> None:
        self._say((number, prune))

    def close(self) -> None:
        if self._heard:
            self._say(None)
            self._driver.join(_CLOSE_SECONDS)
        self._driver.kill()  # what it started on this machine ends with it, however it ends
        self._driver.join(_KILL_SECONDS)
        self._line.close()
        self._log.close()
        self._folder.cleanup()

    def _say(self, message: object) -> None:
        with contextlib.suppress(OSError):  # the driver is gone: poll says so
            self._line.send(message)

    def _last_words(self) -> str:
        self._log.seek(max(0, self._log.seek(0, 2) - _LOG_TAIL))
        return self._log.read().decode(errors="replace").strip()

    def _unavailable(self, reason: str) -> UnavailableError:
        where = cluster_address(self._config) or "of this launch"
        return UnavailableError(
            f"launcher: the Ray cluster {where} is lost; the same command goes on when it is back, or "
            f"at once with launcher=local:\n{reason}"
        )
