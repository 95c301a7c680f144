"""The driver of a Ray cluster: gives trials to workers, which are actors, and passes on what they say."""

import asyncio
import contextlib
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.data import load
from pipeline.run.config import DataConfig
from search.machine.cpus import usable_cpus
from search.workers.actor import Worker
from search.workers.awake import within
from search.workers.channel import Channel
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Failed,
    Lost,
    OutOfMemory,
    RayConfig,
    Started,
    Task,
)
from search.workers.worker import leave_with_the_coordinator

BEAT_SECONDS = 2.0
"""How often the driver says that it is there."""

_LEAVE_SECONDS = 2.0  # for a worker to tidy up after itself
_ENVIRONMENT = ("KERAS_BACKEND",)  # what of a launch's environment goes with its workers


@dataclass(frozen=True)
class Gone:
    """The driver can do nothing with the cluster."""

    reason: str


@dataclass(frozen=True)
class Beat:
    """The driver is there."""


def cluster_address(config: RayConfig) -> str | None:
    """The cluster that is meant; None: one of the launch's own."""
    return config.address or os.environ.get("RAY_ADDRESS") or None


def drive(line: Channel, config: RayConfig, data: DataConfig, workers: int, log: Path) -> None:
    """Carry tasks and answers from `line` to workers, and events back, until a None.

    `log`: file that takes all that Ray prints; its end explains the end of the cluster.
    """
    leave_with_the_coordinator()
    os.setsid()  # a signal to the launch's process group is the coordinator's, not the cluster's
    _ignore_signals()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        with _connected(config, workers):
            asyncio.run(_Driver(line, config, data, workers).run())
    except Exception as error:  # noqa: BLE001  # Ray raises plain ones too; the coordinator tells
        traceback.print_exc()
        line.send(Gone(f"{type(error).__name__}: {error}"))


def _ignore_signals() -> None:
    """Ctrl-C and SIGTERM are the coordinator's to handle. What is started here ignores them alike."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # held back while this process was started
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


@contextlib.contextmanager
def _connected(config: RayConfig, workers: int) -> Iterator[None]:
    """In the block this process belongs to the cluster; one of the launch's own ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = cluster_address(config)
    own: dict[str, Any] = {}
    if address is None:  # as many workers as were asked for, however many cores there are
        cores = max(usable_cpus(), math.ceil(workers * config.num_cpus))
        own = {"num_cpus": cores, "include_dashboard": False}
    give_up = time.monotonic() + config.start_seconds
    while not ray.is_initialized():
        try:
            ray.init(
                address=address or "local", log_to_driver=False, configure_logging=False, **own
            )
        except Exception as error:
            ray.shutdown()
            # A busy machine may take longer to start a node than the 30 s that Ray waits.
            if "timed out during startup" not in str(error) or time.monotonic() > give_up:
                raise
    _ignore_signals()  # Ray has set handlers of its own
    try:
        yield
    finally:
        ray.shutdown()


