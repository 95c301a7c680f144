"""KerasTuner's oracles as an engine: what every engine promises, and Hyperband's brackets.

Below the contract, studies are driven by hand, without table, coordinator and workers.
"""

import ast
import dataclasses
import json
import random
import tomllib
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import pytest

from pipeline.command.compose import CONF, compose
from pipeline.command.errors import ConfigError
from search.engines.keras_tuner import KerasTunerAlgorithm
from search.setup.read import Setup, read
from search.study.vocabulary import Entry, Exhausted, Suggestions, Told, Wait
from search.table.terms import distributions
from tests.conftest import RunPython
from tests.search.conftest import ROOT
from tests.search.engines.engine_contract import EngineContract

ORACLES = ("random", "grid", "bayesian", "hyperband")
EVERYTHING: Mapping[str, Any] = {
    "model": {
        "hidden_units": [32, [64, 32]],
        "dropout": {"low": 0.0, "high": 0.6, "step": 0.1},
        "l2": {"low": 0, "high": 0.1},
    },
    "train": {
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"low": 16, "high": 128, "log": True},
        "patience": [None, 2],
        "optimizer": ["adam", "sgd"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
    },
}
"""Every kind of dimension."""
SIX: Mapping[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.2, "step": 0.1}},
    "train": {"patience": [None, 2]},
}
"""Six points."""
DROPOUT: Mapping[str, Any] = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}

_compose = cache(compose)


def setup_of(oracle: str, space: Mapping[str, Any] = DROPOUT, *overrides: str) -> Setup:
    """The checked configuration of a study with `oracle`."""
    fixed = ("data=digits", "tracking=none", "study.name=test", "train.epochs=9")
    chosen = ("engine=keras_tuner", f"oracle={oracle}")
    values = deepcopy(_compose((*fixed, *chosen, *overrides)))
    values["study"]["space"] = space
    setup = read(values, lambda: "the list of studies")
    setup.check_oracle()
    return setup


def height(params: Mapping[str, Any]) -> float:
    """A value to climb, the same for the same parameters."""
    return random.Random(json.dumps(dict(params), sort_keys=True)).random()


