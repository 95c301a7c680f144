"""What is measured of a space: what differs, and no more."""

import pytest

from search.forecasting.corners import corners
from search.forecasting.cost import Work
from tests.search.forecasting.machine import DIGITS, MNIST, Machine, run, seen

OPTIMIZERS = ("sgd", "rmsprop", "adam", "nadam")
SPACE = [
    run(model__hidden_units=units, train__optimizer=name, train__batch_size=batch)
    for units in (32, 512)
    for name in OPTIMIZERS
    for batch in (64, 512)
]


def test_every_kind_of_work_is_among_what_is_measured() -> None:
    found = corners(SPACE, MNIST)
    assert {each.train.optimizer for each in found} == set(OPTIMIZERS)
    assert {each.model.hidden_units for each in found} == {32, 512}
    assert {each.train.batch_size for each in found} == {64, 512}


def test_runs_that_do_the_same_are_measured_once() -> None:
    assert (
        len(corners([run(train__seed=n, model__dropout=0.1 * (n + 1)) for n in range(5)], MNIST))
        == 1
    )


def test_what_is_known_is_not_measured_again() -> None:
    known = [seen(Machine(1.0), each) for each in corners(SPACE, DIGITS)]
    assert corners(SPACE, DIGITS, [seen(Machine(1.0), each, DIGITS) for each in SPACE]) == []
    assert len(corners(SPACE, DIGITS, known)) > 0, "known of other data"


@pytest.mark.parametrize("units", [32, 1024])
def test_a_measured_epoch_is_short_enough(units: int) -> None:
    (found,) = corners([run(model__hidden_units=units, train__learning_rate=9.0)], MNIST)
    assert Machine(1.0).of(Work(found, MNIST).epoch) < 15
    assert found.train.learning_rate is None, "it must not diverge"
