"""The range of pixels that a model takes, found by showing it digits where no manifest tells it.

A model that expects pixels from 0 to 255 answers nonsense on pixels from 0 to 1, and the other way round
it is too sure of what it says. The logarithmic loss on digits that are known tells both.
"""

from typing import NamedTuple

import numpy as np

from pipeline.data import load
from pipeline.pictures.images import like_mnist
from pipeline.run.config import DataConfig
from pipeline.training.score import Predict

RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
_COUNT = 300
_LEAST = 1e-7


class Range(NamedTuple):
    """Pixels from `low` to `high`, and the share of the digits that a model reads rightly with them."""

    low: float
    high: float
    right: float


def pixel_range(predict: Predict, shape: tuple[int, int]) -> Range:
    """The range of `RANGES` with which `predict` has the least loss on the bundled digits.

    `predict`: from N x `shape` pixels to N x classes probabilities; digits beyond its classes are left out.
    """
    digits = load(DataConfig(name="digits", path=None, scale=True)).train
    drawn = np.stack([like_mnist(ink / 16, shape) for ink in digits.features[:_COUNT]])
    labels, losses = digits.labels[:_COUNT], {}
    for low, high in RANGES:
        probabilities = predict(low + drawn * np.float32(high - low))
        known = labels < probabilities.shape[1]
        of_truth = probabilities[known, labels[known]].astype(np.float64)
        loss = float(-np.log(np.nan_to_num(of_truth).clip(_LEAST)).mean())
        right = float((probabilities.argmax(axis=1) == labels).mean())
        losses[loss] = Range(low, high, right)
    return losses[min(losses)]
