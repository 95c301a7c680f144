"""KerasTuner's oracles as an engine: what every engine promises, configuration, other engines."""

import ast
import random
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pytest

from pipeline.command.compose import CONF
from pipeline.command.errors import ConfigError
from search.engines.keras_tuner import KerasTunerAlgorithm
from search.study.vocabulary import Entry, Told
from tests.conftest import RunPython
from tests.search.conftest import DROPOUT, ROOT
from tests.search.engines.engine_contract import EngineContract
from tests.search.engines.oracles.session import (
    EVERYTHING,
    ORACLES,
    SIX,
    Session,
    plan,
    setup_of,
    until_the_end,
)


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
    # Its time grows with the dimensions; test_points.py has every kind of them.
    space: Mapping[str, Any] = {
        "model": {"dropout": {"low": 0.0, "high": 0.5}},
        "train": {"optimizer": ["adam", "sgd"]},
    }
    ordered = 12


class TestHyperband(OracleContract):
    overrides = ("engine=keras_tuner", "oracle=hyperband")
    promotes = True


def test_every_oracle_of_the_configuration_keeps_the_contract() -> None:
    tested = {cls.overrides[1].removeprefix("oracle=") for cls in OracleContract.__subclasses__()}
    assert tested == {file.stem for file in (CONF / "oracle").glob("*.yaml")} == set(ORACLES)


@pytest.mark.parametrize("oracle", ORACLES)
def test_nothing_is_pruned(oracle: str) -> None:
    session = Session(setup_of(oracle, SIX))
    session.ask()
    assert session.engine.report(0, {1: 0.0}) is False
    assert session.engine.tell(Told(0, "failed", None, {1: 0.0})) == {}


# Launches.


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


def test_an_oracle_needs_its_engine() -> None:
    with pytest.raises(ConfigError, match="add engine=keras_tuner"):
        setup_of("bayesian", DROPOUT, "engine=optuna")


@pytest.mark.parametrize("oracle", ["random", "bayesian", "hyperband", "grid"])
def test_a_studys_own_sampler_and_pruner_have_no_say(oracle: str) -> None:
    """The space has no grid, and the pruner no such argument: Optuna would refuse both."""
    optunas = ("sampler=grid", "pruner=asha", "+pruner.nonsense=1")
    setup = setup_of(oracle, DROPOUT, *optunas)
    assert isinstance(setup.algorithm(0, None), KerasTunerAlgorithm)


def test_the_oracle_is_named_in_tags() -> None:
    assert setup_of("grid").search == {"engine": "keras_tuner", "oracle": "GridOracle"}


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


@pytest.mark.slow
def test_the_coordinator_imports_neither_tensorflow_nor_keras_tuner_for_optuna(
    run_python: RunPython,
) -> None:
    """With KerasTuner no TensorFlow either, and nothing of that reaches workers or a later import."""
    script = """
import os, sys
from pipeline.command.compose import compose
from search.setup.read import read
from tests.search.conftest import DROPOUT
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
