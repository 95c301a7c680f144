"""How much a parameter mattered, and when that can't be told."""

from dataclasses import replace

import pytest

from search.analysis.importance import importance
from search.plots.parameters import importance as drawn
from search.study.space import Range, Space
from tests.search import made
from tests.search.studies import conditional


def test_importance_finds_what_decides() -> None:
    space = Space({"model.dropout": Range(low=0.0, high=0.5), "model.l2": Range(low=0.0, high=1.0)})
    entries = [made.trial(n, 0.5, space) for n in range(60)]
    entries = [replace(e, value=1 - abs(e.params["model.dropout"] - 0.3)) for e in entries]
    found = importance(made.facts(entries, space))
    assert list(found.shares) == ["model.dropout", "model.l2"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["model.dropout"] > 0.8


@pytest.mark.parametrize(
    ("entries", "space", "words"),
    [
        (made.many(9, made.MIXED), made.MIXED, "Too few trials to tell: 9 complete"),
        (made.many(40), made.DROPOUT, "Only model.dropout varies"),
        ([made.trial(n, 0.9, made.MIXED) for n in range(20)], made.MIXED, "the same value"),
    ],
)
def test_where_importance_can_not_be_told_it_says_why(
    entries: list, space: Space, words: str
) -> None:
    found = importance(made.facts(entries, space))
    assert not found.shares
    assert words in found.why
    assert words in drawn(made.facts(entries, space)).empty


def test_a_parameter_under_a_condition_has_an_importance_too() -> None:
    shares = importance(conditional()).shares
    assert set(shares) == {"train.optimizer", "train.learning_rate"}
    assert shares["train.learning_rate"] > 0
