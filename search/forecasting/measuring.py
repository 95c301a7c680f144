"""Runs trained for as long as it takes to see what they cost, by all workers of a pool at once."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.network.shapes import KEPT
from pipeline.run.config import RunConfig
from search.forecasting.cost import Size, Work
from search.forecasting.samples import Sample, process_of, sample_of, seconds_of
from search.workers.messages import Epoch, Failed, Finished, Task
from search.workers.pool import Began, Happened, Pool

_EACH_SECONDS = (0.5, 4.0)
"""What the epochs of a run are given, those after its first one; by the time that there is."""


@dataclass
class Measuring:
    """Trains `runs`, the first ones first, until `until` by `time.monotonic`. Nothing is recorded.

    Each is trained once, and where time is left some again, so that none has the machine to itself.
    `samples`: what they took. `worker`: what trained them. `start_seconds`: until workers could train.
    """

    runs: Sequence[RunConfig]
    size: Size
    workers: int
    until: float
    samples: list[Sample] = field(default_factory=list)
    worker: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0
    failed: str | None = None
    _begun: dict[int, tuple[float, bool, bool]] = field(default_factory=dict)
    _epochs: dict[int, list[float]] = field(default_factory=dict)
    _shapes: dict[str, "OrderedDict[str, None]"] = field(default_factory=dict)
    _ended: int = 0

    def train(self, pool: Pool) -> None:
        """Measure. Raises PlumblineError where no worker can train."""
        launched = time.monotonic()
        asked = 0

        def next_task() -> Task | None:
            nonlocal asked
            if self._is_over():
                return None
            asked += 1
            return Task(asked - 1, self._run(asked - 1))

        for happened in pool.run(next_task):
            for event in happened:
                if isinstance(event, Began) and not self._begun:
                    self.start_seconds = time.monotonic() - launched
                self._handle(event, pool)

    @property
    def _wanted(self) -> int:
        return max(len(self.runs), 2 * self.workers)

    def _run(self, number: int) -> RunConfig:
        return self.runs[number % len(self.runs)]

    def _is_over(self) -> bool:
        return self._ended >= self._wanted or time.monotonic() >= self.until

    def _handle(self, event: Happened, pool: Pool) -> None:
        if isinstance(event, Began):
            self._began(event)
        elif isinstance(event, Epoch):
            epochs = self._epochs[event.number]
            epochs.append(event.metrics.seconds)
            pool.reply(event.number, self._is_enough(epochs))
        elif isinstance(event, Finished):
            began, first, new = self._begun[event.number]
            run, took = self._run(event.number), time.monotonic() - began
            all_epochs = seconds_of(event.result.history)
            self.samples.append(sample_of(run, self.size, took, all_epochs, first, new))
            self._ended += 1
        elif isinstance(event, Failed):
            self.failed = event.reason
            self._ended += 1

    def _began(self, event: Began) -> None:
        self.worker = dict(event.worker)
        shapes = self._shapes.setdefault(process_of(event.worker), OrderedDict())
        shape = Work(event.task.run, self.size).shape
        self._begun[event.task.number] = time.monotonic(), not shapes, shape not in shapes
        self._epochs[event.task.number] = []
        shapes[shape] = None
        shapes.move_to_end(shape)
        if len(shapes) > KEPT:
            shapes.popitem(last=False)

    def _is_enough(self, epochs: Sequence[float]) -> bool:
        """Whether what a run showed so far will do."""
        if self._is_over():
            return True
        if len(epochs) < 2:
            return False
        low, high = _EACH_SECONDS
        left = (self.until - time.monotonic()) * self.workers / max(1, self._wanted - self._ended)
        return sum(epochs[1:]) >= min(high, max(low, left / 3))
