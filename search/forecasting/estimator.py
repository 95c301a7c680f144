"""The one estimate of time for whoever asks while a study runs: of a trial, and of what is left."""

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from pipeline.tracking.record import DatasetInfo
from search.forecasting.cost import Size, Work
from search.forecasting.fit import CostModel
from search.forecasting.samples import Sample, samples, trained
from search.study.space import Space
from search.study.untried import Runs
from search.study.vocabulary import Entry

_DRAWS = 64
_PRUNED = 0.6
"""What share of its epochs a trial trains that may be pruned: what counts as two trials until more ended."""

_LISTED = 300
"""A space of so many points, or fewer, is listed: what is left of it is known."""

_SCHEDULED = 200
"""With more trials to come, where each ends makes no difference any more."""


class Estimator:
    """Seconds of trials, by the cost model that fits `known` and the trials that ended so far.

    `runs`: those that may be to come, given the trials that ended. `known`: what was measured on this
    machine before. `prunes`: whether a trial may end before its last epoch; how far they get is learned
    from those that ended, for early stops and trials that go on from others alike. `clock`: Unix time.
    """

    def __init__(
        self,
        size: Size,
        runs: Callable[[Sequence[Entry]], Sequence[RunConfig]],
        entries: Iterable[Entry] = (),
        known: Sequence[Sample] = (),
        prunes: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._size = size
        self._runs = runs
        self._known = known
        self._prior = _PRUNED if prunes else 1.0
        self._ended: dict[str, Entry] = {}
        self._fitted = -1
        self._costs: CostModel | None = None
        self._drawn: Sequence[RunConfig] = ()
        self._usual: list[float] = []
        self._whole: dict[
            str, float
        ] = {}  # seconds of trials that run, with all their epochs, by uid
        self._trained: float | None = None
        for entry in entries:
            self.add(entry)

    @classmethod
    def of(
        cls,
        base: RunConfig,
        space: Space,
        dataset: DatasetInfo,
        entries: Iterable[Entry],
        known: Sequence[Sample] = (),
        prunes: bool = False,
    ) -> "Estimator":
        """That of a study, whatever of its space it suggests."""

        def runs(ended: Sequence[Entry]) -> Sequence[RunConfig]:
            return drawn(base, space, _DRAWS, ended)

        return cls(Size.of(dataset), runs, entries, known, prunes)

    def add(self, entry: Entry) -> None:
        """Take in a trial that ended; twice is once."""
        if entry.ended_at is not None and entry.run is not None:
            self._ended[entry.uid] = entry
            self._whole.pop(entry.uid, None)
            self._trained = None

    def seconds(self, run: RunConfig) -> float | None:
        """Seconds that a trial is expected to take, on a worker that knows its shape; None: unknown."""
        self._fit()
        if self._costs is None:
            return None
        return self._costs.run(Work(run, self._size)) * self._share()

    @property
    def usual(self) -> float | None:
        """Seconds that a trial to come takes on average; None where nothing is known."""
        self._fit()
        if self._costs is None:
            return None
        return float(np.mean(self._usual)) * self._share()

    def left(self, count: int, running: Iterable[Entry], workers: int) -> float | None:
        """Seconds until `count` trials more have ended, counting those that are `running`; None: unknown."""
        if count <= 0:  # nothing is fitted for that: a study that is met ends at once
            return 0.0 if self._found() else None
        if (usual := self.usual) is None or self._costs is None:
            return None
        now = self._clock()
        free = [self._rest(trial, now) for trial in running][:count]
        to_come = count - len(free)
        if to_come > _SCHEDULED:
            return (to_come * usual + sum(free)) / workers
        ends = [*free, *[0.0] * (workers - len(free))]
        heapq.heapify(ends)
        share = self._share()
        for place in range(to_come):
            end = heapq.heappop(ends) + self._usual[place % len(self._usual)] * share
            heapq.heappush(ends, end)
        return max(ends, default=0.0)

    def _rest(self, trial: Entry, now: float) -> float:
        """Seconds that a trial which runs has left."""
        if trial.run is None or self._costs is None:
            return 0.0
        if trial.uid not in self._whole:
            self._whole[trial.uid] = self._costs.run(Work(trial.run, self._size))
        return max(0.0, self._whole[trial.uid] * self._share() - (now - trial.started_at))

    def _share(self) -> float:
        """What share of the epochs that were asked for was trained, in the latest trials."""
        if self._trained is None:
            done, asked = 2 * self._prior, 2.0
            for entry in list(self._ended.values())[-100:]:
                assert entry.run is not None, "it began"
                done += trained(entry) / entry.run.train.epochs
                asked += 1
            self._trained = done / asked
        return self._trained

    def _found(self) -> list[Sample]:
        return [*self._known, *samples(self._ended.values(), self._size)]

    def _fit(self) -> None:
        """Fit anew where there is a tenth more to be fitted to."""
        if self._fitted >= 0 and len(self._ended) < 1.1 * self._fitted + 1:
            return
        self._fitted = len(self._ended)
        if not (found := self._found()):
            return
        self._whole.clear()
        self._costs = CostModel.fit([o for sample in found for o in sample.observations()])
        if not self._drawn:
            self._drawn = self._runs(list(self._ended.values()))
        self._usual = [self._costs.run(Work(run, self._size)) for run in self._drawn]


def drawn(
    base: RunConfig, space: Space, count: int, entries: Sequence[Entry] = ()
) -> list[RunConfig]:
    """Runs that `space` may still suggest: those that are left of a small one, or `count` drawn at random."""
    runs = Runs(base, space)
    for entry in entries:
        runs.add(entry.params)
    rng = np.random.default_rng(0)
    points = runs.left(_LISTED) or [runs.draw(rng) for _ in range(count)]
    found = []
    for place in rng.permutation(len(points)):
        try:
            found.append(space.apply(base, points[place]))
        except ConfigError:  # its trial will fail with the reason, in no time
            continue
        if len(found) == count:
            break
    return found or [base]


def curves_of(entries: Iterable[Entry]) -> list[Mapping[int, float]]:
    """What the trials showed that ended, epoch by epoch."""
    return [entry.curve for entry in entries if entry.state != "running" and entry.curve]
