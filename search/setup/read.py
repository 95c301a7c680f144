"""From a composed configuration to frozen objects, once, at the door."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.command import public
from pipeline.command.compose import build, conf_folder, maker
from pipeline.command.errors import ConfigError
from pipeline.command.overrides import key
from pipeline.command.section import Section, as_override, validated
from pipeline.data import validation_start
from pipeline.run.config import RunConfig, run_config
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.record import DatasetInfo
from search.engines.learning import check_learns
from search.engines.optuna import OptunaAlgorithm
from search.engines.order import Algorithm, MakeAlgorithm, OrderedEngine, drawn_seed, workers_of
from search.engines.points import Points, Wanted, points
from search.engines.sampler import mixed
from search.engines.weighed import weighs
from search.setup.front import NO_PRUNER, refuse_without_front
from search.study.parse import parse
from search.study.space import Space
from search.study.untried import Point, Runs
from search.study.vocabulary import Engine, Entry, Record, StudyConfig, record
from search.trial_table.attributes import Past
from search.trial_table.storage import StorageConfig
from search.trial_table.terms import directions
from search.workers.messages import LocalConfig, RayConfig, launcher_config

_GRID = "search.engines.optuna.GridSampler"
_PARTS = {"optuna": ("sampler", "pruner"), "keras_tuner": ("oracle",)}
"""What each engine suggests and prunes by."""

_DEFAULT_SAMPLER = "optuna.samplers.TPESampler"
_DEFAULT_ORACLE = "search.engines.oracles.random.RandomOracle"
_GAUSSIAN = "search.engines.oracles.bayesian.BayesianOracle"


class ForecastConfig(Section):
    """`measured`: file that keeps what was measured on machines. `fresh`: whether that is done again."""

    measured: Annotated[str, Field(min_length=1)]
    fresh: bool = False


class EngineConfig(Section):
    """Which library suggests trials."""

    name: Literal["optuna", "keras_tuner"]


@dataclass(frozen=True)
class Setup:
    """Everything that a study needs, checked. `values`: the configuration as it was composed.

    `algorithm`: what suggests; `seed`: its own, None where it is drawn once. `points`: are tried first.
    """

    run: RunConfig
    study: StudyConfig
    space: Space
    engine: EngineConfig
    algorithm: MakeAlgorithm
    seed: int | None
    points: tuple[Point, ...]
    launcher: LocalConfig | RayConfig
    tracking: TrackingConfig
    storage: StorageConfig
    forecast: ForecastConfig
    values: Mapping[str, Any]

    def check_oracle(self) -> None:
        """Raise ConfigError where the oracle and the space don't fit: importing KerasTuner takes seconds."""
        if self.engine.name == "keras_tuner" and self.algorithm(0, None).continues:
            _refuse_plans(self.run, self.space)

    def training_rows(self, dataset: DatasetInfo) -> int:
        """How many rows of `dataset` are trained on."""
        return self.training_rows_of(dataset.train_shape[0])

    def training_rows_of(self, rows: int) -> int:
        """How many of `rows` are trained on."""
        return validation_start(rows, self.run.train.validation_split)

    def make_engine(
        self,
        entries: Sequence[Entry],
        workers: int,
        rows: int | None = None,
        past: Sequence[Past] = (),
    ) -> Engine:
        """The engine that goes on from the trials in the table, for a launch with `workers`.

        `rows`: how many there are to train on, if that is known. `past`: what it learns from.
        """
        metric = self.run.objective.metric
        return self.engine_from([record(entry, metric) for entry in entries], workers, rows, past)

    def engine_from(
        self,
        records: Sequence[Record],
        workers: int,
        rows: int | None = None,
        past: Sequence[Past] = (),
        points: Points | None = None,
    ) -> Engine:
        """The engine that goes on from `records`; see `make_engine`. `points`: None are the study's own."""
        seed = drawn_seed(records) if self.seed is None else self.seed
        # The same seed alone would draw at random what the study drew that is learnt from.
        of_its_own = mixed(seed, len(past)) if past else seed
        return OrderedEngine(
            self.algorithm(of_its_own, rows, past),
            records,
            workers if self.study.order == "fixed" else None,
            remember={"seed": seed} if self.seed is None else {},
            points=points or Wanted(self.points, (each.suggestion.notes for each in records)),
        )

    def quick_to_ask(self) -> "Setup":
        """The same, but where a Gaussian process would take its time its points are drawn at random."""
        spec = self.values["oracle"]
        if self.engine.name != "keras_tuner" or spec.get("_target_") != _GAUSSIAN:
            return self
        drawn = {"_target_": _DEFAULT_ORACLE, "seed": spec.get("seed")}
        return replace(self, algorithm=_keras_tuner(drawn, self.run, self.space))

    def words_on_engine(self) -> str | None:
        """What a launch must say of a sampler in the study's file that has no say; None: of none."""
        sampler = self.values["sampler"].get("_target_")
        if self.engine.name != "keras_tuner" or sampler == _DEFAULT_SAMPLER:
            return None
        oracle = _class_name(self.values["oracle"])
        return (
            f"engine=keras_tuner: the study's own {str(sampler).rpartition('.')[2]} has no say, {oracle} "
            "suggests (oracle=NAME chooses another)."
        )

    def words_on_cost(self) -> str | None:
        """What a launch must say where the seed gives another study each time, in whatever order."""
        if self.run.objective.cost != "train_seconds" or self.study.order == "free":
            return None
        return (
            "objective.cost=train_seconds: seconds are others each time, and a sampler that learns suggests "
            "by them: the seed does not give this study again (search.replay suggestions=true does, from the "
            "seconds on record)."
        )

    def words_on_order(self, entries: Sequence[Entry], workers: int) -> str | None:
        """What a launch with `workers` must say of the study's order; None where there is nothing."""
        if self.study.order == "free" or not entries:
            return None
        before = workers_of(entries[-1].notes)
        if before == workers:
            return None
        had = "no order" if before is None else f"the order of {before} workers"
        return (
            f"study.order=fixed: its trials so far were suggested in {had}, those to come are in that "
            f"of {workers}; both together are no study that the seed gives again."
        )

    @property
    def prunes(self) -> bool:
        """Whether a trial may be ended before its last epoch."""
        return self.engine.name == "optuna" and self.values["pruner"].get("_target_") != NO_PRUNER

    @property
    def suggests(self) -> dict[str, Any]:
        """What suggests trials, with all its settings: another one may have more to suggest."""
        part = _PARTS[self.engine.name][0]
        return {"engine": self.engine.name, part: public.part(part, self.values[part])}

    @property
    def search(self) -> dict[str, str]:
        """The engine and what of it suggests and prunes, by name."""
        names = {part: _class_name(self.values[part]) for part in _PARTS[self.engine.name]}
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
    _refuse_what_is_anothers(engine.name, getattr(values, "typed", ()))
    refuse_without_front(values, run, space)
    if engine.name == "keras_tuner":  # sampler and pruner of a study's file have no say
        seed = _seed(values["oracle"], "oracle", 0)  # the grid takes none
        algorithm = _keras_tuner(values["oracle"], run, space)
    else:
        if values["oracle"].get("_target_") != _DEFAULT_ORACLE:
            raise ConfigError("oracle: is KerasTuner's, but engine=optuna (add engine=keras_tuner)")
        seed = _seed(values["sampler"], "sampler", None)
        algorithm = _optuna(values, run, space)
        algorithm(seed or 0, None)  # its own checks, before anything is created
    setup = Setup(
        run=run,
        study=study,
        space=space,
        engine=engine,
        algorithm=algorithm,
        seed=seed,
        points=points(study.points, space, run),
        launcher=launcher_config(values["launcher"]),
        tracking=validated(TrackingConfig, values["tracking"], "tracking"),
        storage=validated(StorageConfig, values["storage"], "storage"),
        forecast=validated(ForecastConfig, values["forecast"], "forecast"),
        values=values,
    )
    part = _PARTS[engine.name][0]
    if study.warm_start:
        check_learns(part, setup.search[part], setup.prunes)
    return setup


