"""What the rest of a study will take: time with its spread, trials, memory, disk, launches."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.run.config import ModelConfig, RunConfig
from search.forecasting.cost import Size, Work
from search.forecasting.fit import CostModel
from search.forecasting.plays import MOST_TRIALS, Asked, Planned, Play
from search.forecasting.schedule import Workers, jobs, makespan, spans
from search.study.vocabulary import Engine

_DRAWS = 200
_DEAR_DRAWS = 20  # of studies with many trials
_PLAYED = 240  # trials in all plays, about: each play is of the study's rest
_PLAYS = (3, 12)  # so many at least, and at most
_OFF = 0.12
"""By which fraction a whole forecast is off, as a standard deviation (docs/forecast.md)."""

_BESIDE = 0.16
"""Of a core, what tracker and report take while trials run; what was measured was not tracked."""

_SPREAD = (0.04, 0.5)
"""By which fraction single trials are off at least, and at most, as a standard deviation."""

_ROW_BYTES, _EPOCH_BYTES = 12_000, 500
"""What a trial leaves in the table, and each of its epochs."""

_TRACKED_BYTES, _STUDY_BYTES = 70_000, 7_000_000
"""What a trial leaves in the tracker, and the study itself with its report."""


@dataclass(frozen=True)
class Span:
    """A time in seconds: its median, and the interval that it lies in with 80 %."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> "Span":
        """That of drawn times, where all of them may be off together."""
        rng = np.random.default_rng(0)
        off = np.exp(_OFF * rng.standard_normal(100))
        low, median, high = np.quantile(np.outer(seconds, off), (0.1, 0.5, 0.9)).tolist()
        return cls(median, low, high)


@dataclass(frozen=True)
class Means:
    """What a study is run with.

    `cores`: that its workers share, None where each brings its own. `launch_seconds`: what a launch has,
    by the setting `limit`. `kept`: how many trials' weights are kept, `keeps_states`: whether of all with
    what their optimizer needs to go on. `tracked`: whether they are. `before`,
    `after`: what a launch takes besides its trials.
    """

    workers: int
    cores: int | None
    first_seconds: float
    start_seconds: float
    trials_per_worker: int
    before: float
    after: float
    kept: int
    keeps_states: bool
    tracked: bool
    launch_seconds: float
    limit: str
    memory_mib: float | None = None


@dataclass(frozen=True)
class TrialForecast:
    """A trial that trains `run` to its end, in `seconds`."""

    run: RunConfig
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """The rest of a study: `trials` of it. `by_workers`: its wall time with so many workers.

    `share`: of the epochs that are asked for, how many are trained. `launches`: None where no trial can
    end in one. `spread`: of single trials, as a fraction. `weights_bytes`: None where networks are one's own.
    """

    trials: int
    wall: Span
    by_workers: dict[int, Span]
    typical: TrialForecast
    cheapest: TrialForecast
    dearest: TrialForecast
    per_hour: float
    share: float
    weights_bytes: int | None
    records_bytes: int
    launches: int | None
    spread: float
    means: Means


