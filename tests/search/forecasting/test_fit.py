"""The cost model: right where it was measured, in the reference's proportions elsewhere."""

import numpy as np
import pytest

from search.forecasting.cost import Work
from search.forecasting.fit import CostModel
from tests.search.forecasting.machine import MNIST, Machine, run, seen

WIDTHS = [{"model__hidden_units": n, "train__batch_size": b} for n in (32, 512) for b in (64, 512)]


def fitted(machine: CostModel, values: list[dict[str, object]], noise: float = 0.0) -> CostModel:
    rng = np.random.default_rng(0)
    samples = [seen(machine, run(**v), noise=1 + noise * rng.standard_normal()) for v in values]
    return CostModel.fit([each for sample in samples for each in sample.observations()])


@pytest.mark.parametrize("slower", [0.2, 1.0, 7.0])
def test_one_trial_tells_how_fast_a_machine_is_at_all(slower: float) -> None:
    machine = Machine(slower)
    model = fitted(machine, [{}])
    for values in WIDTHS:
        work = Work(run(**values), MNIST)
        assert model.run(work) == pytest.approx(machine.run(work), rel=0.01)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_corners_tell_of_what_lies_between_them(noise: float) -> None:
    """On a machine of other proportions: its steps take four times as long, its products half as long."""
    machine = Machine(1.0, step=3.2e-4, flops_float32=4e-12)
    model = fitted(machine, WIDTHS, noise)
    for between in ({"model__hidden_units": 128}, {"train__batch_size": 128}, {"model__depth": 1}):
        work = Work(run(**between), MNIST)
        assert model.run(work) == pytest.approx(machine.run(work), rel=0.1)


def test_noise_is_found_as_the_spread() -> None:
    model = fitted(Machine(1.0), [*WIDTHS * 5], noise=0.1)
    assert 0.05 < model.spread < 0.15


def test_nothing_takes_less_than_no_time() -> None:
    model = fitted(Machine(1.0, step=0.0, epoch=0.0), [*WIDTHS, {}], noise=0.3)
    assert min(model.seconds.values()) >= 0


def test_without_observations_it_is_the_reference() -> None:
    work = Work(run(), MNIST)
    assert CostModel.fit([]).run(work) == CostModel().run(work) > 0
