"""How busy workers are, and what coordinating them costs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Usage:
    """How much of the time workers trained, and how much of a core the coordinator took.

    `tracking` is what the other threads of its process took: they publish. `clock`: seconds, by which
    workers train.
    """

    clock: Callable[[], float] = time.monotonic
    workers: int = 0
    _began: float = 0.0
    _own_cpu: float = 0.0
    _cpu: float = 0.0
    _busy: float = 0.0
    _last: float = 0.0
    _since: dict[int, float] = field(default_factory=dict)

    def started(self, number: int) -> None:
        """A worker took a trial up. The clock runs from the first one: before, workers start."""
        now = self.clock()
        if not self._began:
            self._began = now
            self._own_cpu, self._cpu = time.thread_time(), time.process_time()
        self._since[number] = now
        self.workers = max(self.workers, len(self._since))

    def ended(self, number: int) -> None:
        """A worker is done with a trial."""
        self._last = self.clock()
        self._busy += self._last - self._since.pop(number, self._last)

    def __str__(self) -> str:
        wall = self._last - self._began
        if wall <= 0 or not self.workers:
            return "No trial was trained."
        busy = self._busy / (wall * self.workers)
        own = time.thread_time() - self._own_cpu
        others = max(0.0, time.process_time() - self._cpu - own)  # two clocks: not to the tick
        return (
            f"{wall:.1f} s: workers busy {busy:.1%} of it, "
            f"coordinator {own / wall:.1%} of a core, tracking {others / wall:.1%}."
        )
