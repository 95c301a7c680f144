"""Points that are to be tried first: by every engine, whatever is killed, once, and on record for good."""

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.command.section import as_override
from search.coordination.suggestions import ask_again
from search.engines.points import POINT, OnRecord
from search.setup.read import Setup
from search.study.vocabulary import Suggestions
from search.trial_table.trials import TrialTable
from tests.search.conftest import Copies, engine_of, setup_of, study_of
from tests.search.engines.test_order import HYPERBAND, OPTUNA, SPACE, study

STEPS: dict[str, Any] = {
    "model": {"dropout": {"low": 0.0, "high": 0.6, "step": 0.1}, "l2": [0.0, 0.1, 0.2, 0.3]}
}
TREE: dict[str, Any] = {
    "model": {
        "depth": {"low": 1, "high": 2},
        "hidden_units": {"layer1": [8, 16], "layer2": [8, 16, 32]},
        "dropout": {"low": 0.0, "high": 0.5},
    },
    "train": {
        "optimizer": ["sgd", "adam"],
        "momentum": {"low": 0.0, "high": 0.9, "when": {"train.optimizer": "sgd"}},
    },
}
WHOLE = "{model.dropout: 0.3, train.learning_rate: 0.005}"
PART = "{model.dropout: 0.1}"
ENGINES: dict[str, tuple[str, ...]] = {
    "tpe": OPTUNA,
    "random": ("sampler=random", "pruner=none"),
    "qmc": ("sampler=qmc", "pruner=none"),
    "cmaes": ("sampler=cmaes", "pruner=none"),
    "random oracle": ("engine=keras_tuner", "oracle=random"),
    "bayesian oracle": ("engine=keras_tuner", "oracle=bayesian", "oracle.num_initial_points=3"),
    "hyperband oracle": HYPERBAND,
}
GRIDS = {
    "grid": ("sampler=grid", "pruner=none"),
    "grid oracle": ("engine=keras_tuner", "oracle=grid"),
}


FAST = ("tpe", "hyperband oracle", "grid")


def each(engines: Iterable[str]) -> list[Any]:
    """Engines by name; those outside `FAST` in the slow suite."""
    return [pytest.param(e, marks=[] if e in FAST else [pytest.mark.slow]) for e in engines]


def starting(*words: str, points: str, space: Any = SPACE) -> Setup:
    return setup_of(*words, f"study.points=[{points}]", "study.order=fixed", space=space)


@pytest.mark.parametrize("engine", each(ENGINES))
@pytest.mark.parametrize("workers", [1, 2])
def test_points_are_tried_first_and_completed_by_the_engine(
    engine: str, workers: int, copies: Copies
) -> None:
    setup = starting(*ENGINES[engine], points=f"{WHOLE}, {PART}, {WHOLE}")
    first, second, *_ = trials = study(setup, copies.next(), workers, target=8)
    assert first[0] == {"model.dropout": 0.3, "train.learning_rate": 0.005}
    assert second[0]["model.dropout"] == 0.1
    assert set(second[0]) == {"model.dropout", "train.learning_rate"}
    new = [trial[0] for trial in trials if trial[2] is None]
    assert len({str(params) for params in new}) == len(new), "no run twice"
    killed = study(setup, copies.next(), workers, chance=1, kills=0.05, target=8)
    assert killed == trials


@pytest.mark.parametrize("engine", each([*ENGINES, *GRIDS]))
def test_points_that_are_added_later_are_tried_next_and_the_certificate_holds(
    engine: str, copies: Copies
) -> None:
    words, space = {**ENGINES, **GRIDS}[engine], STEPS if engine in GRIDS else SPACE
    url = copies.next()
    study(starting(*words, points=PART, space=space), url, 1, target=3)
    more = starting(*words, points=f"{PART}, {{model.dropout: 0.5}}", space=space)
    trials = study(more, url, 1, target=12 if "hyperband" in engine else 7)
    tried = [trial[0]["model.dropout"] for trial in trials if trial[2] is None]
    assert tried[0] == 0.1
    assert 0.5 in tried[3:] if "hyperband" in engine else tried[3] == 0.5
    entries = TrialTable.open(url, study_of(more)).entries()
    asked = ask_again(
        "test", "uid", entries, more.space, more.run.objective.metric,
        lambda records, workers: more.engine_from(
            records, workers, points=OnRecord([entry.notes for entry in entries])
        ),
    )  # fmt: skip
    assert asked.identical, asked.words()


@pytest.mark.parametrize("engine", each(GRIDS))
def test_a_grid_has_all_its_points_once_whichever_come_first(engine: str, copies: Copies) -> None:
    points = "{model.dropout: 0.6, model.l2: 0.3}, {model.l2: 0.2}"
    setup = starting(*GRIDS[engine], points=points, space=STEPS)
    trials = [trial[0] for trial in study(setup, copies.next(), 1, target=99)]
    assert trials[0] == {"model.dropout": 0.6, "model.l2": 0.3}
    assert trials[1]["model.l2"] == 0.2
    assert len(trials) == 28 == len({str(sorted(params.items())) for params in trials})


@pytest.mark.parametrize("engine", each(["tpe", "random oracle", "bayesian oracle"]))
def test_what_a_point_leaves_open_follows_its_conditions(engine: str, url: str) -> None:
    points = (
        "{model.depth: 1}, {train.optimizer: sgd}, {model.depth: 2, model.hidden_units.layer2: 32}"
    )
    setup = starting(*ENGINES[engine], points=points, space=TREE)
    one, sgd, two, *_ = (trial[0] for trial in study(setup, url, 1, target=4))
    assert (one["model.depth"], "model.hidden_units.layer2" in one) == (1, False)
    assert (sgd["train.optimizer"], "train.momentum" in sgd) == ("sgd", True)
    assert (two["model.depth"], two["model.hidden_units.layer2"]) == (2, 32)
    assert all(
        ("train.momentum" in each) == (each["train.optimizer"] == "sgd") for each in (one, two)
    )


@pytest.mark.parametrize("engine", each(["tpe", "random oracle"]))
def test_a_point_that_is_on_record_is_not_tried_again(engine: str, url: str) -> None:
    before = setup_of(*ENGINES[engine], "study.order=fixed", space=SPACE)
    params = study(before, url, 1, target=2)[1][0]
    known = as_override(params)
    setup = starting(*ENGINES[engine], points=f"{known}, {PART}")
    trials = study(setup, url, 1, target=4)
    assert trials[2][0]["model.dropout"] == 0.1
    assert [trial[0] for trial in trials].count(params) == 1


def test_more_points_than_trials_wait_for_the_next_launch(url: str) -> None:
    setup = starting(*OPTUNA, points=f"{WHOLE}, {PART}, {{model.dropout: 0.2}}")
    assert [trial[0]["model.dropout"] for trial in study(setup, url, 2, target=2)] == [0.3, 0.1]
    entries = TrialTable.open(url, study_of(setup)).entries()
    assert [entry.notes[POINT]["model.dropout"] for entry in entries] == [0.3, 0.1]
    answer = engine_of(setup, entries).ask(1)
    assert isinstance(answer, Suggestions)
    assert answer.trials[0].params["model.dropout"] == 0.2
