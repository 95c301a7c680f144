"""Test metrics: the only code that scores the test set, called once a run is decided."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data import Arrays, Split
from pipeline.diagnosis import confusion, macro
from pipeline.result import Confusion

if TYPE_CHECKING:  # judging what somebody else computed needs no Keras
    from pipeline.loops import Loop

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]
"""From N inputs to N x classes probabilities."""


@dataclass(frozen=True)
class Tested:
    """How a model fares on the test set. `metrics`: by name, all but `test_loss` in [0, 1]."""

    metrics: dict[str, float]
    confusion: Confusion


def evaluate(loop: "Loop", test: Arrays) -> Tested:
    """Score the network in `loop` in one pass over `test`."""
    found = loop.predict(test)
    result = tested(found.probabilities, test.targets)
    return Tested({"test_loss": found.scores.loss, **result.metrics}, result.confusion)


def tested(probabilities: NDArray[np.floating], targets: NDArray[np.float32]) -> Tested:
    """`test_accuracy`, and the macro averages `test_precision` and `test_recall`, of N x classes."""
    matrix = confusion(probabilities, targets)
    precision, recall = macro(matrix)
    right = sum(matrix[label][label] for label in range(len(matrix)))
    metrics = {
        "test_accuracy": right / len(targets),
        "test_precision": precision,
        "test_recall": recall,
    }
    return Tested(metrics, matrix)


@dataclass(frozen=True)
class Judged:
    """What a predictor made of a test set: N x classes probabilities, and how many classes are right."""

    probabilities: NDArray[np.float32]
    right: int

    def undecided(self, margin: float) -> int:
        """Rows whose two most probable classes are less than `margin` apart."""
        second, first = np.sort(self.probabilities, axis=1)[:, -2:].T
        return int((first - second < margin).sum())


def judge(predict: Predict, inputs: NDArray[Any], test: Split) -> Judged:
    """Score the probabilities that `predict` gives for `inputs`, the features of `test`."""
    probabilities = predict(inputs)
    if probabilities.shape[:1] != test.labels.shape or not np.isfinite(probabilities).all():
        raise ValueError(f"expected {len(test)} rows of numbers, got {probabilities.shape}")
    return Judged(probabilities, int((probabilities.argmax(axis=1) == test.labels).sum()))
