"""Engines that are told of two objectives, behind the same contract."""

import pytest

from tests.search.engines.engine_contract import ENDS, EngineContract

pytestmark = pytest.mark.slow  # as many studies as of one objective

FRONT = ("objective.cost=train_seconds", "pruner=none")


class FrontContract(EngineContract):
    """The same with a second objective: nothing is pruned."""

    prunes = ("train.epochs=5",)
    ends = tuple(end for end in ENDS if end != "pruned")


class TestNsga2OfTwo(FrontContract):
    overrides = ("sampler=nsga2", "sampler.population_size=2", *FRONT)


class TestTpeOfTwo(FrontContract):
    overrides = ("sampler=tpe", "sampler.n_startup_trials=2", *FRONT)