def _refuse_plans(run: RunConfig, space: Space) -> None:
    """Raise ConfigError where trials go on from others, and their schedules would not."""

    def values(path: str, default: object) -> Sequence[Any]:
        dimension = space.dimensions.get(path)
        return (default,) if dimension is None else dimension.probes()

    train = run.train
    follows = any(kind != "none" for kind in values("train.schedule", train.schedule))
    follows = follows or any(values("train.warmup_epochs", train.warmup_epochs))
    if follows and None in values("train.schedule_epochs", train.schedule_epochs):
        raise ConfigError(
            "train.schedule_epochs: is missing: this oracle trains its best trials further, and a schedule "
            f"over train.epochs would begin anew (set train.schedule_epochs={train.epochs})"
        )


def _seed(spec: Mapping[str, Any], part: str, none: int | None) -> int | None:
    seed: object = spec.get("seed", none)
    if seed is None or type(seed) is int:
        return seed
    raise ConfigError(f"{part}.seed: expected a whole number, or null, got {as_override(seed)}")


def _refuse_what_is_anothers(engine: str, typed: Sequence[str]) -> None:
    """Raise ConfigError where a word that was typed is for the part of another engine."""
    for word in typed:
        part = key(word).partition(".")[0]
        for other, parts in _PARTS.items():
            if other != engine and part in parts:
                suggests = _PARTS[engine][0]
                options = ", ".join(
                    sorted(each.stem for each in (conf_folder() / suggests).glob("*.yaml"))
                )
                raise ConfigError(
                    f"{word}: engine={engine} takes no {part}, it suggests by {suggests}={options} (leave it "
                    f"out, or set engine={other})"
                )


def _optuna(values: Mapping[str, Any], run: RunConfig, space: Space) -> MakeAlgorithm:
    sampler, pruner = values["sampler"], values["pruner"]
    if sampler.get("_target_") == _GRID:
        space.grid()  # there is one
    build(sampler, "sampler")  # its own checks
    make_sampler = maker(sampler, "sampler")

    def make(seed: int, rows: int | None, past: Sequence[Past] = ()) -> Algorithm:
        return OptunaAlgorithm(
            directions(run.objective),
            space,
            Runs(run, space, rows),
            make_sampler,
            seed,
            build(pruner, "pruner"),
            past=past,
            weighs=weighs(_class_name(sampler), sampler),
        )

    return make


def _keras_tuner(spec: Mapping[str, Any], run: RunConfig, space: Space) -> MakeAlgorithm:
    def make(seed: int, rows: int | None, past: Sequence[Past] = ()) -> Algorithm:
        # Only here, because KerasTuner takes two seconds to import.
        from search.engines.keras_tuner import KerasTunerAlgorithm

        oracle = build(spec, "oracle")
        runs = Runs(run, space, rows)
        return KerasTunerAlgorithm(run.objective.direction, space, runs, oracle, seed, past)

    return make


def _class_name(spec: Mapping[str, Any]) -> str:
    return str(spec["_target_"]).rpartition(".")[2]
