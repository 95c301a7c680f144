"""A machine that is made up: how long each thing takes there, and what its trials are seen to take."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics
from search.forecasting.cost import Size, Work, reference
from search.forecasting.fit import CostModel
from search.forecasting.samples import Sample, all_of, sample_of
from search.study.space import replaced
from search.study.vocabulary import Entry
from tests.search import made

MNIST = Size(60_000, 10_000, 784, 10)
DIGITS = Size(1437, 360, 64, 10)
BASE = replaced(made.BASE, {"model.hidden_units": 128, "model.depth": 2, "train.epochs": 5})


class Machine(CostModel):
    """Takes `slower` times as long as the reference's for each kind, and of some kinds what `own` says."""

    def __new__(cls, slower: float = 1.0, **own: float) -> CostModel:  # type: ignore[misc]
        return CostModel(slower, {kind.replace("_", " "): each for kind, each in own.items()})


def run(**values: Any) -> RunConfig:
    """A run of two layers of 128, with `values` by override path, its dots as two underscores."""
    return replaced(BASE, {path.replace("__", "."): value for path, value in values.items()})


def seen(machine: CostModel, run: RunConfig, size: Size = MNIST, noise: float = 1.0) -> Sample:
    """What `run` is measured to take there, on a worker that has trained others."""
    work = Work(run, size)
    each = machine.of(work.epoch) * noise
    seconds = machine.of(all_of(work, run.train.epochs, compiled=True)) * noise
    first = each + machine.of(work.compiling)
    epochs = (first, *[each] * (run.train.epochs - 1))
    return sample_of(run, size, seconds, epochs, False, True)


def ended(number: int, seconds: float, run: RunConfig = BASE, **changes: Any) -> Entry:
    """A trial that took `seconds`, all its epochs alike."""
    usual = made.trial(number)
    assert usual.result is not None
    history = tuple(
        EpochMetrics(epoch, {"val_accuracy": 0.9}, seconds / run.train.epochs, 0.0)
        for epoch in range(1, run.train.epochs + 1)
    )
    facts: Mapping[str, Any] = {
        "run": run,
        "started_at": 1000.0,
        "ended_at": 1000.0 + seconds,
        "history": history,
        "result": replace(usual.result, history=history),
    }
    return replace(usual, **{**facts, **changes})


__all__ = ["BASE", "DIGITS", "MNIST", "Machine", "ended", "reference", "run", "seen"]
