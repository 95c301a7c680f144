"""Workers on this machine: long-lived spawned processes, replaced when they die, hang or grow old."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.run.config import DataConfig
from search.machine.cpus import usable_cpus
from search.machine.gpu_meter import GpuMeter
from search.machine.gpus import Gpu
from search.workers.awake import AwakeClock
from search.workers.channel import wait
from search.workers.messages import (
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
from search.workers.process import WorkerProcess

_LEAVE_SECONDS = 3.0  # for idle workers to tidy up after themselves at the end
_TORN_SECONDS = 60.0  # a worker that says no more in the middle of a message is lost


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
        self._clock = AwakeClock()
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-")
        self._spawned = 0
        self._unable = 0  # workers in a row that died before they took a trial up
        self._size = workers
        self._workers: list[WorkerProcess] = []
        self._held: dict[int, Task] = {}  # by GPU: the trial that must be alone there
        try:
            for slot in range(workers):
                self._spawn(slot)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Of the workers, those that have started."""
        return [each.process.pid for each in self._workers if each.process.pid is not None]

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
        for each in self._workers:
            if each.held:
                each.held = False
                each.say(True)
        deadline = min((each.deadline for each in self._workers), default=float("inf"))
        wait(
            [each.line for each in self._workers],
            max(0.0, min(timeout, deadline - self._clock())),
        )
        now = self._clock()
        events: list[Event] = []
        for each in list(self._workers):
            events += self._read(each, now)
            if now > each.deadline:
                events += self._overdue(each)
        ended = {e.number for e in events if isinstance(e, Finished | Failed | OutOfMemory | Lost)}
        self._held = {gpu: task for gpu, task in self._held.items() if task.number not in ended}
        self._start_held()
        return events

    def reply(self, number: int, prune: bool) -> None:
        for each in self._workers:
            if each.task is not None and each.task.number == number:
                each.say(prune)

    def close(self) -> None:
        if self._meter is not None:
            self._meter.close()
        if all(each.task is None for each in self._workers):  # else it ends in a hurry
            leaving = [each for each in self._workers if each.able]
            for each in leaving:
                each.say(None)
            give_up = time.monotonic() + _LEAVE_SECONDS
            for each in leaving:
                each.process.join(max(0.0, give_up - time.monotonic()))
        for each in self._workers:
            each.process.kill()  # all at once, before the first is waited for
        for each in self._workers:
            each.end()
        self._workers.clear()
        self._folder.cleanup()

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
        free.deadline = self._clock() + self._config.start_seconds
        free.say(task)  # if it died idle, poll finds the task in it

    def _start_held(self) -> None:
        """Start what waited for its GPU to be empty. Idle workers there go: they keep its memory."""
        for gpu, task in self._held.items():
            there = [each for each in self._workers if self._gpu(each.slot) == gpu]
            if all(each.task is None for each in there):
                for each in there:
                    self._remove(each)
                self._start(task, gpu)  # the first slot of a GPU has its number

    def _spawn(self, slot: int) -> WorkerProcess:
        self._spawned += 1
        folder = Path(self._folder.name) / f"worker-{self._spawned}"
        gpu = self._gpus[self._gpu(slot)].index if self._gpus else None
        started = WorkerProcess.start(slot, self._spawned, folder, self._config, self._data, gpu)
        self._workers.append(started)
        return started

    def _read(self, each: WorkerProcess, now: float) -> list[Event]:
        """All that a worker has said; if it is dead or stopped within a word, its end too."""
        events: list[Event] = []
        try:
            while said := each.line.received():
                for event in said:
                    events.append(self._heard(each, event))
                    if isinstance(event, OutOfMemory):  # what it still holds, the next one needs
                        self._remove(each)
                        return events
        except (EOFError, OSError):
            return events + self._bury(each)
        if each.line.unread != each.unread:
            each.unread, each.since = each.line.unread, now
        elif each.unread and now - each.since > _TORN_SECONDS:
            return events + self._bury(each, "stopped in the middle of a message")
        return events

    def _heard(self, each: WorkerProcess, event: Event) -> Event:
        if isinstance(event, Started):  # a place is on the timeline what a thread is in a trace
            event = replace(event, worker={**event.worker, **self._place(each.slot)})
        if self._meter is not None:
            event = self._measured(event, each.slot, self._meter)
        self._follow(each, event)
        return event

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

    def _follow(self, each: WorkerProcess, event: Event) -> None:
        if isinstance(event, Started):
            each.able = each.taken = each.held = True
            self._unable = 0
            seconds = self._config.trial_seconds
            each.deadline = float("inf") if seconds is None else self._clock() + seconds
        elif isinstance(event, Finished | Failed):
            each.task = None
            each.trials += 1
            each.deadline = float("inf")

    def _overdue(self, each: WorkerProcess) -> list[Event]:
        if each.task is not None and each.taken:
            self._remove(each)
            late = f"past its deadline of {self._config.trial_seconds:g} s"
            return [Failed(each.task.number, late)]
        seconds = f"{self._config.start_seconds:g} s (launcher.start_seconds)"
        return self._bury(each, f"was not ready within {seconds}")

    def _bury(self, each: WorkerProcess, cause: str | None = None) -> list[Event]:
        """Remove a worker that is of no use any more, and say what that means for its trial."""
        reason = f"its worker {cause or each.cause()}"
        if tail := each.last_words():
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

    def _remove(self, each: WorkerProcess) -> None:
        """End a worker; `submit` spawns the next one when there is work for it."""
        each.end()
        self._workers.remove(each)
        each.deadline = float("inf")  # its trial is told of once, dead and late as it may be


def default_workers(gpus: Sequence[Gpu], per_gpu: int) -> int:
    """`per_gpu` workers on each GPU; without GPUs, one per CPU that this process may use."""
    return len(gpus) * per_gpu if gpus else usable_cpus()