class Session:
    """A coordinator's part with an engine, and the table's: `entries` is what is remembered."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.entries: list[Entry] = []
        self.restart()

    def restart(self) -> None:
        """The coordinator died; another one makes its engine from what is remembered."""
        remembered = json.loads(json.dumps([entry.notes for entry in self.entries]))
        entries = [
            dataclasses.replace(entry, notes=notes)
            for entry, notes in zip(self.entries, remembered, strict=True)
        ]
        self.engine = self.setup.make_engine(entries, workers=1)

    def ask(self) -> Entry | Wait | Exhausted:
        """The next trial, running; or what the engine said instead."""
        answer = self.engine.ask(1)
        if not isinstance(answer, Suggestions):
            return answer
        (asked,) = answer.trials
        number = len(self.entries)
        entry = Entry(
            number=number,
            uid=f"uid-{number}",
            state="running",
            params=asked.params,
            run=self.setup.run,
            started_at=0.0,
            epochs=asked.epochs,
            continues=asked.continues,
            notes=asked.notes,
        )
        self.entries.append(entry)
        return entry

    def end(self, number: int, value: float | None = None) -> None:
        """Trial `number` ended with `value`, by default its height."""
        entry = self.entries[number]
        value = height(entry.params) if value is None else value
        self.entries[number] = dataclasses.replace(entry, state="complete", value=value)
        self.engine.tell(Told(number, "complete", value, {}))

    def fail(self, number: int) -> None:
        """Trial `number` failed."""
        self.entries[number] = dataclasses.replace(self.entries[number], state="failed")
        self.engine.tell(Told(number, "failed", None, {}))

    def trial(self) -> Entry:
        """A whole trial."""
        entry = self.ask()
        assert isinstance(entry, Entry), entry
        self.end(entry.number)
        return self.entries[entry.number]

    def trials(self, count: int) -> list[Any]:
        """What `count` trials, one after the other, are asked with."""
        return [plan(self.trial()) for _ in range(count)]

    def running(self) -> list[int]:
        return [entry.number for entry in self.entries if entry.state == "running"]


def plan(entry: Entry) -> Any:
    """All that was suggested of a trial."""
    return entry.params, entry.epochs, entry.continues, entry.notes


def until_the_end(
    session: Session, workers: int, seed: int = 0, fails: Callable[[Entry], bool] = lambda _: False
) -> None:
    """Run the study until it is exhausted; whichever of the running trials ends is left to chance."""
    chance = random.Random(seed)
    for _ in range(10_000):
        while len(session.running()) < workers:
            if not isinstance(said := session.ask(), Entry):
                break
        if not session.running():
            assert said == Exhausted(), "it waits for nothing"
            return
        number = chance.choice(session.running())
        if fails(session.entries[number]):
            session.fail(number)
        else:
            session.end(number)
    raise AssertionError("the study does not end")


# The contract.


class OracleContract(EngineContract):
    """What every oracle keeps."""

    seed = "oracle.seed"


class TestRandom(OracleContract):
    overrides = ("engine=keras_tuner", "oracle=random")


class TestGrid(OracleContract):
    overrides = ("engine=keras_tuner", "oracle=grid")
    seed = None
    exhaustive = True


@pytest.mark.slow
class TestBayesian(OracleContract):
    overrides = ("engine=keras_tuner", "oracle=bayesian", "oracle.num_initial_points=3")
    space: Mapping[str, Any] = {
        "model": {"dropout": {"low": 0.0, "high": 0.5}},
        "train": {"optimizer": ["adam", "sgd"]},
    }  # its time grows with the dimensions; every kind of them is below
    ordered = 12


class TestHyperband(OracleContract):
    overrides = ("engine=keras_tuner", "oracle=hyperband")
    promotes = True


def test_every_oracle_of_the_configuration_keeps_the_contract() -> None:
    tested = {cls.overrides[1].removeprefix("oracle=") for cls in OracleContract.__subclasses__()}
    assert tested == {file.stem for file in (CONF / "oracle").glob("*.yaml")} == set(ORACLES)


# The space.


@pytest.mark.parametrize("oracle", ORACLES)
def test_suggestions_are_points_of_the_space_as_the_table_stores_them(oracle: str) -> None:
    session = Session(setup_of(oracle, EVERYTHING, *few_random(oracle)))
    space = session.setup.space
    seen: dict[str, set[Any]] = {path: set() for path in space.dimensions}
    for _ in range(7 if oracle == "bayesian" else 16):
        params = session.trial().params
        active = [path for path in space.dimensions if space.is_active(path, params)]
        assert list(params) == active
        space.apply(session.setup.run, params)
        for path, distribution in distributions(space).items():
            if path in params:
                stored = distribution.to_internal_repr(params[path])
                assert distribution._contains(stored), (path, params[path])
                back = distribution.to_external_repr(stored)
                assert (type(back), back) == (type(params[path]), params[path])
                seen[path].add(params[path])
    if oracle in ("random", "hyperband"):
        assert seen["model.hidden_units"] == {32, "[64, 32]"}
        assert seen["train.patience"] == {None, 2}


def few_random(oracle: str) -> tuple[str, ...]:
    """Overrides so that the Gaussian process takes over early."""
    return ("oracle.num_initial_points=4",) if oracle == "bayesian" else ()


def test_a_step_leads_to_the_high_end() -> None:
    """0.6 is no multiple of 0.1 in floating point, but people mean it."""
    space = {"model": {"dropout": {"low": 0.0, "high": 0.6, "step": 0.1}}}
    session = Session(setup_of("grid", space))
    until_the_end(session, workers=1)
    dropouts = [entry.params["model.dropout"] for entry in session.entries]
    assert dropouts == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_bayesian_search_stays_within_logarithmic_bounds() -> None:
    """Its optimum often lies on the edge of the space, where KerasTuner's integers go one beyond."""
    space = {"train": {"batch_size": {"low": 16, "high": 128, "log": True}}}
    session = Session(setup_of("bayesian", space, "oracle.num_initial_points=3"))
    for _ in range(8):
        entry = session.ask()
        assert isinstance(entry, Entry)
        size = entry.params["train.batch_size"]
        assert isinstance(size, int)
        assert 16 <= size <= 128
        session.end(entry.number, float(size))
    sizes = [entry.params["train.batch_size"] for entry in session.entries]
    assert 128 in sizes
    assert len(set(sizes)) == 8


def test_bayesian_search_learns_from_what_it_is_told() -> None:
    setup = setup_of("bayesian", DROPOUT, "oracle.num_initial_points=4")
    one, other = Session(setup), Session(setup)
    for _ in range(8):
        for session, sign in ((one, 1), (other, -1)):
            entry = session.ask()
            assert isinstance(entry, Entry)
            session.end(entry.number, sign * float(entry.params["model.dropout"] or 0))
    params = [[entry.params for entry in session.entries] for session in (one, other)]
    assert params[0][:4] == params[1][:4]
    assert params[0][4:] != params[1][4:]


