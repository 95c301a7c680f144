"""A forecast names what the record favours, and says whether the study's own can be told from it."""

import pytest

from search.forecasting.advice import advice
from search.study.space import Choices, Range, Space

TWO = Space({"model.dropout": Range(low=0, high=1), "train.learning_rate": Range(low=0.1, high=1)})
TPE = {"engine": "optuna", "sampler": "TPESampler", "pruner": "MedianPruner"}


@pytest.mark.parametrize(
    ("trials", "search", "said"),
    [
        (
            90,
            TPE,
            "tpe did best in the time of 100 trials; tpe + median, as this study has it, did worse",
        ),
        (40, TPE, "in the time of 50 trials; tpe + median, as this study has it, can't be told"),
        (9000, {**TPE, "pruner": "NopPruner"}, "tpe did best in the time of 100 trials, as this"),
        (
            40,
            {"engine": "keras_tuner", "oracle": "GridOracle"},
            "did best in the time of 50 trials (docs",
        ),
        (40, {**TPE, "sampler": "NSGAIISampler"}, "did best in the time of 50 trials (docs"),
    ],
)
def test_the_method_that_the_record_favours_is_named(
    trials: int, search: dict[str, str], said: str
) -> None:
    assert said in (advice(trials, TWO, search) or "")


def test_of_choices_and_of_one_number_the_record_says_nothing() -> None:
    one = Space({"model.dropout": Range(low=0, high=1), "model.depth": Choices((1, 2, 3))})
    assert advice(40, one, TPE) is None
