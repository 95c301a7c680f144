"""What runs took on a machine: those that were measured for that, and the rows of trial tables."""

import statistics
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pipeline.command.section import Section
from pipeline.network.shapes import KEPT
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics
from search.forecasting.cost import Amounts, Size, Work
from search.forecasting.fit import Observation, added
from search.study.vocabulary import Entry

_MOST = 300
"""The most rows that count, the latest: a machine changes, and a fit is to take milliseconds."""

_MACHINE = (
    "device",
    "threads",
    "lanes",
    "backend",
    "cpu",
    "version.keras",
    "version.tensorflow",
    "version.jax",
)
"""What of a worker decides how fast it is."""


class Sample(Section):
    """A run that took `seconds` on a worker, `epochs` each so long, its first and last included.

    `first`: it was the worker's first. `compiled`: its shape was new to the worker.
    """

    run: RunConfig
    rows: int
    test_rows: int
    inputs: int
    classes: int
    seconds: float
    epochs: tuple[float, ...]
    first: bool
    compiled: bool

    @property
    def work(self) -> Work:
        """What it made the worker do."""
        return Work(self.run, Size(self.rows, self.test_rows, self.inputs, self.classes))

    def observations(self) -> Iterator[Observation]:
        """All that it took, and where that can be told what an epoch did."""
        work = self.work
        yield Observation(all_of(work, len(self.epochs), self.compiled, self.first), self.seconds)
        if len(self.epochs) > 1:
            usual = statistics.median(self.epochs[1:])
            yield Observation(work.epoch, usual)


def all_of(work: Work, epochs: int, compiled: bool, first: bool = False) -> Amounts:
    """All that a run takes which trains so many epochs."""
    return added(
        (1, work.once),
        (epochs, {**work.epoch, "told": 1}),
        (compiled, work.compiling),
        (first, {"first": 1}),
    )


def compiled(epochs: Sequence[float]) -> bool:
    """Whether the first epoch took so much longer than the others that something was compiled in it."""
    usual = statistics.median(epochs[1:])
    return epochs[0] > 1.5 * usual + 0.1


def trained(entry: Entry) -> int:
    """How many epochs of a trial were trained for it alone."""
    if entry.same_as is not None or entry.prefix_of is not None:
        return 0
    result = entry.result
    if entry.extends is None or result is None:
        return len(entry.history)
    return sum(epoch.finished_at >= entry.started_at for epoch in entry.history)


def machine_of(worker: Mapping[str, str]) -> dict[str, str]:
    """What of a worker decides how fast it is."""
    return {name: worker[name] for name in _MACHINE if name in worker}


def process_of(worker: Mapping[str, str]) -> str:
    """The process that a worker is, or is a lane of: its trials share what is compiled."""
    return worker.get("worker", "").partition(".")[0]


def samples(
    entries: Iterable[Entry], size: Size, machine: Mapping[str, str] | None = None
) -> list[Sample]:
    """The trials that were trained from their first epoch on `machine` (None: that of the latest)."""
    trained = sorted((e for e in entries if _is_whole(e)), key=lambda e: e.started_at)
    if machine is None and trained:
        machine = machine_of(trained[-1].worker)
    alike = [entry for entry in trained if machine_of(entry.worker) == machine][-_MOST:]
    known: dict[str, OrderedDict[str, None]] = {}
    return [_sample(entry, size, known) for entry in alike]


def _is_whole(entry: Entry) -> bool:
    if entry.run is None or entry.ended_at is None or not entry.history:
        return False
    borrowed = (entry.same_as, entry.prefix_of, entry.extends, entry.continues)
    return borrowed == (None,) * 4 and entry.history[0].epoch == 1 and entry.attempts.made == 1


def _sample(entry: Entry, size: Size, known: dict[str, OrderedDict[str, None]]) -> Sample:
    assert entry.run is not None and entry.ended_at is not None  # noqa: PT018  # it is whole
    shapes = known.setdefault(process_of(entry.worker), OrderedDict())
    shape = Work(entry.run, size).shape
    is_first, is_new = not shapes, shape not in shapes
    shapes[shape] = None
    shapes.move_to_end(shape)
    if len(shapes) > KEPT:
        shapes.popitem(last=False)
    epochs = seconds_of(entry.history)
    return sample_of(
        entry.run,
        size,
        entry.ended_at - entry.started_at,
        epochs,
        is_first,
        compiled(epochs) if len(epochs) > 2 else is_new,
    )


def seconds_of(history: Sequence[EpochMetrics]) -> tuple[float, ...]:
    return tuple(epoch.seconds for epoch in history)


def sample_of(
    run: RunConfig, size: Size, seconds: float, epochs: tuple[float, ...], first: bool, new: bool
) -> Sample:
    return Sample(
        run=run,
        rows=size.rows,
        test_rows=size.test_rows,
        inputs=size.inputs,
        classes=size.classes,
        seconds=seconds,
        epochs=epochs,
        first=first,
        compiled=new,
    )
