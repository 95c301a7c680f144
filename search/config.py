"""From a composed configuration to frozen objects, once, at the door."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.compose import build
from pipeline.config import RunConfig, Section, TrackingConfig, validated
from pipeline.errors import ConfigError
from pipeline.train import run_config
from search.launchers.base import LauncherConfig
from search.parse import parse
from search.space import Space
from search.study import StudyConfig

_GRID = "search.engines.optuna.GridSampler"


class EngineConfig(Section):
    """Which library suggests trials."""

    name: Literal["optuna"]


class StorageConfig(Section):
    """Where the trial table is. `url`: an SQLAlchemy URL. `weights`: folder for trials' weights."""

    url: Annotated[str, Field(pattern=r"^\w[\w+]*://")]
    weights: Annotated[str, Field(min_length=1)]


class ReportConfig(Section):
    """`path`: the file that `python -m search.report` writes."""

    path: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Setup:
    """Everything that a study needs, checked. `values`: the configuration as it was composed.

    `grid_size`: how many points a grid has; None for other samplers.
    """

    run: RunConfig
    study: StudyConfig
    space: Space
    engine: EngineConfig
    launcher: LauncherConfig
    tracking: TrackingConfig
    storage: StorageConfig
    make_sampler: Callable[..., Any]
    sampler_seed: int | None
    grid_size: int | None
    pruner: Any
    values: Mapping[str, Any]

    @property
    def search(self) -> dict[str, str]:
        """Engine, sampler and pruner by name."""
        return {
            "engine": self.engine.name,
            "sampler": _class_name(self.values["sampler"]),
            "pruner": _class_name(self.values["pruner"]),
        }


def read(values: Mapping[str, Any], studies: Callable[[], str]) -> Setup:
    """Check the whole configuration. Raises ConfigError; nothing is created.

    `studies`: text that lists what can be chosen, for the error when no study was.
    """
    if values["study"]["name"] is None:
        raise ConfigError(f"study.name: is missing; choose a study with +study=NAME:\n{studies()}")
    run = run_config(values)
    study = validated(StudyConfig, values["study"], "study")
    space = parse(study.space, run)
    engine = validated(EngineConfig, values["engine"], "engine")
    grid = space.grid() if values["sampler"].get("_target_") == _GRID else None
    arguments = {} if grid is None else {"search_space": grid}
    make_sampler = partial(build, values["sampler"], "sampler", **arguments)
    make_sampler()  # its own checks, before anything is created
    seed = values["sampler"].get("seed")
    return Setup(
        run=run,
        study=study,
        space=space,
        engine=engine,
        launcher=validated(LauncherConfig, values["launcher"], "launcher"),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        make_sampler=make_sampler,
        sampler_seed=seed,
        grid_size=None if grid is None else math.prod(map(len, grid.values())),
        pruner=build(values["pruner"], "pruner"),
        values=values,
    )


def _class_name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]
