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
from search.launchers.base import LocalConfig, RayConfig, launcher_config
from search.parse import parse
from search.space import Space
from search.study import StudyConfig

_GRID = "search.engines.optuna.GridSampler"
_DEFAULT_ORACLE = "search.oracles.random.RandomOracle"


class EngineConfig(Section):
    """Which library suggests trials."""

    name: Literal["optuna", "keras_tuner"]


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

    `grid_size`: how many points a grid has; None for other samplers. `make_oracle`: None for Optuna.
    """

    run: RunConfig
    study: StudyConfig
    space: Space
    engine: EngineConfig
    launcher: LocalConfig | RayConfig
    tracking: TrackingConfig
    storage: StorageConfig
    make_sampler: Callable[..., Any]
    sampler_seed: int | None
    grid_size: int | None
    pruner: Any
    make_oracle: Callable[[], Any] | None
    values: Mapping[str, Any]

    @property
    def search(self) -> dict[str, str]:
        """The engine and what of it suggests and prunes, by name."""
        parts = ("sampler", "pruner") if self.make_oracle is None else ("oracle",)
        names = {part: _class_name(self.values[part]) for part in parts}
        return {"engine": self.engine.name, **names}


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
    make_oracle = None
    if engine.name == "keras_tuner":
        make_oracle = _oracle(values["oracle"], run, space)
    elif values["oracle"]["_target_"] != _DEFAULT_ORACLE:
        raise ConfigError("oracle: is KerasTuner's, but engine=optuna (add engine=keras_tuner)")
    grids = make_oracle is None and values["sampler"].get("_target_") == _GRID
    grid = space.grid() if grids else None
    arguments = {} if grid is None else {"search_space": grid}
    make_sampler = partial(build, values["sampler"], "sampler", **arguments)
    make_sampler()  # its own checks, before anything is created
    seed = values["sampler"].get("seed")
    return Setup(
        run=run,
        study=study,
        space=space,
        engine=engine,
        launcher=launcher_config(values["launcher"]),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        make_sampler=make_sampler,
        sampler_seed=seed,
        grid_size=None if grid is None else math.prod(map(len, grid.values())),
        pruner=build(values["pruner"], "pruner"),
        make_oracle=make_oracle,
        values=values,
    )


def _oracle(spec: Mapping[str, Any], run: RunConfig, space: Space) -> Callable[[], Any]:
    # Only here, because KerasTuner takes two seconds to import.
    from search.engines.keras_tuner import KerasTunerEngine

    make_oracle = partial(build, spec, "oracle")
    KerasTunerEngine(run.objective.direction, space, make_oracle, ())  # its own checks
    return make_oracle


def _class_name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]