def forecast(
    asked: Asked,
    make_engine: Callable[[], Engine],
    prunes: bool,
    means: Means,
    size: Size,
    costs: CostModel,
    runs: Sequence[RunConfig],
    alike: Callable[[RunConfig], str | None],
) -> Forecast:
    """What is to be expected of `asked`. `runs`: that the space may suggest.

    `alike`: text that is equal for runs of which the longer goes on from the shorter; None: none does.
    """
    planned = _played(asked, make_engine, prunes, means.workers, size, costs, runs)
    played = [jobs(play, size, costs, lambda each: alike(each.run)) for play in planned]
    count = len(planned[0])
    # What was not played goes on as the rest did.
    more = (asked.target - asked.asked + len(asked.interrupted)) / max(count, 1)
    longer = more if count >= MOST_TRIALS else 1.0
    draws = _DRAWS if count * len(played) < 1000 else _DEAR_DRAWS
    now, each = _workers(means, means.workers), min(max(costs.spread, _SPREAD[0]), _SPREAD[1])

    def span(workers: int) -> Span:
        fixed = means.before + means.start_seconds + means.after
        return Span.of(spans(played, _workers(means, workers), each, draws) * longer + fixed)

    seconds = sorted((costs.run(Work(run, size)), place) for place, run in enumerate(runs))
    cheapest, typical, dearest = (
        TrialForecast(runs[place], took)
        for took, place in (seconds[0], seconds[len(seconds) // 2], seconds[-1])
    )
    training = float(np.mean([makespan(play, now) for play in played])) * longer
    trials = round(count * longer)
    epochs = sum(each.epochs for each in planned[0]) * longer
    wall = span(means.workers)
    return Forecast(
        trials=trials,
        wall=wall,
        by_workers={n: wall if n == means.workers else span(n) for n in _counts(means, trials)},
        typical=typical,
        cheapest=cheapest,
        dearest=dearest,
        per_hour=3600 * trials / training if training else math.inf,
        share=float(np.mean([_share(play) for play in planned])),
        weights_bytes=_weights(means, trials, dearest.run, size, runs),
        records_bytes=round(
            trials * (_ROW_BYTES + means.tracked * _TRACKED_BYTES)
            + epochs * _EPOCH_BYTES
            + means.tracked * _STUDY_BYTES
        ),
        launches=_launches(means, training, typical.seconds, cheapest.seconds),
        spread=each,
        means=means,
    )


def _weights(
    means: Means, trials: int, dearest: RunConfig, size: Size, runs: Sequence[RunConfig]
) -> int | None:
    if not isinstance(dearest.model, ModelConfig):
        return None
    kept = min(means.kept, trials) * 4 * Work(dearest, size).parameters
    states = trials * int(np.mean([Work(run, size).state_bytes for run in runs]))
    return kept + (states if means.keeps_states else 0)


def _played(
    asked: Asked,
    make_engine: Callable[[], Engine],
    prunes: bool,
    workers: int,
    size: Size,
    costs: CostModel,
    runs: Sequence[RunConfig],
) -> list[list[Planned]]:
    def seconds(run: RunConfig) -> float:
        return costs.epoch(Work(run, size))

    logs = np.log([seconds(run) for run in runs])
    mean, deviation = float(logs.mean()), float(logs.std()) or 1.0

    def rank(run: RunConfig) -> float:
        return (math.log(seconds(run)) - mean) / deviation

    few, many = _PLAYS
    count = max(few, min(many, _PLAYED // max(1, asked.target - asked.asked)))
    return [
        Play(asked, make_engine(), workers, prunes, seconds, rank, seed).through()
        for seed in range(count)
    ]


def _workers(means: Means, count: int) -> Workers:
    """`count` workers: where there are more than cores, or than were measured at once, they share them."""
    beside = _BESIDE if means.tracked else 0.0
    shared = 1.0 if means.cores is None else max(1.0, (count + beside) / means.cores)
    measured = 1.0 if means.cores is None else max(1.0, means.workers / means.cores)
    return Workers(
        count,
        means.first_seconds,
        means.start_seconds,
        means.trials_per_worker,
        shared / measured,
    )


def _counts(means: Means, trials: int) -> list[int]:
    """Numbers of workers to be told of: powers of two up to the cores, and the one that is configured."""
    most = means.cores or 4 * means.workers
    powers = {2**power for power in range(11) if 2**power <= most}
    return sorted(n for n in powers | {means.workers} if n <= trials or n == means.workers)


def _share(planned: Sequence[Planned]) -> float:
    asked = sum(each.run.train.epochs - each.behind for each in planned)
    return sum(each.epochs - each.behind for each in planned) / asked if asked else 1.0


def _launches(means: Means, training: float, typical: float, cheapest: float) -> int | None:
    """How many launches it takes; in each the last trial of a worker may not fit any more."""
    room = means.launch_seconds - means.before - means.start_seconds
    if room < cheapest:
        return None
    if training <= room:
        return 1
    return math.ceil(training / max(room - typical / 2, cheapest))
