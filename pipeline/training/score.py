"""Test metrics: the only code that scores the test set, called once a run is decided."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data import Arrays, Split
from pipeline.run.result import Confusion
from pipeline.training.diagnosis import confusion, macro

if TYPE_CHECKING:  # judging what somebody else computed needs no Keras
    from pipeline.network.loop import Loop

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


_LEAST = 1e-7  # Keras's: a probability of 0 would make the loss infinite


@dataclass(frozen=True)
class Judged:
    """What a predictor made of a test set: N x classes probabilities, and how many classes are right.

    `log_loss`: mean of -log of the true class's probability, which confident mistakes make large.
    """

    probabilities: NDArray[np.float32]
    right: int
    log_loss: float

    def undecided(self, margin: float) -> int:
        """Rows whose two most probable classes are less than `margin` apart."""
        second, first = np.sort(self.probabilities, axis=1)[:, -2:].T
        return int((first - second < margin).sum())


def judge(predict: Predict, inputs: NDArray[Any], test: Split) -> Judged:
    """Score the probabilities that `predict` gives for `inputs`, the features of `test`."""
    probabilities = predict(inputs)
    if probabilities.shape[:1] != test.labels.shape or not np.isfinite(probabilities).all():
        raise ValueError(f"expected {len(test)} rows of numbers, got {probabilities.shape}")
    right = int((probabilities.argmax(axis=1) == test.labels).sum())
    of_truth = probabilities[np.arange(len(test)), test.labels].astype(np.float64)
    return Judged(probabilities, right, float(-np.log(of_truth.clip(_LEAST)).mean()))
