"""Which methods differ, by ranks; what they are worth, by regret."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from search.simulate.compare import Method, best_of, quartiles, ranks
from search.simulate.methods import called
from search.simulate.play import Course


def course(*values: float) -> Course:
    return Course(np.arange(1.0, len(values) + 1), np.array(values), 0)


def test_regret_is_the_distance_to_the_best_and_endless_without_a_choice() -> None:
    method = Method("one", (course(math.nan, 0.5, 0.9), course(0.7, 0.7)))
    assert method.regret(1.0, 1.5).tolist() == pytest.approx([math.inf, 0.3])
    assert method.regret(1.0, 9.0).tolist() == pytest.approx([0.1, 0.3])
    assert method.regret_after(1.0, 3).tolist() == pytest.approx([0.1, math.inf])
    assert method.reached(1.0, 0.11, 9.0).tolist() == [3.0, math.inf]
    assert method.reached(1.0, 0.11, 2.0).tolist() == [math.inf, math.inf]
    assert best_of([method], 0.8, maximizes=True) == 0.9
    assert best_of([method], 0.8, maximizes=False) == 0.7


def test_ranks_are_friedmans_and_the_difference_is_nemenyis() -> None:
    """The critical difference of four methods over fourteen data sets is Demšar's own example: 1.25."""
    regrets = np.random.default_rng(0).uniform(size=(4, 14))
    found = ranks(regrets)
    assert found.critical == pytest.approx(1.25, abs=0.01)
    assert found.means.sum() == pytest.approx(10)
    assert (
        0.3 * friedmanchisquare(*regrets).pvalue < found.p < 3 * friedmanchisquare(*regrets).pvalue
    )
    regrets[2] -= 1
    assert ranks(regrets).means[2] == 1
    assert ranks(regrets).p < 1e-3


@pytest.mark.parametrize("shape", [(1, 5), (3, 1)])
def test_of_one_method_or_one_study_nothing_is_said(shape: tuple[int, int]) -> None:
    found = ranks(np.ones(shape))
    assert math.isnan(found.p)
    assert math.isnan(found.critical)


def test_methods_that_are_equal_are_not_told_apart() -> None:
    assert ranks(np.full((3, 6), math.inf)).p == pytest.approx(1.0)


def test_quartiles_take_what_is_endless() -> None:
    assert quartiles(np.array([1.0, 2.0, math.inf, math.inf])) == (1.0, 2.0, math.inf)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("sampler=tpe pruner=none", "tpe"),
        ("sampler=tpe pruner=median", "tpe + median"),
        ("engine=keras_tuner oracle=hyperband", "keras_tuner hyperband"),
        ("engine=keras_tuner", "keras_tuner random"),
        (
            "sampler=tpe sampler.n_startup_trials=5 pruner=asha",
            "tpe + asha sampler.n_startup_trials=5",
        ),
        ("pruner=asha", "pruner=asha"),
    ],
)
def test_a_method_is_called_by_its_options(method: str, name: str) -> None:
    assert called(method) == name
