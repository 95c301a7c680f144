"""Which runs of a space are measured: few that differ in what they make a worker do."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.run.config import RunConfig
from search.forecasting.cost import Size, Work
from search.forecasting.fit import CostModel
from search.forecasting.samples import Sample
from search.study.space import replaced

_MOST = 16
_NEAR = 0.15
"""Runs whose shares of time, by what it goes into, are within this distance tell the same."""

_LONG = 4.0
"""Seconds of an epoch, on the reference's machine, from which one of fewer rows is measured instead."""

_SPLITS = (0.5, 0.8, 0.9)
_REFERENCE = CostModel()
_MEASURED = {
    "train.learning_rate": None,
    "train.warmup_epochs": 0,
    "train.schedule_epochs": None,
    "train.patience": None,
    "train.epochs": 20,
}


def corners(runs: Sequence[RunConfig], size: Size, known: Sequence[Sample] = ()) -> list[RunConfig]:
    """Of `runs` those that are to be measured: each the one least like those before it, and like `known`.

    The first is the dearest, which decides most. As they are measured they train at their optimizer's own
    rate, lest they diverge, and where an epoch is long more of the rows validate: those take a third.
    """
    shapes = {work.shape: work for work in (Work(run, size) for run in runs)}
    works = list(shapes.values())
    seen = [each.work for each in known if each.compiled]
    places = _places([*works, *seen])
    ours, theirs = places[: len(works)], places[len(works) :]
    nearest = np.full(len(works), np.inf)
    for place in theirs:
        nearest = np.minimum(nearest, np.linalg.norm(ours - place, axis=1))
    dearest = max(range(len(works)), key=lambda place: _REFERENCE.of(works[place].epoch))
    chosen = int(nearest.argmax()) if seen else dearest
    found: list[RunConfig] = []
    while nearest[chosen] > _NEAR and len(found) < _MOST:
        found.append(_measurable(works[chosen].run, size))
        nearest = np.minimum(nearest, np.linalg.norm(ours - ours[chosen], axis=1))
        chosen = int(nearest.argmax())
    return found


def _places(works: Sequence[Work]) -> NDArray[np.float64]:
    """A row for each: the shares of an epoch's time by what it goes into, and a quarter of its logarithm."""
    taken = [_taken(work.epoch) for work in works]
    kinds = sorted({kind for each in taken for kind in each})
    totals = [sum(each.values()) for each in taken]
    return np.array(
        [
            [*(each.get(kind, 0.0) / total for kind in kinds), math.log10(total) / 4]
            for each, total in zip(taken, totals, strict=True)
        ]
    )


def _taken(amounts: Mapping[str, float]) -> dict[str, float]:
    return {kind: count * _REFERENCE.one(kind) for kind, count in amounts.items() if count}


def _measurable(run: RunConfig, size: Size) -> RunConfig:
    found = replaced(run, _MEASURED)
    for split in _SPLITS:
        if _REFERENCE.of(Work(found, size).epoch) <= _LONG:
            break
        if split > found.train.validation_split:
            found = replaced(found, {"train.validation_split": split})
    return found
