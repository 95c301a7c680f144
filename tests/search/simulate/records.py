"""A record whose truth is known: what networks of two settings would show."""

from functools import cache
from typing import Any

import numpy as np

from pipeline.run.config import run_config
from search.setup.read import Setup
from search.simulate.record import Record
from search.simulate.surrogate import Surrogate
from search.study.parse import parse
from tests.search.conftest import DATASET, composed, setup_of

SPACE: dict[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.6}},
    "train": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
}
EPOCHS, NOISE = 6, 0.02


def errors(dropout: Any, rate: Any) -> Any:
    """The share of rows that such networks are wrong on after each epoch: least at 0.2 and 0.001."""
    level = -4 + 4 * (dropout - 0.2) ** 2 + 0.4 * (np.log10(rate) + 3) ** 2
    return np.exp(level[:, None] + 1.5 * 0.5 ** np.arange(EPOCHS))


@cache
def record(configurations: int = 50, seeds: int = 2) -> Record:
    """Configurations at random, each with so many seeds; an epoch takes longer the smaller the dropout."""
    draw = np.random.default_rng(0)
    dropout = np.repeat(draw.uniform(0, 0.6, configurations), seeds)
    rate = np.repeat(10 ** draw.uniform(-4, -2, configurations), seeds)
    noise = np.exp(NOISE * draw.standard_normal((len(dropout), 1)))
    base = run_config(composed())
    return Record(
        name="made",
        base=base,
        space=parse(SPACE, base),
        dataset=DATASET,
        params=tuple(
            {"model.dropout": float(d), "train.learning_rate": float(r)}
            for d, r in zip(dropout, rate, strict=True)
        ),
        curves={"val_accuracy": 1 - errors(dropout, rate) * noise},
        begin=np.full(len(dropout), 0.5),
        epoch=1 - dropout,
    )


@cache
def surrogate() -> Surrogate:
    """Of the accuracy."""
    return Surrogate(record(), "val_accuracy")


def setup(*overrides: str) -> Setup:
    """A study within the record."""
    return setup_of(f"train.epochs={EPOCHS}", *overrides, space=SPACE)