class _Driver:
    """A coroutine for each worker. They share a queue of tasks: one that has no node yet takes none."""

    def __init__(self, line: Channel, config: RayConfig, data: DataConfig, workers: int) -> None:
        self._line = line
        self._config = config
        self._data = data
        self._size = workers
        self._tasks: asyncio.Queue[Task] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[bool]] = {}
        self._up = 0  # workers that can train

    async def run(self) -> None:
        """Serve until the coordinator has enough."""
        import ray

        self._loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        self._dataset = ray.put(load(self._data))  # from here it travels once to each node
        ends = [asyncio.create_task(self._enough.wait()), asyncio.create_task(self._watch())]
        ends.append(asyncio.create_task(self._beat()))
        ends += [asyncio.create_task(self._serve(slot)) for slot in range(self._size)]
        ended, going = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in going:
            each.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        for each in ended:
            each.result()  # or its exception
        await self._enough.wait()  # something is broken: the coordinator knows

    def _listen(self) -> None:
        """In a thread, so that the coordinator can always say something and then listen."""
        while True:
            message = self._line.recv()
            self._loop.call_soon_threadsafe(self._hear, message)

    def _hear(self, message: Task | tuple[int, bool] | None) -> None:
        if message is None:
            self._enough.set()
        elif isinstance(message, Task):
            self._tasks.put_nowait(message)
        else:
            number, prune = message
            answer = self._answers.pop(number)
            if not answer.done():  # else its trial was late meanwhile
                answer.set_result(prune)

    async def _beat(self) -> None:
        while True:
            self._line.send(Beat())
            await asyncio.sleep(BEAT_SECONDS)

    async def _watch(self) -> None:
        """Returns when the cluster has not had a worker for too long."""
        import ray

        resources: Callable[[], dict[str, float]] = ray.cluster_resources
        waited = 0.0  # in steps, so that the time in which this process was stopped does not count
        while waited < self._config.start_seconds:
            await asyncio.sleep(1)
            waited = 0.0 if self._up else waited + 1
        self._line.send(
            Broken(
                f"no node has started a worker with launcher.num_cpus={self._config.num_cpus:g} "
                f"launcher.num_gpus={self._config.num_gpus:g} for {self._config.start_seconds:g} s "
                f"(launcher.start_seconds); the cluster has {resources()}",
                unavailable=True,
            )
        )

    async def _serve(self, slot: int) -> None:
        """Keep a worker up, and give it trials. Returns when no worker can train."""
        import ray

        make: Any = ray.remote(Worker).options(
            num_cpus=self._config.num_cpus, num_gpus=self._config.num_gpus
        )
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        if self._config.num_gpus == 0:
            environment["CUDA_VISIBLE_DEVICES"] = "-1"
        unable = 0  # in a row, died before they could train
        while True:
            worker: Any = make.remote(self._config, self._data, self._dataset, environment)
            try:
                await worker.ping.remote()  # there may be no node for it yet
                about = await within(self._config.start_seconds, worker.prepare.remote())
                if isinstance(about, Broken):
                    self._line.send(about)
                    return
                unable = 0
                self._up += 1
                try:
                    await self._trials(worker, {**about, "worker": str(slot)})
                finally:
                    self._up -= 1
            except (ray.exceptions.RayError, TimeoutError) as error:
                unable += 1
                if unable >= self._config.attempts:  # no trial is to blame
                    reason = f"{unable} workers died while they started: {self._cause(error)}"
                    self._line.send(Broken(reason))
                    return
            finally:
                ray.kill(worker)

    def _cause(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            seconds = f"{self._config.start_seconds:g} s (launcher.start_seconds)"
            return f"its worker was not ready within {seconds}"
        return _cause(error)

    async def _trials(self, worker: Any, about: dict[str, str]) -> None:
        """Give a worker trials until it is old, dead or late."""
        import ray

        for _ in range(self._config.trials_per_worker):
            task = await self._tasks.get()
            try:
                told = await within(self._config.start_seconds, worker.describe.remote(task.run))
            except (ray.exceptions.RayError, TimeoutError):
                self._tasks.put_nowait(task)  # it died or stopped idle, which is no trial's fault
                return
            if isinstance(told, Broken):
                self._line.send(told)
                return
            self._line.send(Started(task.number, {**about, **told}))
            await self._answer(task)  # it is on record
            try:
                event = await within(self._config.trial_seconds, self._trial(worker, task))
                self._line.send(event)
                if isinstance(event, OutOfMemory):  # what it still holds, the next one needs
                    return
            except TimeoutError:
                late = f"past its deadline of {self._config.trial_seconds:g} s"
                self._line.send(Failed(task.number, late))
                return
            except ray.exceptions.RayError as error:
                self._line.send(Lost(task.number, _cause(error)))
                return
        with contextlib.suppress(ray.exceptions.RayError, TimeoutError):  # it is killed anyway
            await within(_LEAVE_SECONDS, worker.leave.remote())

    async def _answer(self, task: Task) -> bool:
        answer = self._answers[task.number] = self._loop.create_future()
        prune: bool = await answer
        return prune

    async def _trial(self, worker: Any, task: Task) -> Event:
        """The event that ends the trial."""
        event: Event = await worker.advance.remote(task)
        while isinstance(event, Epoch):
            self._line.send(event)
            event = await worker.advance.remote(await self._answer(task))
        return event


def _cause(error: Exception) -> str:
    """Why a worker died, without Ray's advice."""
    lines = [line.strip() for line in str(error).splitlines()]
    why = next((line for line in lines if line.startswith("The actor is dead")), " ".join(lines))
    return f"its worker died: {why.partition(' Some common causes')[0]}"
