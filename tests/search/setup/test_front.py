"""A study that asks for a front takes nothing that goes by one objective, and says so before it starts."""

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.command.compose import CONF, from_yaml
from pipeline.command.errors import ConfigError
from search.setup.read import Setup, read
from tests.search.conftest import DROPOUT, composed
from tests.search.engines.test_optuna_engine import options

SIZES = {"model": {"hidden_units": [8, 16, 32], "depth": {"low": 0, "high": 2}}}


def part(group: str, option: str) -> Mapping[str, Any]:
    """An option of the configuration, without Hydra, which takes a third of a second."""
    return from_yaml((CONF / group / f"{option}.yaml").read_text())


def front(cost: object = "parameters", space: Any = SIZES, **options: str) -> Setup:
    """A study of `space` with a cost, `pruner=none` and these options of the configuration."""
    values = composed()
    chosen = {"pruner": "none", "engine": "optuna", **options}
    values |= {group: {**part(group, option)} for group, option in chosen.items()}
    values["objective"]["cost"] = cost
    values["study"]["space"] = space
    return read(values, str)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"engine": "keras_tuner"},
            "engine: keras_tuner searches by one objective, and objective.cost=parameters asks for a "
            "front (set engine=optuna, or objective.cost=null)",
        ),
        (
            {"pruner": "median"},
            "pruner: MedianPruner stops what falls behind in val_accuracy, and objective.cost=parameters "
            "asks for a front, of which a cheap network may be a part that falls behind (add pruner=none)",
        ),
        ({"pruner": "asha"}, "pruner: SuccessiveHalvingPruner stops what falls behind"),
        (
            {"sampler": "cmaes"},
            "sampler: CmaEsSampler suggests by one objective, and objective.cost=parameters asks for a "
            "front (add sampler=nsga2 or sampler=tpe, or set objective.cost=null)",
        ),
        (
            {"space": DROPOUT},
            "objective.cost: parameters are the same in every trial, as nothing in study.space changes how "
            "large a network is (let model.hidden_units or model.depth vary, or set objective.cost=null)",
        ),
        ({"cost": "multiply_adds", "space": DROPOUT}, "multiply_adds are the same in every trial"),
        ({"cost": "seconds"}, "expected 'parameters', 'train_seconds' or 'multiply_adds', got"),
        ({"cost": "test_accuracy"}, "objective.cost: expected 'parameters'"),
        ({"cost": ["parameters"]}, "objective.cost: expected 'parameters'"),
    ],
)
def test_what_goes_by_one_objective_is_refused_with_the_remedy(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        front(**options)
    assert said in str(caught.value)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", sorted({*options("sampler")} - {"cmaes"}))
def test_every_other_sampler_searches_a_front(sampler: str) -> None:
    assert front(sampler=sampler).run.objective.cost == "parameters"


def test_seconds_vary_with_everything() -> None:
    assert front("train_seconds", DROPOUT)


@pytest.mark.parametrize(
    ("cost", "order", "says"),
    [
        ("train_seconds", "fixed", True),
        ("train_seconds", "free", False),
        ("parameters", "fixed", False),
    ],
)
def test_that_seconds_are_others_each_time_is_said_where_an_order_promises_the_same(
    cost: str, order: str, says: bool
) -> None:
    setup = front(cost)
    study = setup.study.model_copy(update={"order": order})
    said = Setup(**{**vars(setup), "study": study}).words_on_cost()
    assert (said is not None) == says
    if said is not None:
        assert "the seed does not give this study again" in said


def test_without_a_cost_nothing_is_refused() -> None:
    assert front(None, sampler="cmaes", pruner="median", space=DROPOUT)
    assert front(None, sampler="nsga2"), "a genetic algorithm for one objective"
