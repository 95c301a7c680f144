"""How long workers take for trials to come, each of them busy with one at a time."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.network.shapes import KEPT
from search.forecasting.cost import Size, Work
from search.forecasting.fit import CostModel
from search.forecasting.plays import Planned


@dataclass(frozen=True)
class Job:
    """A trial to come in seconds: `once`, and `each` of its epochs after `behind`, up to `epochs`.

    `compiling`: besides, where its `shape` is new to the worker. `after`: the place of the one that it goes
    on from. `alike`: equal for runs that differ in their epochs alone; None: nothing is taken from others.
    """

    once: float
    each: float
    epochs: int
    behind: int
    compiling: float
    shape: str
    after: int | None = None
    alike: str | None = None


@dataclass(frozen=True)
class Workers:
    """What trains: so many, of which each `first` takes so many seconds more for its first trial.

    After `trials` of them a fresh one takes over, which takes `start` seconds to begin. `slower`: how
    many times as long as measured all takes, where there are more of them than cores.
    """

    count: int
    first: float = 0.0
    start: float = 0.0
    trials: int = 10**9
    slower: float = 1.0


def jobs(
    planned: Iterable[Planned],
    size: Size,
    costs: CostModel,
    alike: Callable[[Planned], str | None] = lambda _: None,
) -> list[Job]:
    """What is `planned`, in seconds."""
    found = []
    for each in planned:
        work = Work(each.run, size)
        found.append(
            Job(
                once=costs.once(work),
                each=costs.epoch(work),
                epochs=each.epochs,
                behind=each.behind,
                compiling=costs.of(work.compiling),
                shape=work.shape,
                after=each.after,
                alike=alike(each),
            )
        )
    return found


def makespan(
    jobs: Sequence[Job], workers: Workers, noise: Callable[[], float] = lambda: 1.0
) -> float:
    """Seconds until the last of `jobs` has ended, begun in their order.

    `noise`: how many times as long as foreseen the next one takes.
    """
    free = [(0.0, place) for place in range(workers.count)]
    shapes: list[OrderedDict[str, None]] = [OrderedDict() for _ in free]
    trained = [0] * workers.count
    ends: list[float] = []
    begun: dict[str, list[tuple[int, float]]] = {}
    for job in jobs:
        now, place = heapq.heappop(free)
        if job.after is not None:
            now = max(now, ends[job.after])
        behind = _behind(job, now, begun)
        if behind >= job.epochs:  # it is read off another
            ends.append(now)
            heapq.heappush(free, (now, place))
            continue
        seconds = job.once + job.each * (job.epochs - behind)
        if trained[place] == workers.trials:
            shapes[place].clear()
            trained[place] = 0
            seconds += workers.start
        if trained[place] == 0:
            seconds += workers.first
        trained[place] += 1
        if job.shape not in shapes[place]:
            seconds += job.compiling
            if len(shapes[place]) == KEPT:
                shapes[place].popitem(last=False)
        shapes[place][job.shape] = None
        shapes[place].move_to_end(job.shape)
        end = now + seconds * workers.slower * noise()
        ends.append(end)
        heapq.heappush(free, (end, place))
        if job.alike is not None:
            begun.setdefault(job.alike, []).append((job.epochs, end))
    return max(ends, default=0.0)


def _behind(job: Job, now: float, begun: dict[str, list[tuple[int, float]]]) -> int:
    """How many epochs of it are trained already: by the one that it goes on from, or another like it."""
    if job.alike is None:
        return job.behind
    return max((epochs for epochs, end in begun.get(job.alike, ()) if end <= now), default=0)


def spans(
    plays: Sequence[Sequence[Job]], workers: Workers, spread: float, draws: int
) -> NDArray[np.float64]:
    """`draws` times until the last job has ended, in one of `plays` after the other.

    `spread`: by which fraction a trial differs from what is foreseen.
    """
    rng = np.random.default_rng(0)
    found = []
    for draw in range(draws):
        play = plays[draw % len(plays)]
        noise = iter(np.exp(spread * rng.standard_normal(len(play))).tolist())
        found.append(makespan(play, workers, noise.__next__))
    return np.array(found)
