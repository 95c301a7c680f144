"""Optuna's samplers and pruners behind the engine contract, and what only Optuna has."""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.compose import CONF
from pipeline.errors import ConfigError
from search.config import Setup, read
from search.study import Engine
from search.trials import TrialTable
from tests.search.conftest import DROPOUT, Copies, composed, engine_of, setup_of, study_of
from tests.search.engine_contract import EngineContract, Session, belongs
from tests.search.fakes import run_result

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),  # QMC, for one
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # CMA-ES's x0 and sigma0
]


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


class OptunaContract(EngineContract):
    def new_engine(self, setup: Setup, table: TrialTable) -> Engine:
        return engine_of(setup, table)


class TestTpe(OptunaContract):
    overrides = ("sampler=tpe", "sampler.n_startup_trials=2")

    def test_it_learns_from_what_it_is_told(self, copies: Copies) -> None:
        """After its random trials it suggests other points than where no results were told."""
        told, untold = self.begin(copies.next()), self.begin(copies.next())
        for _ in range(self.trials):
            told.trial()
            untold.table.fail(untold.ask(), "no result", ())
        params = [[entry.params for entry in session.table.entries()] for session in (told, untold)]
        assert params[0][:2] == params[1][:2]
        assert params[0][2:] != params[1][2:]


class TestRandom(OptunaContract):
    overrides = ("sampler=random",)


class TestQmc(OptunaContract):
    overrides = ("sampler=qmc",)


class TestCmaes(OptunaContract):
    overrides = ("sampler=cmaes", "sampler.popsize=4")


class TestGrid(OptunaContract):
    overrides = ("sampler=grid",)
    exhaustive = True
    space: Mapping[str, Any] = {
        "model": {"depth": {"low": 1, "high": 3}, "l2": {"low": 0.0, "high": 0.1, "step": 0.1}},
        "train": {"optimizer": ["adam", "sgd"]},
    }

    def test_every_point_is_visited_once(self, url: str) -> None:
        points = self.suggestions(url, count=12)
        wanted = [
            {"model.depth": depth, "model.l2": l2, "train.optimizer": optimizer}
            for depth in (1, 2, 3)
            for l2 in (0.0, 0.1)
            for optimizer in ("adam", "sgd")
        ]
        assert sorted(map(repr, points)) == sorted(map(repr, wanted))

    def test_its_size_is_known(self) -> None:
        assert setup_of(*self.overrides, space=self.space).grid_size == 12
        assert setup_of("sampler=random", space=self.space).grid_size is None

    def test_a_space_without_end_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="a grid needs a step or a list of choices"):
            setup_of("sampler=grid", space=DROPOUT)


def test_every_sampler_of_the_configuration_keeps_the_contract() -> None:
    tested = {cls.overrides[0].removeprefix("sampler=") for cls in OptunaContract.__subclasses__()}
    assert tested == set(options("sampler"))


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes"])
def test_a_trial_left_with_part_of_its_parameters_is_completed(url: str, sampler: str) -> None:
    """A coordinator may die between the draw of one parameter and the next."""
    setup = setup_of(f"sampler={sampler}", space=TestTpe.space)
    table = TrialTable.open(url, study_of(setup))
    engine_of(setup, table)
    half = table.optuna_study.ask()
    half.suggest_float("model.dropout", 0.0, 0.5)
    after = TrialTable.open(url, study_of(setup))
    trial = engine_of(setup, after).resume(0)
    assert belongs(setup.space, trial.params)
    assert trial.params["model.dropout"] == half.params["model.dropout"]
    assert after.entries()[0].params == trial.params


def test_a_grid_point_left_with_none_of_its_parameters_is_completed(url: str) -> None:
    setup = setup_of("sampler=grid", space=TestGrid.space)
    table = TrialTable.open(url, study_of(setup))
    session = Session(setup, table, engine_of(setup, table))
    session.trial()
    engine_of(setup, table)
    table.optuna_study.ask()
    after = TrialTable.open(url, study_of(setup))
    session = Session(setup, after, engine_of(setup, after))
    session.end(session.engine.resume(1))
    points = [entry.params for entry in after.entries()]
    points += [session.trial().params for _ in range(10)]
    assert len({tuple(point.values()) for point in points}) == 12


# Pruners. Values grow from 0 to 0.9 in good trials and stay near 0 in the bad one.

PRUNERS = {
    "median": ("pruner.n_startup_trials=3", "pruner.n_warmup_steps=1"),
    "percentile": ("pruner.n_startup_trials=3", "pruner.n_warmup_steps=1"),
    "hyperband": (),
    "asha": (),
    "none": (),
}


def pruned_at(url: str, *overrides: str, value: float) -> int | None:
    """The epoch at which a trial is pruned that stays at `value`, after five that reached 0.9."""
    setup = setup_of("train.epochs=9", *overrides, space=DROPOUT)
    table = TrialTable.open(url, study_of(setup))
    engine = engine_of(setup, table)
    for _ in range(5):
        trial = engine.ask()
        for epoch in range(1, 10):
            engine.report(trial, epoch, 0.1 * epoch)
        table.complete(trial, run_result([0.9]), {})
    trial = engine.ask()
    return next((epoch for epoch in range(1, 10) if engine.report(trial, epoch, value)), None)


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_a_pruner_prunes_a_bad_trial(url: str, pruner: str) -> None:
    assert pruned_at(url, f"pruner={pruner}", *PRUNERS[pruner], value=0.01) is not None


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_lets_the_best_trial_go_on(url: str, pruner: str) -> None:
    assert pruned_at(url, f"pruner={pruner}", *PRUNERS[pruner], value=0.95) is None


