"""Nothing is tried twice, and everything once: what Optuna's samplers promise on small spaces."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.command.compose import CONF
from search.study.vocabulary import Exhausted, Record, Suggestion, Suggestions, Told
from tests.search.conftest import DROPOUT, setup_of
from tests.search.play import Play

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),  # QMC, for one
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # CMA-ES's x0 and sigma0
]

SAMPLERS = sorted(file.stem for file in (CONF / "sampler").glob("*.yaml"))

CATEGORICAL: Mapping[str, Any] = {
    "model": {"hidden_units": [8, 16, 32], "activation": ["relu", "tanh", "elu"]},
    "train": {"optimizer": ["sgd", "rmsprop", "adam", "adamw", "nadam", "lion"]},
}
"""54 points."""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_on_54_points_40_trials_are_40_different_ones(sampler: str) -> None:
    """TPE alone suggests 28, and one of them eight times; in the end every point was tried once."""
    setup = setup_of(f"sampler={sampler}", "pruner=none", space=CATEGORICAL)
    trials = [repr(suggestion.params) for suggestion, _ in Play(setup, workers=2).run(100)]
    assert len(set(trials[:40])) == 40
    assert len(set(trials)) == len(trials) == 54


GRID: Mapping[str, Any] = {"model": {"dropout": {"low": 0.0, "high": 0.3, "step": 0.1}}}


@pytest.mark.parametrize("tried", [[0.1], [0.1, 0.1, 0.1], [0.3, 0.0, 0.3]])
def test_a_grid_tries_what_other_samplers_left(tried: Sequence[float]) -> None:
    """However many trials there are: those of the version before may have repeated a point."""
    records = [
        Record(
            Suggestion({"model.dropout": dropout}),
            Told(number, "complete", 0.5, {1: 0.5}),
        )
        for number, dropout in enumerate(tried)
    ]
    engine = setup_of("sampler=grid", space=GRID).engine_from(records, 1)
    answer = engine.ask(10)
    assert isinstance(answer, Suggestions)
    left = [each.params["model.dropout"] for each in answer.trials]
    assert sorted(left) == sorted({0.0, 0.1, 0.2, 0.3} - set(tried))
    assert engine.ask(1) == Exhausted()


def test_quasi_random_points_are_one_sequence_also_where_its_seed_is_drawn() -> None:
    """Eight points of a scrambled net lie in all eighths of the range, whatever it is scrambled by."""
    setup = setup_of("sampler=qmc", "sampler.seed=null", "pruner=none", space=DROPOUT)
    for _ in range(5):
        records: list[Record] = []
        for number in range(9):
            answer = setup.engine_from(records, 1).ask(1)
            assert isinstance(answer, Suggestions)
            records.append(Record(answer.trials[0], Told(number, "complete", 0.5, {1: 0.5})))
        drawn = [float(str(each.suggestion.params["model.dropout"])) for each in records]
        # The first one is drawn at random; the sequence begins after it.
        assert {int(value / 0.6 * 8) for value in drawn[1:]} == set(range(8))