def test_running_trials_count_as_the_process_expects_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the search would repeat them, or flee from them."""
    from search.engines.oracles.bayesian import BayesianOracle

    costs: list[Any] = []
    original = BayesianOracle._vectorize_trials

    def spy(oracle: Any) -> Any:
        points, values = original(oracle)
        costs.append(values)
        return points, values

    monkeypatch.setattr(BayesianOracle, "_vectorize_trials", spy)
    session = Session(setup_of("bayesian", DROPOUT, "oracle.num_initial_points=4"))
    for _ in range(4):
        entry = session.ask()
        assert isinstance(entry, Entry)
        session.end(entry.number, 100 + height(entry.params))
    session.ask()
    session.ask()
    assert len(costs[-1]) == 5
    assert all(-102 < cost < -99 for cost in costs[-1])


# Seeds and launches.


def test_a_study_with_trials_in_flight_is_the_same_when_it_is_resumed() -> None:
    """Through all rounds of the brackets."""

    def run(restarts: bool) -> list[Any]:
        session = Session(setup_of("hyperband", EVERYTHING))
        chance = random.Random(1)
        for step in range(60):
            while len(session.running()) < 3:
                session.ask()
            number = chance.choice(session.running())
            session.fail(number) if step % 7 == 3 else session.end(number)
            if restarts:
                session.restart()
        return [plan(entry) for entry in session.entries]

    assert run(restarts=True) == run(restarts=False)


@pytest.mark.parametrize("oracle", ORACLES)
def test_trials_of_another_engine_are_taken_up(oracle: str) -> None:
    """A study can go on with another engine; a stepped value of Optuna's is not rounded."""
    session = Session(setup_of(oracle, SIX))
    params = {"model.dropout": 0.1 + 0.1, "train.patience": None}
    facts = {"started_at": 0.0, "params": params}
    session.entries = [
        Entry(number=0, uid="0", state="complete", value=0.5, notes={"trial": {"x": 1}}, **facts),
        Entry(number=1, uid="1", state="pruned", value=0.1, **{**facts, "params": {**params}}),
    ]
    session.restart()
    until_the_end(session, workers=1)
    points = {repr(entry.params) for entry in session.entries[2:]}
    assert repr({"model.dropout": 0.2, "train.patience": None}) not in points


# Finite spaces.


@pytest.mark.parametrize("oracle", ["random", "grid"])
def test_every_point_of_a_conditional_space_is_tried_once(oracle: str) -> None:
    space = {
        "model": {
            "depth": {"low": 1, "high": 2},
            "hidden_units": {"layer1": [8, 16], "layer2": [8, 16]},
        }
    }
    session = Session(setup_of(oracle, space))
    until_the_end(session, workers=2)
    points = sorted(tuple(entry.params.values()) for entry in session.entries)
    assert points == [(1, 8), (1, 16), (2, 8, 8), (2, 8, 16), (2, 16, 8), (2, 16, 16)]


def test_the_last_points_of_a_space_are_found() -> None:
    space = {"model": {"hidden_units": {"low": 1, "high": 300}}}
    session = Session(setup_of("random", space))
    until_the_end(session, workers=1)
    assert sorted(entry.params["model.hidden_units"] for entry in session.entries) == [
        *range(1, 301)
    ]


def test_the_only_branch_with_points_left_is_found() -> None:
    space = {
        "train": {
            "optimizer": ["adam", "sgd", "adamw", "nadam", "adagrad", "rmsprop"],
            "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
        }
    }
    assert len(Session(setup_of("random", space)).trials(300)) == 300


def test_a_grid_keeps_all_workers_busy() -> None:
    session = Session(setup_of("grid", SIX))
    assert all(isinstance(session.ask(), Entry) for _ in range(6))


def test_a_promotion_is_waited_for_when_no_new_point_is_left() -> None:
    session = Session(setup_of("hyperband", SIX))
    for _ in range(6):
        session.ask()
    assert session.ask() == Wait()
    for number in range(5):
        session.end(number)
    promoted = session.ask()
    assert isinstance(promoted, Entry)
    assert promoted.continues in range(5)


# Failures.


@pytest.mark.parametrize("oracle", ORACLES)
def test_nothing_is_pruned(oracle: str) -> None:
    session = Session(setup_of(oracle, SIX))
    session.ask()
    assert session.engine.report(0, {1: 0.0}) is False
    assert session.engine.tell(Told(0, "failed", None, {1: 0.0})) == {}