def test_without_a_pruner_the_worst_trial_goes_on(url: str) -> None:
    assert pruned_at(url, "pruner=none", value=0.0) is None


def test_a_pruner_looks_for_small_values_where_the_objective_is_minimized(url: str) -> None:
    minimize = ("objective.metric=val_loss", "objective.direction=minimize")
    assert pruned_at(url, "pruner=median", *PRUNERS["median"], *minimize, value=5.0) is not None


def test_a_trial_trains_its_warm_up_epochs_before_it_is_pruned(url: str) -> None:
    overrides = ("pruner=median", "pruner.n_startup_trials=3", "pruner.n_warmup_steps=4")
    assert pruned_at(url, *overrides, value=0.0) == 4


@pytest.mark.filterwarnings("error")
def test_a_new_attempt_is_not_pruned_before_it_gets_past_the_one_that_was_cut_short(
    url: str,
) -> None:
    """Epochs that were reported once stay as they are: they are not judged, or warned about, again."""
    overrides = ("pruner=median", "pruner.n_startup_trials=1", "pruner.n_warmup_steps=0")
    setup = setup_of(*overrides, space=DROPOUT)
    table = TrialTable.open(url, study_of(setup))
    engine = engine_of(setup, table)
    cut_short, better = (dataclasses.replace(engine.ask(), attempt=1) for _ in range(2))
    assert [engine.report(cut_short, epoch, 0.5) for epoch in (1, 2)] == [False, False]
    for epoch in range(1, 5):
        engine.report(better, epoch, 0.9)
    table.complete(better, run_result([0.9]), {})
    again = dataclasses.replace(cut_short, attempt=2)
    verdicts = [engine.report(again, epoch, 0.5) for epoch in (1, 2, 3)]
    assert verdicts == [False, False, True]


def test_every_pruner_of_the_configuration_is_tested() -> None:
    assert set(PRUNERS) == set(options("pruner"))


# The constructors' arguments.

OTHERS: dict[str, Any] = {
    "seed": 7,
    "n_startup_trials": 3,
    "n_ei_candidates": 12,
    "multivariate": False,
    "group": True,
    "constant_liar": False,
    "x0": "{model.dropout: 0.2}",
    "sigma0": 0.1,
    "warn_independent_sampling": True,
    "consider_pruned_trials": True,
    "popsize": 5,
    "use_separable_cma": True,
    "with_margin": True,
    "lr_adapt": True,
    "qmc_type": "halton",
    "scramble": False,
    "warn_asynchronous_seeding": True,
    "min_resource": 2,
    "max_resource": 7,
    "reduction_factor": 2,
    "min_early_stopping_rate": 1,
    "bootstrap_count": 3,
    "n_warmup_steps": 1,
    "interval_steps": 2,
    "n_min_trials": 2,
    "percentile": 50.0,
}
"""Another value for each argument, one that goes with the other defaults."""


def arguments() -> list[tuple[str, str, str]]:
    return [
        (group, option, argument)
        for group in ("sampler", "pruner")
        for option in options(group)
        for argument in composed(f"{group}={option}")[group]
        if argument != "_target_"
    ]


@pytest.mark.parametrize(("group", "option", "argument"), arguments())
def test_an_argument_reaches_the_constructor(
    group: str, option: str, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna keeps its arguments to itself, so the constructor is listened to."""
    values = composed(f"{group}={option}", f"{group}.{argument}={OTHERS[argument]}")
    module, _, name = values[group]["_target_"].rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    constructor = cls.__init__
    given: list[Mapping[str, Any]] = []

    def listen(self: object, *positional: object, **named: object) -> None:
        given.append(inspect.signature(constructor).bind(self, *positional, **named).arguments)
        constructor(self, *positional, **named)

    monkeypatch.setattr(cls, "__init__", listen)
    values["study"]["space"] = TestGrid.space if option == "grid" else DROPOUT
    read(values, str)
    assert given
    assert all(call[argument] == values[group][argument] for call in given)


def test_other_values_are_other_values() -> None:
    same = [
        f"{group}={option} {argument}"
        for group, option, argument in arguments()
        if composed(f"{group}={option}")[group][argument] == OTHERS[argument]
    ]
    assert not same


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+sampler.n_startup=3"], "sampler: optuna.samplers.TPESampler: .*n_startup"),
        (["sampler=qmc", "sampler.qmc_type=sobel"], "sampler: optuna.samplers.QMCSampler: .*sobel"),
        (["+pruner.warmup=3"], "pruner: optuna.pruners.MedianPruner: .*warmup"),
        (
            ["pruner=percentile", "pruner.percentile=101"],
            "pruner: .*PercentilePruner: .*percentile",
        ),
        (["pruner=asha", "pruner.reduction_factor=1"], "pruner: .*SuccessiveHalvingPruner: .*"),
        (["sampler._target_=optuna.samplers.Nope"], "sampler: optuna.samplers.Nope"),
        (["sampler.seed=abc"], "sampler: optuna.samplers.TPESampler: "),
        (["sampler.seed=-1"], "sampler: optuna.samplers.TPESampler: Seed must be between 0"),
        (["sampler.seed=1.5"], "sampler: optuna.samplers.TPESampler: "),
        (["pruner.n_startup_trials=many"], "pruner"),
    ],
)
def test_a_wrong_argument_is_refused_at_the_door(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        setup_of(*overrides, space=DROPOUT)
