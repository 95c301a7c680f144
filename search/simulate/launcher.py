"""Workers that train nothing: each follows a script, and time goes by as fast as the clock says."""

import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Protocol

from search.workers.messages import Epoch, Event, Started, Task

Script = Generator[tuple[float, Event], bool | None, None]
"""What a worker sends, each with the seconds that it takes until then; it is sent whether it is pruned."""


class Clock(Protocol):
    """What time it is, in seconds, and a way to wait."""

    def __call__(self) -> float:
        """The time now."""

    def wait(self, until: float) -> None:
        """Have it be that time."""


class SimulatedClock:
    """A clock that is there at once where one waits for it. It starts at 0."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def wait(self, until: float) -> None:
        self._now = max(self._now, until)


class SimulatedLauncher:
    """`workers` workers that do as `script` says, by `clock`."""

    def __init__(self, workers: int, script: Callable[[Task], Script], clock: Clock) -> None:
        self._workers = workers
        self._script = script
        self._clock = clock
        self._scripts: dict[int, Script] = {}
        self._due: list[tuple[float, int, int, Event]] = []
        self._order = itertools.count()

    def free(self) -> int:
        return self._workers - len(self._scripts)

    def submit(self, task: Task) -> None:
        self._scripts[task.number] = self._script(task)
        self._next(task.number, None)

    def poll(self, timeout: float) -> list[Event]:
        now = self._clock()
        first = self._due[0][0] if self._due else now + timeout
        self._clock.wait(min(first, now + timeout))
        events: list[Event] = []
        while self._due and self._due[0][0] <= self._clock():
            _, _, number, event = heapq.heappop(self._due)
            events.append(event)
            if isinstance(event, Started):
                self._next(number, None)
            elif not isinstance(event, Epoch):
                del self._scripts[number]
        return events

    def reply(self, number: int, prune: bool) -> None:
        self._next(number, prune)

    def close(self) -> None:
        self._scripts.clear()

    def _next(self, number: int, prune: bool | None) -> None:
        after, event = self._scripts[number].send(prune)
        heapq.heappush(self._due, (self._clock() + after, next(self._order), number, event))