# Hyperband.


def brackets(session: Session) -> dict[tuple[int, int], list[list[Entry]]]:
    """The trials that ended well by (iteration, bracket), then round."""
    found: dict[tuple[int, int], list[list[Entry]]] = {}
    for entry in session.entries:
        if entry.state == "complete":
            key = (entry.notes["tuner/iteration"], entry.notes["tuner/bracket"])
            rounds = found.setdefault(key, [[], [], []])
            rounds[entry.notes["tuner/round"]].append(entry)
    return found


def test_hyperband_has_the_brackets_of_its_paper() -> None:
    """9 epochs by thirds: brackets that begin at 1, 3 and 9 epochs, 3 trials at the end of each."""
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=1"))
    until_the_end(session, workers=1)
    sizes = {key: [len(each) for each in rounds] for key, rounds in brackets(session).items()}
    assert sizes == {(0, 2): [9, 3, 1], (0, 1): [5, 2, 0], (0, 0): [3, 0, 0]}
    for (_, bracket), rounds in brackets(session).items():
        for number, entries in enumerate(rounds):
            for entry in entries:
                assert entry.epochs == 9 // 3 ** (bracket - number)
                assert entry.notes["tuner/initial_epoch"] == (entry.epochs // 3 if number else 0)
                assert list(entry.params) == ["model.dropout"]


def test_the_best_of_a_round_go_on_from_themselves() -> None:
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=1"))
    until_the_end(session, workers=1)
    for rounds in brackets(session).values():
        for before, after in pairwise(rounds):
            best = sorted(before, key=lambda entry: -(entry.value or 0))[: len(after)]
            assert [entry.continues for entry in after] == [entry.number for entry in best]
            assert [entry.params for entry in after] == [entry.params for entry in best]


def test_hyperband_minimizes_a_loss() -> None:
    overrides = ("objective.metric=val_loss", "objective.direction=minimize")
    session = Session(setup_of("hyperband", DROPOUT, *overrides))
    first = [session.trial() for _ in range(9)]
    promoted = session.trial()
    assert promoted.continues == min(first, key=lambda entry: entry.value or 0).number


def test_hyperband_goes_through_its_brackets_until_the_target() -> None:
    session = Session(setup_of("hyperband"))
    assert len(session.trials(60)) == 60
    assert {iteration for iteration, _ in brackets(session)} == {0, 1, 2}


@pytest.mark.parametrize("workers", [2, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_workers_never_hang_at_a_round(workers: int, seed: int) -> None:
    """Whatever ends first, and whatever fails: every bracket comes to its end."""
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=2"))
    chance = random.Random(seed)
    until_the_end(session, workers, seed, fails=lambda _: chance.random() < 0.2)
    for (_, bracket), rounds in brackets(session).items():
        assert len(rounds[bracket]) >= (1, 2, 3)[2 - bracket]
        for before, after in pairwise(rounds):
            assert {entry.continues for entry in after} <= {entry.number for entry in before}
    assert len(brackets(session)) == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_finite_space_comes_to_its_end_too(seed: int) -> None:
    """Fewer points than a round has places: all of them are the round."""
    session = Session(setup_of("hyperband", SIX))
    until_the_end(session, workers=3, seed=seed)
    rounds = brackets(session)[0, 2]
    assert [len(each) for each in rounds] == [6, 3, 1]


def test_a_failed_trial_is_made_up_for() -> None:
    session = Session(setup_of("hyperband"))
    for number in range(9):
        session.ask()
        session.fail(number) if number in (2, 5, 7) else session.end(number)
    again = [session.trial() for _ in range(3)]
    assert [entry.notes["tuner/round"] for entry in again] == [0, 0, 0]
    promoted = session.trial()
    assert promoted.notes["tuner/round"] == 1
    assert promoted.continues not in (2, 5, 7)


def test_a_promoted_trial_that_failed_is_made_up_for_by_another() -> None:
    session = Session(setup_of("hyperband"))
    session.trials(9)
    promoted = session.ask()
    assert isinstance(promoted, Entry)
    session.fail(promoted.number)
    assert session.trial().notes["tuner/round"] == 0
    later = [session.trial() for _ in range(3)]
    assert [entry.notes["tuner/round"] for entry in later] == [1, 1, 1]
    assert promoted.continues not in [entry.continues for entry in later]


def test_other_brackets_than_before_are_refused() -> None:
    session = Session(setup_of("hyperband"))
    session.trial()
    session.setup = setup_of("hyperband", DROPOUT, "oracle.factor=2")
    with pytest.raises(ConfigError, match=r"max_epochs=9 and factor=2.*set them back"):
        session.restart()


# The door.


@pytest.mark.parametrize(
    ("oracle", "override", "words"),
    [
        ("random", "oracle.seed=-1", "seed: expected .*, got -1"),
        ("bayesian", "oracle.alpha=0", "alpha: expected .*, got 0"),
        ("bayesian", "oracle.beta=high", "beta: expected .*, got high"),
        ("bayesian", "oracle.num_initial_points=0", "num_initial_points: expected .*, got 0"),
        ("hyperband", "oracle.factor=1", "factor: expected .*, got 1"),
        ("hyperband", "oracle.max_epochs=0", "max_epochs: expected .*, got 0"),
        ("hyperband", "oracle.hyperband_iterations=0", "hyperband_iterations: expected .*, got 0"),
        ("hyperband", "+oracle.facter=2", "facter: no such setting"),
    ],
)
def test_wrong_arguments_are_refused_at_the_door(oracle: str, override: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"^oracle: search\.engines\.oracles\.\S+: {words}"):
        setup_of(oracle, DROPOUT, override)


def test_hyperband_alone_decides_the_epochs() -> None:
    with pytest.raises(ConfigError, match=r"study\.space\.train\.epochs: Hyperband decides"):
        setup_of("hyperband", {"train": {"epochs": [1, 2]}})


def test_an_oracle_needs_its_engine() -> None:
    with pytest.raises(ConfigError, match="add engine=keras_tuner"):
        setup_of("bayesian", DROPOUT, "engine=optuna")


PRIVATE = {
    # what all oracles use or replace
    "_duplicate", "_max_collisions", "_random_values", "_seed_state",
    # bayesian
    "_random_populate_space", "_random_state", "_vector_to_values", "_vectorize_trials",
    # grid
    "_get_next_combination",
    # hyperband
    "_brackets", "_current_bracket", "_current_iteration", "_get_epochs", "_get_num_brackets", "_get_size",
    "_increment_bracket_num", "_remove_completed_brackets", "_start_new_bracket",
}  # fmt: skip
"""KerasTuner's own names that the oracles take part in: it has no others for what they do."""


def test_the_private_names_of_keras_tuner_that_are_used_are_those_of_the_pinned_version() -> None:
    from search.engines.oracles.library import keras_tuner

    used = {
        name
        for file in (ROOT / "search" / "engines" / "oracles").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in [getattr(node, "attr", None), getattr(node, "name", None)]
        if isinstance(name, str) and name.startswith("_") and not name.endswith("__")
    }
    kinds = ("RandomSearch", "GridSearch", "BayesianOptimization", "Hyperband")
    oracles = [getattr(keras_tuner.oracles, f"{kind}Oracle")() for kind in kinds]
    theirs = {name for oracle in oracles for name in dir(oracle)}
    assert used & theirs == PRIVATE
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"keras-tuner=={version('keras-tuner')}" in dependencies


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband", "grid"])
def test_a_studys_own_sampler_and_pruner_have_no_say(oracle: str) -> None:
    """The space has no grid, and the pruner no such argument: Optuna would refuse both."""
    optunas = ("sampler=grid", "pruner=asha", "+pruner.nonsense=1")
    setup = setup_of(oracle, DROPOUT, *optunas)
    assert isinstance(setup.algorithm(0), KerasTunerAlgorithm)


def test_the_oracle_is_named_in_tags() -> None:
    assert setup_of("grid").search == {"engine": "keras_tuner", "oracle": "GridOracle"}


@pytest.mark.slow
def test_the_coordinator_imports_neither_tensorflow_nor_keras_tuner_for_optuna(
    run_python: RunPython,
) -> None:
    """With KerasTuner no TensorFlow either, and nothing of that reaches workers or a later import."""
    script = """
import os, sys
from tests.search.engines.test_keras_tuner_engine import *
common = ("data=digits", "tracking=none", "study.name=test")
before = dict(os.environ)
for engine in ("optuna", "keras_tuner"):
    values = compose([*common, f"engine={engine}"])
    values["study"]["space"] = DROPOUT
    read(values, str).make_engine((), 1)
    print(engine, *[name for name in ("keras_tuner", "keras", "tensorflow") if name in sys.modules])
print(os.environ == before)
"""
    lines = run_python("-c", script).stdout.splitlines()
    assert lines == ["optuna", "keras_tuner keras_tuner", "True"]
