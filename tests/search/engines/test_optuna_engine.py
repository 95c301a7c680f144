"""Optuna's samplers and pruners behind the engine contract, and what only Optuna has."""

import ast
import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage

from pipeline.command.compose import CONF
from pipeline.command.errors import ConfigError
from search.engines.memory import Memory
from search.setup.read import read
from search.study.vocabulary import Engine, Entry, Told
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from tests.search.conftest import DROPOUT, ROOT, Copies, composed, engine_of, setup_of, study_of
from tests.search.engines.engine_contract import EngineContract, Session
from tests.search.play import Play

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),  # QMC, for one
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # CMA-ES's x0 and sigma0
]


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


class OptunaContract(EngineContract):
    """What every sampler keeps."""


class TestTpe(OptunaContract):
    overrides = ("sampler=tpe", "sampler.n_startup_trials=2")

    def test_it_learns_from_what_it_is_told(self, copies: Copies) -> None:
        """After its random trials it suggests other points than where no results were told."""
        told, untold = self.begin(copies.next()), self.begin(copies.next())
        for _ in range(self.trials):
            told.trial()
            untold.end(untold.ask(), "failed")
        params = [[entry.params for entry in session.table.entries()] for session in (told, untold)]
        assert params[0][:2] == params[1][:2]
        assert params[0][2:] != params[1][2:]

    def test_the_parameters_that_trials_share_are_told_from_one_of_them(
        self, copies: Copies, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not from all: asking stays quick in a large study, with many that run."""
        seen: list[int] = []
        read = optuna.trial.FrozenTrial.distributions
        noted = property(lambda trial: seen.append(trial.number) or trial._distributions, read.fset)
        session = self.begin(copies.next())
        for _ in range(self.trials):
            session.trial()
        monkeypatch.setattr(optuna.trial.FrozenTrial, "distributions", noted)
        session.trial()
        assert set(seen) & set(range(self.trials)) == {0}


class TestRandom(OptunaContract):
    overrides = ("sampler=random",)


class TestQmc(OptunaContract):
    overrides = ("sampler=qmc",)


class TestCmaes(OptunaContract):
    overrides = ("sampler=cmaes", "sampler.popsize=4")


@pytest.mark.slow
class TestNsga2(OptunaContract):
    overrides = ("sampler=nsga2", "sampler.population_size=2")


class TestGrid(OptunaContract):
    overrides = ("sampler=grid",)
    exhaustive = True
    space: Mapping[str, Any] = {
        "model": {"depth": {"low": 1, "high": 3}, "l2": {"low": 0.0, "high": 0.1, "step": 0.1}},
        "train": {"optimizer": ["adam", "sgd"]},
    }

    ordered = 12
    uncountable: Mapping[str, Any] | None = {
        "model": {"depth": [0], "dropout": {"low": 0.0, "high": 0.5, "step": 0.1}}
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

    def test_a_space_without_end_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="a grid needs a step or a list of choices"):
            setup_of("sampler=grid", space=DROPOUT)


def test_no_private_name_of_optunas_is_used() -> None:
    """Attributes with an underscore are the engine's own."""
    theirs = {name for cls in (optuna.Study, InMemoryStorage, BaseSampler) for name in dir(cls)}
    theirs |= set(vars(optuna.create_study())) | set(vars(InMemoryStorage()))
    for file in sorted((ROOT / "search" / "engines").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                own = isinstance(node.value, ast.Name) and node.value.id == "self"
                assert own or node.attr == "__init__", f"{file.name}: {node.attr}"
            assert not (isinstance(node, ast.Name) and node.id == "vars"), file.name
    assert not {name for name in vars(Memory()) if name not in theirs} - {"_shown"}


def test_every_sampler_of_the_configuration_keeps_the_contract() -> None:
    tested = {cls.overrides[0].removeprefix("sampler=") for cls in OptunaContract.__subclasses__()}
    assert tested == set(options("sampler"))


# Pruners. Values grow from 0 to 0.9 in good trials and stay near 0 in the bad one.

PRUNERS = {
    "median": ("pruner.n_startup_trials=3", "pruner.n_warmup_steps=1"),
    "percentile": ("pruner.n_startup_trials=3", "pruner.n_warmup_steps=1"),
    "hyperband": (),
    "asha": (),
    "none": (),
}


def engine(*overrides: str, entries: Sequence[Entry] = ()) -> Engine:
    return engine_of(setup_of("train.epochs=9", *overrides, space=DROPOUT), entries)


def train(subject: Engine, number: int, values: Mapping[int, float]) -> int | None:
    """The epoch at which trial `number` is pruned on its way along `values`, if it is."""
    for epoch in values:
        if subject.report(number, {each: values[each] for each in values if each <= epoch}):
            return epoch
    return None


def pruned_at(*overrides: str, value: float) -> int | None:
    """The epoch at which a trial is pruned that stays at `value`, after five that reached 0.9."""
    subject = engine(*overrides)
    for number in range(5):
        subject.ask(1)
        good = {epoch: 0.1 * epoch for epoch in range(1, 10)}
        train(subject, number, good)
        subject.tell(Told(number, "complete", 0.9, good))
    subject.ask(1)
    return train(subject, 5, dict.fromkeys(range(1, 10), value))


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_a_pruner_prunes_a_bad_trial(pruner: str) -> None:
    assert pruned_at(f"pruner={pruner}", *PRUNERS[pruner], value=0.01) is not None


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_lets_the_best_trial_go_on(pruner: str) -> None:
    assert pruned_at(f"pruner={pruner}", *PRUNERS[pruner], value=0.95) is None


def test_without_a_pruner_the_worst_trial_goes_on() -> None:
    assert pruned_at("pruner=none", value=0.0) is None


def test_a_pruner_looks_for_small_values_where_the_objective_is_minimized() -> None:
    minimize = ("objective.metric=val_loss", "objective.direction=minimize")
    assert pruned_at("pruner=median", *PRUNERS["median"], *minimize, value=5.0) is not None


def test_a_trial_trains_its_warm_up_epochs_before_it_is_pruned() -> None:
    overrides = ("pruner=median", "pruner.n_startup_trials=3", "pruner.n_warmup_steps=4")
    assert pruned_at(*overrides, value=0.0) == 4


@pytest.mark.filterwarnings("error")
def test_a_new_attempt_is_not_judged_by_later_epochs_of_the_one_that_was_cut_short() -> None:
    """Within its warm-up it goes on, though the attempt before had got past that."""
    subject = engine("pruner=median", "pruner.n_startup_trials=1", "pruner.n_warmup_steps=2")
    subject.ask(2)
    assert train(subject, 0, {1: 0.5, 2: 0.5, 3: 0.5}) is None
    good = dict.fromkeys(range(1, 5), 0.9)
    train(subject, 1, good)
    subject.tell(Told(1, "complete", 0.9, good))
    assert train(subject, 0, {1: 0.5, 2: 0.5}) == 2


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_decides_after_a_restart_as_if_there_had_been_none(url: str, pruner: str) -> None:
    """At every epoch of the next trial, whatever trials there are. Its notes come from the database."""
    setup = setup_of(
        "train.epochs=9", "sampler=random", f"pruner={pruner}", *PRUNERS[pruner], space=DROPOUT
    )
    table = TrialTable.open(url, study_of(setup))
    whole = Session(setup, table, engine_of(setup, ()))
    storage = open_storage(url)
    values = [0.5, 0.6, 0.2, 0.7, 0.1, 0.65, 0.3, 0.61, 0.05, 0.66, 0.62, 0.69]
    for number, value in enumerate(values):
        anew = engine_of(setup, TrialTable(storage, table.name).entries())
        anew.ask(1)
        stops = train(anew, number, {epoch: value * (1 - 0.5**epoch) for epoch in range(1, 9)})
        fails = number % 4 == 3  # after two rungs
        whole.end(whole.ask(), "failed" if fails else "complete", value, epochs=5)
        last = table.entries()[number].history[-1].epoch
        if not fails:
            assert last == (stops or 9)
    states = {entry.state for entry in table.entries()}
    assert states == {"complete", "failed"} | ({"pruned"} if pruner != "none" else set())


@pytest.mark.parametrize("curve", [{}, {1: 0.2}])
@pytest.mark.parametrize("overrides", [("pruner=asha",), ("pruner=hyperband",)])
def test_a_trial_is_told_of_by_its_last_attempt_alone(
    overrides: tuple[str, ...], curve: dict[int, float]
) -> None:
    """The attempt before it got further, and its rungs are not those of the trial."""
    good = {epoch: 0.1 * epoch for epoch in range(1, 9)}
    cut_short, whole = engine(*overrides), engine(*overrides)
    for subject in (cut_short, whole):
        subject.ask(4)
    train(cut_short, 0, good)
    notes = []
    for subject in (cut_short, whole):
        train(subject, 0, curve)
        notes.append(subject.tell(Told(0, "failed", None, curve)))
    assert notes[0] == notes[1]
    for number in (1, 2, 3):
        middling = {epoch: 0.05 * epoch for epoch in range(1, 9)}
        assert train(cut_short, number, middling) == train(whole, number, middling)


def test_a_pruned_trial_has_the_value_at_which_its_last_attempt_was_pruned() -> None:
    """Not that of a later epoch, which an attempt before it got to: TPE learns from it."""
    overrides = ("sampler.n_startup_trials=2", "pruner=none", "train.epochs=9")
    suggested = []
    for before in ({}, dict.fromkeys(range(1, 9), 0.9)):
        subject = engine_of(setup_of(*overrides, space=DROPOUT), ())
        subject.ask(4)
        train(subject, 0, before)
        for number in range(4):
            curve = {1: 0.1 * number, 2: 0.1 * number}
            train(subject, number, curve)
            subject.tell(Told(number, "pruned", None, curve))
        suggested.append(subject.ask(3))
    assert suggested[0] == suggested[1]


@pytest.mark.parametrize("pruner", PRUNERS)
def test_in_fixed_order_a_pruner_decides_the_same_whatever_the_timing(pruner: str) -> None:
    """And whatever attempts were cut short."""
    overrides = ("train.epochs=9", "sampler.n_startup_trials=3", f"pruner={pruner}")
    setup = setup_of(*overrides, *PRUNERS[pruner], "study.order=fixed", space=DROPOUT)
    quiet = Play(setup, workers=2).run(24)
    states = {told.state for _, told in quiet if told is not None}
    assert ("pruned" in states) == (pruner != "none")
    for chance in (1, 2):
        assert Play(setup, 2, chance, deaths=0.03, restarts=0.03).run(24) == quiet


def test_in_free_order_timing_has_a_say() -> None:
    """What the fixed order is for: these studies differ."""
    setup = setup_of("train.epochs=9", "sampler.n_startup_trials=3", space=DROPOUT)
    assert Play(setup, 2, chance=1).run(24) != Play(setup, 2, chance=2).run(24)


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
    "x0": {"model.dropout": 0.2},
    "sigma0": 0.1,
    "warn_independent_sampling": True,
    "consider_pruned_trials": True,
    "popsize": 5,
    "use_separable_cma": True,
    "with_margin": True,
    "lr_adapt": True,
    "population_size": 5,
    "mutation_prob": 0.5,
    "crossover_prob": 0.5,
    "swapping_prob": 0.25,
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
    values = composed(f"{group}={option}")
    values[group][argument] = OTHERS[argument]
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
        (["sampler.seed=abc"], "sampler.seed: expected a whole number, or null, got abc"),
        (["sampler.seed=-1"], "sampler: optuna.samplers.TPESampler: Seed must be between 0"),
        (["sampler.seed=1.5"], "sampler.seed: expected a whole number, or null, got 1.5"),
        (["pruner.n_startup_trials=many"], "pruner"),
    ],
)
def test_a_wrong_argument_is_refused_at_the_door(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        setup_of(*overrides, space=DROPOUT)
