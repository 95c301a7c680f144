"""Workers on this machine: long-lived spawned processes, replaced when they die, hang or grow old."""

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.config import DataConfig
from search import worker
from search.devices import Gpu
from search.launchers.base import (
    Broken,
    Event,
    Failed,
    Finished,
    LocalConfig,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from search.stopping import signals_held
from search.system import GpuMeter

_LOG_TAIL = 2000  # characters of a dead worker's output that go into the reason


@dataclass
class _Worker:
    slot: int  # which of the launcher's places it takes, and so which GPU
    process: BaseProcess
    pipe: "connection.Connection[Any, Any]"
    log: Path
    task: Task | None = None
    taken: bool = False  # it has taken `task` up
    able: bool = False  # it has taken a trial up, so it can train
    trials: int = 0
    deadline: float = field(default=float("inf"))


class LocalLauncher:
    """A fixed number of worker processes, each with one trial at a time."""

    def __init__(
        self,
        config: LocalConfig,
        data: DataConfig,
        workers: int,
        gpus: Sequence[Gpu] = (),
        meter: GpuMeter | None = None,
    ) -> None:
        self._config = config
        self._data = data
        self._gpus = gpus
        self._meter = meter
        self._context = multiprocessing.get_context("spawn")
        self._logs = tempfile.TemporaryDirectory(prefix="plumbline-")
        self._spawned = 0
        self._unable = 0  # workers in a row that died before they took a trial up
        self._size = workers
        self._workers: list[_Worker] = []
        self._held: dict[int, Task] = {}  # by GPU: the trial that must be alone there
        try:
            for slot in range(workers):
                self._spawn(slot)
        except BaseException:
            self.close()
            raise

    def free(self) -> int:
        return len(self._free_slots())

    def submit(self, task: Task) -> None:
        slots = self._free_slots()
        if task.alone and self._gpus:
            running = [self._gpu(each.slot) for each in self._workers if each.task is not None]
            self._held[min(map(self._gpu, slots), key=running.count)] = task
            self._start_held()
        else:
            alive = {each.slot for each in self._workers}
            slot = min(slots, key=lambda slot: (slot not in alive, slot))
            self._start(replace(task, alone=False), slot)

    def poll(self, timeout: float) -> list[Event]:
        deadline = min((worker.deadline for worker in self._workers), default=float("inf"))
        timeout = max(0.0, min(timeout, deadline - time.monotonic()))
        ready = connection.wait([worker.pipe for worker in self._workers], timeout)
        events: list[Event] = []
        for each in list(self._workers):
            if each.pipe in ready:
                events += self._read(each)
            if time.monotonic() > each.deadline:
                events += self._overdue(each)
        ended = {e.number for e in events if isinstance(e, Finished | Failed | OutOfMemory | Lost)}
        self._held = {gpu: task for gpu, task in self._held.items() if task.number not in ended}
        self._start_held()
        return events

    def reply(self, number: int, prune: bool) -> None:
        for each in self._workers:
            if each.task is not None and each.task.number == number:
                with contextlib.suppress(ConnectionError):  # it died meanwhile: poll says so
                    each.pipe.send(prune)

    def close(self) -> None:
        if self._meter is not None:
            self._meter.close()
        for each in self._workers:
            each.process.kill()
        for each in self._workers:
            each.process.join()
            each.pipe.close()
        self._logs.cleanup()

    def _gpu(self, slot: int) -> int:
        """Which of the GPUs a slot is on; without any it is 0, and never held."""
        return slot % len(self._gpus) if self._gpus else 0

    def _free_slots(self) -> list[int]:
        busy = {each.slot for each in self._workers if each.task is not None}
        slots = (slot for slot in range(self._size) if slot not in busy)
        return [slot for slot in slots if self._gpu(slot) not in self._held]

    def _start(self, task: Task, slot: int) -> None:
        free = next((each for each in self._workers if each.slot == slot), None)
        if free is not None and free.trials >= self._config.trials_per_worker:
            self._remove(free)
            free = None
        if free is None:
            free = self._spawn(slot)
        free.task, free.taken = task, False
        with contextlib.suppress(
            ConnectionError
        ):  # it died idle: poll finds it, and the task in it
            free.pipe.send(task)

    def _start_held(self) -> None:
        """Start what waited for its GPU to be empty. Idle workers there go: they keep its memory."""
        for gpu, task in self._held.items():
            there = [each for each in self._workers if self._gpu(each.slot) == gpu]
            if all(each.task is None for each in there):
                for each in there:
                    self._remove(each)
                self._start(task, gpu)  # the first slot of a GPU has its number

    def _spawn(self, slot: int) -> _Worker:
        self._spawned += 1
        log = Path(self._logs.name) / f"worker-{self._spawned}.log"
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=worker.main,
            args=(
                theirs,
                self._config.trainer,
                worker.Data(self._data),
                self._config.threads_per_worker,
                str(log),
                self._gpus[self._gpu(slot)].index if self._gpus else None,
                self._config.require_gpu,
            ),
            name=f"plumbline-worker-{self._spawned}",
            daemon=True,
        )
        with signals_held():
            process.start()
        theirs.close()  # so that the pipe ends when the worker does
        started = _Worker(slot, process, ours, log)
        self._workers.append(started)
        return started

    def _read(self, each: _Worker) -> list[Event]:
        """All messages that wait in a worker's pipe; if it is dead, its end too."""
        events: list[Event] = []
        try:
            while each.pipe.poll():
                event = each.pipe.recv()
                if isinstance(
                    event, Started
                ):  # a place is on the timeline what a thread is in a trace
                    event = replace(event, worker={**event.worker, **self._place(each.slot)})
                if self._meter is not None:
                    event = self._measured(event, each.slot, self._meter)
                events.append(event)
                self._follow(each, event)
                if isinstance(event, OutOfMemory):  # what it still holds, the next one needs
                    self._remove(each)
                    break
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            events += self._bury(each)
        return events

    def _place(self, slot: int) -> dict[str, str]:
        gpu = {"gpu": self._gpus[self._gpu(slot)].index} if self._gpus else {}
        return {"worker": str(slot), **gpu}

    def _measured(self, event: Event, slot: int, meter: GpuMeter) -> Event:
        """`event` with what the GPU did, if it ends a trial."""
        number = self._gpus[self._gpu(slot)].number if self._gpus else None
        if isinstance(event, Started):
            if number is not None and event.worker["device"] != "cpu":
                meter.begin(event.number, number)
        elif isinstance(event, Finished):
            system = {**event.result.system, **meter.end(event.number)}
            return replace(event, result=replace(event.result, system=system))
        return event

    def _follow(self, each: _Worker, event: Event) -> None:
        if isinstance(event, Started):
            each.able = each.taken = True
            self._unable = 0
            if self._config.trial_seconds is not None:
                each.deadline = time.monotonic() + self._config.trial_seconds
        elif isinstance(event, Finished | Failed):
            each.task = None
            each.trials += 1
            each.deadline = float("inf")

    def _bury(self, each: _Worker) -> list[Event]:
        each.process.join(5)
        each.process.kill()  # its pipe has ended, so it is of no use any more
        each.process.join()
        reason = f"its worker {_cause(each.process.exitcode)}"
        tail = (
            each.log.read_text(errors="replace")[-_LOG_TAIL:].strip() if each.log.exists() else ""
        )
        if tail:
            reason += f"; its last output:\n{tail}"
        self._remove(each)
        self._unable += not each.able
        if self._unable >= self._config.attempts:  # no trial is to blame
            return [Broken(f"{self._unable} workers died while they started: {reason}")]
        if each.task is not None and each.taken:
            return [Lost(each.task.number, reason)]
        if each.task is not None:  # it was not there yet
            self._start(each.task, each.slot)
        return []

    def _overdue(self, each: _Worker) -> list[Event]:
        self._remove(each)
        if each.task is None:
            return []
        return [Failed(each.task.number, f"past its deadline of {self._config.trial_seconds:g} s")]

    def _remove(self, each: _Worker) -> None:
        """End a worker; `submit` spawns the next one when there is work for it."""
        each.process.kill()
        each.process.join()
        each.pipe.close()
        each.log.unlink(missing_ok=True)
        self._workers.remove(each)
        each.deadline = float("inf")  # its trial is told of once, dead and late as it may be


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with exit code {exitcode}"


def default_workers(gpus: Sequence[Gpu], per_gpu: int) -> int:
    """`per_gpu` workers on each GPU; without GPUs, one per CPU core that this process may use."""
    if gpus:
        return len(gpus) * per_gpu
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
