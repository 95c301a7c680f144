"""What lies between the networks of a record is told by them."""

import numpy as np
import pytest

from search.simulate.surrogate import Surrogate
from tests.search.simulate.records import errors, record, surrogate

PLACES = [{"model.dropout": d, "train.learning_rate": r} for d in (0.1, 0.4) for r in (3e-4, 3e-3)]


def test_a_network_that_is_not_on_record_shows_what_its_neighbours_do() -> None:
    shown = surrogate().show(PLACES)
    truth = 1 - errors(
        np.array([each["model.dropout"] for each in PLACES]),
        np.array([each["train.learning_rate"] for each in PLACES]),
    )
    assert np.allclose(shown.curves, truth, atol=0.002)
    assert np.allclose(shown.epoch, [0.9, 0.9, 0.6, 0.6], rtol=0.05)
    assert np.allclose(shown.begin, 0.5, rtol=0.01)


def test_a_network_on_record_shows_its_own_mean() -> None:
    made = record()
    shown = surrogate().show([made.params[4]])
    own = np.log(1 - made.curves["val_accuracy"][4:6]).mean(axis=0)
    assert np.allclose(shown.curves[0], 1 - np.exp(own))


def test_its_error_and_the_seeds_noise_are_told() -> None:
    assert 0 < surrogate().error < 0.002
    best = 1 - errors(np.array([0.2]), np.array([1e-3]))[0, -1]
    assert surrogate().noise == pytest.approx((1 - best) * 0.02, rel=0.6)


def test_without_a_second_seed_no_noise_is_claimed() -> None:
    single = Surrogate(record(seeds=1), "val_accuracy")
    assert single.noise is None
    curve = single.show(PLACES[:1]).curves[0]
    assert not np.allclose(single.draw(curve, 0.3), single.draw(curve, 0.8))


def test_the_luck_of_a_seed_changes_nothing_on_average() -> None:
    curve = surrogate().show(PLACES[:1]).curves[0]
    drawn = np.array([surrogate().draw(curve, lot) for lot in np.arange(0, 1, 0.05)])
    assert drawn.std(axis=0).min() > 0
    assert np.allclose(drawn.mean(axis=0), curve, atol=0.001)
