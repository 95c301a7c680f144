"""From a composed configuration to frozen objects, once, at the door."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.compose import build
from pipeline.config import RunConfig, Section, TrackingConfig, unambiguous, validated
from pipeline.errors import ConfigError
from pipeline.train import run_config
from search.engines.optuna import OptunaEngine
from search.launchers.base import LocalConfig, RayConfig, launcher_config
from search.parse import parse
from search.space import Space
from search.study import Engine, Entry, StudyConfig

_GRID = "search.engines.optuna.GridSampler"
_DEFAULT_ORACLE = "search.oracles.random.RandomOracle"


class EngineConfig(Section):
    """Which library suggests trials."""

    name: Literal["optuna", "keras_tuner"]


class StorageConfig(Section):
    """Where the trial table is. `url`: an SQLAlchemy URL. `weights`: folder for trials' weights."""

    url: Annotated[str, Field(pattern=r"^\w[\w+]*://"), unambiguous("storage.url")]
    weights: Annotated[str, Field(min_length=1)]


class ReportConfig(Section):
    """`path`: the file that `python -m search.report` writes."""

    path: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Setup:
    """Everything that a study needs, checked. `values`: the configuration as it was composed.

    `make_engine`: from the trials in the table to the engine that goes on from them. `grid_size`: how
    many points Optuna's grid has; None for what suggests otherwise.
    """

    run: RunConfig
    study: StudyConfig
    space: Space
    engine: EngineConfig
    make_engine: Callable[[Sequence[Entry]], Engine]
    grid_size: int | None
    launcher: LocalConfig | RayConfig
    tracking: TrackingConfig
    storage: StorageConfig
    values: Mapping[str, Any]

    def check_oracle(self) -> None:
        """Raise ConfigError where KerasTuner refuses the oracle or the space: importing it takes seconds."""
        if self.engine.name == "keras_tuner":
            self.make_engine(())

    @property
    def suggests(self) -> dict[str, Any]:
        """What suggests trials, with all its settings: another one may have more to suggest."""
        part = "sampler" if self.engine.name == "optuna" else "oracle"
        return {"engine": self.engine.name, part: self.values[part]}

    @property
    def search(self) -> dict[str, str]:
        """The engine and what of it suggests and prunes, by name."""
        parts = ("sampler", "pruner") if self.engine.name == "optuna" else ("oracle",)
        names = {part: _class_name(self.values[part]) for part in parts}
        return {"engine": self.engine.name, **names}


def read(values: Mapping[str, Any], studies: Callable[[], str]) -> Setup:
    """Check the configuration, all but the oracle. Raises ConfigError; nothing is created.

    `studies`: text that lists what can be chosen, for the error when no study was.
    """
    if values["study"]["name"] is None:
        raise ConfigError(f"study.name: is missing; choose a study with +study=NAME:\n{studies()}")
    run = run_config(values)
    study = validated(StudyConfig, values["study"], "study")
    space = parse(study.space, run)
    engine = validated(EngineConfig, values["engine"], "engine")
    grid_size: int | None = None
    make_engine: Callable[[Sequence[Entry]], Engine]
    if engine.name == "keras_tuner":  # sampler and pruner, a study's own too, have no say
        make_engine = _keras_tuner(values["oracle"], run, space)
    else:
        if values["oracle"]["_target_"] != _DEFAULT_ORACLE:
            raise ConfigError("oracle: is KerasTuner's, but engine=optuna (add engine=keras_tuner)")
        grid = space.grid() if values["sampler"].get("_target_") == _GRID else None
        if grid is not None:
            grid_size = math.prod(map(len, grid.values()))
        make_engine = _optuna(values, run, study, space, grid)
        make_engine(())  # its own checks, before anything is created
    return Setup(
        run=run,
        study=study,
        space=space,
        engine=engine,
        make_engine=make_engine,
        grid_size=grid_size,
        launcher=launcher_config(values["launcher"]),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        values=values,
    )


def _optuna(
    values: Mapping[str, Any],
    run: RunConfig,
    study: StudyConfig,
    space: Space,
    grid: Mapping[str, Any] | None,
) -> Callable[[Sequence[Entry]], Engine]:
    arguments = {} if grid is None else {"search_space": grid}
    return partial(
        OptunaEngine,
        study.name,
        run.objective.direction,
        run.objective.metric,
        space,
        partial(build, values["sampler"], "sampler", **arguments),
        values["sampler"].get("seed"),
        build(values["pruner"], "pruner"),
    )


def _keras_tuner(
    spec: Mapping[str, Any], run: RunConfig, space: Space
) -> Callable[[Sequence[Entry]], Engine]:
    def make(entries: Sequence[Entry]) -> Engine:
        # Only here, because KerasTuner takes two seconds to import.
        from search.engines.keras_tuner import KerasTunerEngine

        oracle = partial(build, spec, "oracle")
        return KerasTunerEngine(run.objective.direction, space, oracle, entries)

    return make


def _class_name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]
