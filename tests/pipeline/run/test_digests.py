"""The digests of an outcome notice one bit, and nothing that is no outcome."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.run.digests import history_digest, weights_digest
from pipeline.run.result import EpochMetrics, Weights

HISTORY = tuple(EpochMetrics(n, {"loss": 0.1 / n, "accuracy": 0.3}, 1.0, 2.0) for n in (1, 2, 3))
WEIGHTS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(3, np.float32)]


def test_one_bit_of_one_metric_makes_another_history() -> None:
    digests = {history_digest(HISTORY)}
    for place, epoch in enumerate(HISTORY):
        for name, value in epoch.metrics.items():
            changed = {**epoch.metrics, name: math.nextafter(value, 1.0)}
            other = replace(epoch, metrics=changed)
            digests.add(history_digest((*HISTORY[:place], other, *HISTORY[place + 1 :])))
    assert len(digests) == 7


def test_epochs_count_by_their_numbers() -> None:
    later = tuple(replace(each, epoch=each.epoch + 1) for each in HISTORY)
    assert len({history_digest(h) for h in (HISTORY, later, HISTORY[:2], ())}) == 4


def test_times_and_the_order_of_names_are_no_outcome() -> None:
    other = tuple(
        EpochMetrics(each.epoch, dict(reversed(list(each.metrics.items()))), 7.0, 8.0)
        for each in HISTORY
    )
    assert history_digest(other) == history_digest(HISTORY)


def nudged(weights: Weights) -> Weights:
    copy = [array.copy() for array in weights]
    copy[0][1, 2] = np.nextafter(copy[0][1, 2], np.float32(9))
    return copy


@pytest.mark.parametrize(
    "change",
    [
        nudged,
        lambda weights: weights[::-1],
        lambda weights: [weights[0].reshape(3, 2), weights[1]],
        lambda weights: [weights[0].astype(np.float64), weights[1]],
        lambda weights: [weights[0], -weights[1]],  # the sign of a zero is a bit
        lambda weights: weights[:1],
    ],
)
def test_one_bit_a_type_a_shape_or_the_order_make_other_weights(
    change: Callable[[Weights], Weights],
) -> None:
    assert weights_digest(change(WEIGHTS)) != weights_digest(WEIGHTS)


def test_how_numbers_lie_in_memory_makes_no_other_weights() -> None:
    stored = [np.asfortranarray(WEIGHTS[0]), WEIGHTS[1].astype(">f4")]
    assert weights_digest(stored) == weights_digest(WEIGHTS)


def test_digests_are_the_same_for_ever() -> None:
    """Rows on record hold them: another way of taking them would make every record a lie."""
    assert history_digest(HISTORY)[:16] == "0677235e757ad55d"
    assert weights_digest(WEIGHTS)[:16] == "d913beaadc7bb1b3"
