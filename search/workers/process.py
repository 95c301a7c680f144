"""A worker process of this machine, as the launcher that started it sees it."""

import contextlib
import shutil
import signal
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

from pipeline.network.shapes import compiled_with
from pipeline.run.config import DataConfig
from search.machine.template import KERAS, can_fork, starting
from search.workers import worker
from search.workers.channel import Channel
from search.workers.messages import LocalConfig, Task

_LOG_TAIL = 2000  # bytes of a dead worker's output that go into the reason
_END_SECONDS = 5.0  # for a process that closed its line to end by itself, and so have an exit code
_KILL_SECONDS = 10.0  # for a killed process to be gone


@dataclass
class Lane:
    """A trial in a worker process. `number`: the lane's, from 0.

    `taken`: the process has taken it up, and `held`: it waits to be told that this is on record.
    `deadline`: by the launcher's clock.
    """

    task: Task
    number: int
    deadline: float
    taken: bool = False
    held: bool = False


@dataclass
class WorkerProcess:
    """A process in the launcher's place `slot`, which decides its GPU, for so many trials at once: `width`.

    `lanes`: those that run, by the number of the trial. `begun`: how many it was given so far. `able`: it
    has taken a trial up, so it can train. `unread`: bytes of a message that is not whole, and `since`
    when there are no more, by the launcher's clock.
    """

    slot: int
    width: int
    process: BaseProcess
    line: Channel
    folder: Path
    log: IO[bytes]  # held open: a cleaner of temporary files may take its name away
    lanes: dict[int, Lane] = field(default_factory=dict)
    able: bool = False
    begun: int = 0
    unread: int = 0
    since: float = 0.0

    @classmethod
    def start(
        cls,
        slot: int,
        width: int,
        number: int,
        folder: Path,
        config: LocalConfig,
        data: DataConfig,
        gpu: str | None,
    ) -> "WorkerProcess":
        """The `number`th worker of a launch, in a `folder` of its own. `gpu`: the only one it sees."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a cleaner may have been here
        ours, theirs = Channel.pair()
        log = (folder / worker.LOG).open("w+b")
        known = gpu is None and config.trainer == KERAS
        with starting(known and can_fork(config.threads_per_worker)) as context:
            process = context.Process(
                target=worker.main,
                args=(
                    theirs,
                    config.trainer,
                    worker.Data(data),
                    config.threads_per_worker,
                    folder,
                    gpu,
                    config.require_gpu,
                    width,
                ),
                name=f"plumbline-worker-{number}",
                daemon=True,
            )
            process.start()
        theirs.close()  # so that the line ends when the worker does
        return cls(slot, width, process, ours, folder, log)

    @property
    def deadline(self) -> float:
        """The first one of its trials."""
        return min((lane.deadline for lane in self.lanes.values()), default=float("inf"))

    @property
    def room(self) -> int:
        """How many more trials it can train at once."""
        return self.width - len(self.lanes)

    def runs_like(self, task: Task) -> bool:
        """Whether it trains a trial that shares a program with `task`."""
        shape = compiled_with(task.run)
        return any(compiled_with(lane.task.run) == shape for lane in self.lanes.values())

    def give(self, task: Task, deadline: float) -> None:
        """Send it `task`, which takes the first lane that is free, to be taken up until `deadline`."""
        taken = {lane.number for lane in self.lanes.values()}
        number = next(number for number in range(self.width) if number not in taken)
        self.lanes[task.number] = Lane(task, number, deadline)
        self.begun += 1
        self.say(task)  # if it died idle, reading from it shows that

    def cause(self) -> str:
        """Say how the process died, once its line has ended."""
        self.process.join(_END_SECONDS)
        self.process.kill()
        self.process.join(_KILL_SECONDS)
        exitcode = self.process.exitcode
        if exitcode is not None and exitcode < 0:
            name = signal.Signals(-exitcode).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"ended with exit code {exitcode}"

    def say(self, message: object) -> None:
        """Send `message` as soon as there is room; a dead worker is noticed by polling."""
        with contextlib.suppress(OSError):
            self.line.send(message)

    def last_words(self) -> str:
        """The end of what it printed."""
        self.log.seek(max(0, self.log.seek(0, 2) - _LOG_TAIL))
        return self.log.read().decode(errors="replace").strip()

    def end(self) -> None:
        """Kill it, and remove what it made."""
        self.process.kill()
        self.process.join(_KILL_SECONDS)
        self.line.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
