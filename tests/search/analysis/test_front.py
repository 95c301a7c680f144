"""What accuracy costs: none of the front is beaten in both, by means over fresh seeds if there are any."""

import csv
import io
from typing import Any

import pytest

from search.analysis.facts import Facts
from search.analysis.front import Cost, as_csv, front, priced
from search.study.vocabulary import Entry
from tests.search import made
from tests.search.verdicts import MEANS, by_mean, compared

COSTS = {"multiply_adds": 20, "model_bytes": 84, "training_flops": 240}


def trial(number: int, value: float, seconds: float, weights: int) -> Entry:
    result = made.result([value], seconds, parameters=weights, costs=COSTS)
    return made.trial(number, value=value, result=result, history=result.history)


def study() -> Facts:
    """Trial 0 is the best and the largest, 1 the quickest, 2 the smallest, 3 is beaten in both."""
    rows = [(0.95, 4.0, 900), (0.90, 1.0, 500), (0.92, 2.0, 100), (0.91, 3.0, 700)]
    return made.facts([trial(number, *row) for number, row in enumerate(rows)])


@pytest.mark.parametrize(
    ("cost", "numbers"), [("parameters", [2, 0]), ("train_seconds", [1, 2, 0])]
)
def test_the_front_has_those_that_none_is_cheaper_and_better_than(
    cost: Cost, numbers: list[int]
) -> None:
    facts = study()
    assert [each.entry.number for each in front(facts, priced(facts), cost)] == numbers


def rows(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_both_fronts_are_one_file_with_all_costs() -> None:
    found = rows(as_csv(study()))
    assert [(row["front"], row["trial"]) for row in found] == [
        ("parameters", "2"), ("parameters", "0"),
        ("train_seconds", "1"), ("train_seconds", "2"), ("train_seconds", "0"),
    ]  # fmt: skip
    first = found[0]
    assert (first["val_accuracy"], first["parameters"], first["train_seconds"]) == (
        "0.92",
        "100",
        "2.000",
    )
    assert {name: first[name] for name in COSTS} == {
        name: str(cost) for name, cost in COSTS.items()
    }
    assert first["val_accuracy_low"] == first["val_accuracy_high"] == "", "one run shows no spread"


def test_a_verdict_s_means_and_their_intervals_take_the_place_of_single_runs() -> None:
    finalists = compared(value=by_mean(MEANS))
    facts = finalists.facts
    assert [each.entry.number for each in priced(facts)] == [2, 1, 0]
    found = priced(facts, finalists)
    assert [each.entry.number for each in found][:2] == [1, 2], "over fresh seeds 1 is ahead"
    best = found[0]
    assert best.low is not None
    assert best.high is not None
    assert best.low < best.value < best.high
    verdict = finalists.verdict
    assert verdict is not None
    mean = verdict.of("trial 1").mean
    assert mean is not None
    assert best.value == mean.value
    row = next(row for row in rows(as_csv(facts, finalists)) if row["trial"] == "1")
    assert (float(row["val_accuracy_low"]), float(row["val_accuracy_high"])) == (
        best.low,
        best.high,
    )


def test_a_study_without_a_complete_trial_has_none() -> None:
    facts = made.facts([])
    assert front(facts, priced(facts), "parameters") == []
    assert rows(as_csv(facts)) == []
