"""What a study of two objectives can't have."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.command.compose import build
from pipeline.command.errors import ConfigError
from pipeline.run.config import RunConfig
from search.engines.optuna import takes_two
from search.study.space import Space
from search.trial_table.terms import directions

NO_PRUNER = "optuna.pruners.NopPruner"

_SIZELESS = {"model.dropout", "model.activation", "model.l1", "model.l2"}
"""The settings of a network that change nothing of its size."""


def refuse_without_front(values: Mapping[str, Any], run: RunConfig, space: Space) -> None:
    """Raise ConfigError where a study with `objective.cost` has what goes by the objective alone."""
    cost = run.objective.cost
    if cost is None:
        return
    asked = f"objective.cost={cost} asks for a front"
    if values["engine"]["name"] == "keras_tuner":
        raise ConfigError(
            f"engine: keras_tuner searches by one objective, and {asked} (set engine=optuna, or "
            "objective.cost=null)"
        )
    if values["pruner"].get("_target_") != NO_PRUNER:
        raise ConfigError(
            f"pruner: {_name(values['pruner'])} stops what falls behind in {run.objective.metric}, and "
            f"{asked}, of which a cheap network may be a part that falls behind (add pruner=none)"
        )
    if cost != "train_seconds" and not any(map(_sizes, space.fields())):
        raise ConfigError(
            f"objective.cost: {cost} are the same in every trial, as nothing in study.space changes how "
            "large a network is (let model.hidden_units or model.depth vary, or set objective.cost=null)"
        )
    make_sampler = partial(build, values["sampler"], "sampler")
    if not takes_two(make_sampler, directions(run.objective)):
        raise ConfigError(
            f"sampler: {_name(values['sampler'])} suggests by one objective, and {asked} (add sampler=nsga2 "
            "or sampler=tpe, or set objective.cost=null)"
        )


def _sizes(path: str) -> bool:
    """Whether the setting at `path` may decide how large a network is."""
    return path.startswith("model.") and path not in _SIZELESS


def _name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]
