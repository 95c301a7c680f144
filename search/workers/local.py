"""Workers on this machine: long-lived spawned processes, replaced when they die, hang or grow old."""

import math
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
    Excused,
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


_ENDS = (Finished, Failed, OutOfMemory, Excused, Lost)


class LocalLauncher:
    """Worker processes for `trials` at a time, as many as `launcher.lanes` of them in each.

    A trial goes to a process that trains others of its shape, if one has room, else to the emptiest.
    """

    def __init__(
        self,
        config: LocalConfig,
        data: DataConfig,
        trials: int,
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
        self._widths = [config.width] * math.ceil(trials / config.width)
        self._workers: list[WorkerProcess] = []
        self._held: dict[int, Task] = {}  # by GPU: the trial that must be alone there
        try:
            for slot in range(len(self._widths)):
                self._spawn(slot)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Of the workers, those that have started."""
        return [each.process.pid for each in self._workers if each.process.pid is not None]

    def free(self) -> int:
        return sum(self._rooms().values())

    def submit(self, task: Task) -> None:
        rooms = self._rooms()
        if task.alone and self._gpus:
            running = [self._gpu(each.slot) for each in self._workers for _ in each.lanes]
            self._held[min(map(self._gpu, rooms), key=running.count)] = task
            self._start_held()
            return
        alive = {each.slot: each for each in self._workers}

        def last(slot: int) -> tuple[bool, int, bool, int]:
            there = alive.get(slot)
            beside = len(there.lanes) if there is not None else 0
            alike = there is not None and there.runs_like(task)
            return not alike, 0 if alike else beside, slot not in alive, slot

        self._start(replace(task, alone=False), min(rooms, key=last))

    def poll(self, timeout: float) -> list[Event]:
        for each in self._workers:
            for number, lane in each.lanes.items():
                if lane.held:
                    lane.held = False
                    each.say((number, True))
        deadline = min((each.deadline for each in self._workers), default=float("inf"))
        wait(
            [each.line for each in self._workers],
            max(0.0, min(timeout, deadline - self._clock())),
        )
        now = self._clock()
        events: list[Event] = []
        for each in list(self._workers):
            events += self._read(each, now)
            if each in self._workers and now > each.deadline:
                events += self._overdue(each, now)
        ended = {e.number for e in events if isinstance(e, _ENDS)}
        self._held = {gpu: task for gpu, task in self._held.items() if task.number not in ended}
        self._start_held()
        return events

    def reply(self, number: int, prune: bool) -> None:
        for each in self._workers:
            if number in each.lanes:
                each.say((number, prune))

    def close(self) -> None:
        if self._meter is not None:
            self._meter.close()
        if not any(each.lanes for each in self._workers):  # else it ends in a hurry
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

    def _rooms(self) -> dict[int, int]:
        """How many trials each slot has room for, of those that have."""
        alive = {each.slot: each for each in self._workers}
        found = {}
        for slot, width in enumerate(self._widths):
            there = alive.get(slot)
            room = width
            if there is not None and there.lanes:  # without any a fresh one can take its place
                room = 0 if self._is_old(there) else there.room
            if room and self._gpu(slot) not in self._held:
                found[slot] = room
        return found

    def _is_old(self, each: WorkerProcess) -> bool:
        return each.begun >= self._config.trials_per_worker * each.width

    def _start(self, task: Task, slot: int) -> None:
        there = next((each for each in self._workers if each.slot == slot), None)
        if there is not None and self._is_old(there):
            self._remove(there)
            there = None
        if there is None:
            there = self._spawn(slot)
        there.give(task, self._clock() + self._config.start_seconds)

    def _start_held(self) -> None:
        """Start what waited for its GPU to be empty. Idle workers there go: they keep its memory."""
        for gpu, task in self._held.items():
            there = [each for each in self._workers if self._gpu(each.slot) == gpu]
            if not any(each.lanes for each in there):
                for each in there:
                    self._remove(each)
                self._start(task, gpu)  # the first slot of a GPU has its number

    def _spawn(self, slot: int) -> WorkerProcess:
        self._spawned += 1
        folder = Path(self._folder.name) / f"worker-{self._spawned}"
        gpu = self._gpus[self._gpu(slot)].index if self._gpus else None
        started = WorkerProcess.start(
            slot, self._widths[slot], self._spawned, folder, self._config, self._data, gpu
        )
        self._workers.append(started)
        return started

    def _read(self, each: WorkerProcess, now: float) -> list[Event]:
        """All that a worker has said; if it is dead or stopped within a word, its end too."""
        events: list[Event] = []
        try:
            while said := each.line.received():
                without = [event for event in said if isinstance(event, OutOfMemory)]
                events += [self._heard(each, event) for event in said if event not in without]
                if without:
                    return events + self._out_of_memory(each, without[0])
        except (EOFError, OSError):
            return events + self._bury(each)
        if each.line.unread != each.unread:
            each.unread, each.since = each.line.unread, now
        elif each.unread and now - each.since > _TORN_SECONDS:
            return events + self._bury(each, "stopped in the middle of a message")
        return events

    def _heard(self, each: WorkerProcess, event: Event) -> Event:
        if isinstance(event, Started):  # a place is on the timeline what a thread is in a trace
            event = replace(event, worker={**event.worker, **self._place(each, event.number)})
        if self._meter is not None:
            event = self._measured(event, each.slot, self._meter)
        self._follow(each, event)
        return event

    def _place(self, each: WorkerProcess, number: int) -> dict[str, str]:
        gpu = {"gpu": self._gpus[self._gpu(each.slot)].index} if self._gpus else {}
        place = str(each.slot)
        if self._config.width > 1:
            place += f".{each.lanes[number].number}"
        return {"worker": place, **gpu}

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
            lane = each.lanes[event.number]
            each.able = lane.taken = lane.held = True
            self._unable = 0
            seconds = self._config.trial_seconds
            lane.deadline = float("inf") if seconds is None else self._clock() + seconds
        elif isinstance(event, Finished | Failed):
            del each.lanes[event.number]

    def _out_of_memory(self, each: WorkerProcess, event: OutOfMemory) -> list[Event]:
        """End a worker: what it still holds, the next one needs. That has half its lanes, down to one."""
        width = self._widths[each.slot]
        if width == 1:
            self._remove(each)
            return [event]
        self._widths[each.slot] = width // 2
        reason = (
            f"launcher.lanes: worker {each.slot} had no memory for {width} lanes and goes on with "
            f"{width // 2}: {event.reason}"
        )
        self._remove(each)
        return [Excused(number, reason) for number in each.lanes]

    def _overdue(self, each: WorkerProcess, now: float) -> list[Event]:
        """End a worker, as a thread can't be: its trials that are late have failed, the others have not."""
        late = [number for number, lane in each.lanes.items() if now > lane.deadline]
        if not all(each.lanes[number].taken for number in late):
            seconds = f"{self._config.start_seconds:g} s (launcher.start_seconds)"
            return self._bury(each, f"was not ready within {seconds}")
        self._remove(each)
        words = f"past its deadline of {self._config.trial_seconds:g} s"
        beside = f"trial {late[0]}, which the same worker trained, was {words}"
        return [
            Failed(number, words) if number in late else Excused(number, beside)
            for number in each.lanes
        ]

    def _bury(self, each: WorkerProcess, cause: str | None = None) -> list[Event]:
        """Remove a worker that is of no use any more, and say what that means for its trials."""
        reason = f"its worker {cause or each.cause()}"
        if tail := each.last_words():
            reason += f"; its last output:\n{tail}"
        self._remove(each)
        self._unable += not each.able
        if self._unable >= self._config.attempts:  # no trial is to blame
            return [Broken(f"{self._unable} workers died while they started: {reason}")]
        for lane in each.lanes.values():
            if not lane.taken:  # it was not there yet
                self._start(lane.task, each.slot)
        taken = [number for number, lane in each.lanes.items() if lane.taken]
        return [Lost(number, reason, shared=len(taken) > 1) for number in taken]

    def _remove(self, each: WorkerProcess) -> None:
        """End a worker; `submit` spawns the next one when there is work for it."""
        each.end()
        self._workers.remove(each)


def default_workers(gpus: Sequence[Gpu], per_gpu: int) -> int:
    """`per_gpu` workers on each GPU; without GPUs, one per CPU that this process may use."""
    return len(gpus) * per_gpu if gpus else usable_cpus()
