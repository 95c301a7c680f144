"""How much a parameter mattered is told as far as the trials, drawn again, tell the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from search.analysis import importance as module
from search.analysis.facts import Facts
from search.analysis.importance import FEWEST
from search.plots.gallery import of_study
from search.plots.marks import Bars, Line, Panel
from search.plots.parameters import importance as drawn
from search.plots.style import FAINT
from search.study.space import Choices, Range, Space
from tests.search import made
from tests.search.studies import CONDITIONAL

SPACE = Space(
    {
        "model.dropout": Range(low=0.0, high=0.5),
        "model.depth": Choices((1, 2, 3, 4, 5, 6)),
        "model.l2": Range(low=0.0, high=1.0),
    }
)
Value = Callable[[Mapping[str, float], float], float]
"""The value of a trial from its parameters, and from noise that none of them has."""


def one(params: Mapping[str, float], noise: float) -> float:
    return -abs(params["model.dropout"] - 0.3) + 0.02 * noise


def two(params: Mapping[str, float], noise: float) -> float:
    return 0.1 * (params["model.depth"] == 2) - abs(params["model.dropout"] - 0.3) + 0.02 * noise


def none(_: Mapping[str, float], noise: float) -> float:
    return noise


def table(value: Value, trials: int, seed: int = 0, space: Space = SPACE) -> Facts:
    """A study whose parameters are drawn at random."""
    generator, any_trial = np.random.default_rng(seed), made.trial(0, space=space)
    entries = []
    for number in range(trials):
        params = {
            path: float(generator.uniform(kind.low, kind.high))
            if isinstance(kind, Range)
            else int(generator.choice(kind.grid()))
            for path, kind in space.dimensions.items()
        }
        found = value(params, float(generator.normal()))
        entries.append(replace(any_trial, number=number, params=params, value=found))
    return made.facts(entries, space)


def test_the_parameter_that_decides_is_told_with_its_spread_and_the_others_as_one() -> None:
    found = table(one, 60).importance
    assert [each.path for each in found.settled] == ["model.dropout"]
    assert sorted(found.others) == ["model.depth", "model.l2"]
    (share,) = found.settled
    assert 0.5 < share.low < share.value <= share.high <= 1
    assert found.rest == pytest.approx(1 - share.value)


def test_two_that_decide_are_told_in_their_order_and_drawn_together() -> None:
    facts = table(two, 200)
    assert [each.path for each in facts.importance.settled[:2]] == ["model.dropout", "model.depth"]
    assert of_study(facts)["contour"].title == "The two parameters that matter most"


def test_where_nothing_decides_nothing_is_told() -> None:
    facts = table(none, 60)
    assert facts.importance.settled == ()
    assert facts.importance.why.startswith("Too few trials to say: drawn again, the 60 complete")
    assert drawn(facts).empty == facts.importance.why
    assert "contour" not in of_study(facts)


@pytest.mark.slow
@pytest.mark.parametrize("trials", [20, 60, 300])
def test_chance_is_seldom_taken_for_importance(trials: int) -> None:
    """Of forty tables in which nothing matters one in twenty may name a first parameter, and no more did."""
    named = sum(bool(table(none, trials, seed).importance.settled) for seed in range(40))
    assert named <= 3


@pytest.mark.slow
def test_what_decides_is_found_where_trials_are_many() -> None:
    found = [table(one, 60, seed).importance.settled for seed in range(20)]
    assert sum(bool(each) for each in found) >= 14
    assert {each[0].path for each in found if each} == {"model.dropout"}


def test_the_same_trials_tell_the_same() -> None:
    assert table(one, 40).importance == table(one, 40).importance


def test_what_is_drawn_again_is_bounded_whatever_the_number_of_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    shares = module._shares

    def counted(objective: object, trials: list, paths: list[str]) -> dict[str, float]:
        sizes.append(len(trials))
        return shares(objective, trials[:60], paths)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_shares", counted)
    assert table(one, 400).importance
    assert sizes == [400, *[150] * 20]


SEEDED = Space({"model.dropout": Range(low=0.0, high=0.5), "train.seed": Choices((0, 1, 2))})


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (table(one, FEWEST - 1), "Too few trials to say: 19 complete, at least 20"),
        (made.facts(made.many(40), made.DROPOUT), "Only model.dropout varies"),
        (table(none, 40, space=SEEDED), "Only model.dropout varies"),
        (table(lambda *_: 0.9, 20), "the same value"),
    ],
    ids=["few", "one parameter", "repeated", "alike"],
)
def test_where_importance_can_not_be_told_it_says_why(facts: Facts, words: str) -> None:
    assert not facts.importance.settled
    assert words in facts.importance.why
    assert words in drawn(facts).empty


def test_a_parameter_under_a_condition_has_an_importance_too() -> None:
    """It is there for half of the trials, and decides among them which are the best."""
    entries = []
    for number, entry in enumerate(made.trial(n, space=CONDITIONAL) for n in range(40)):
        rate = {"train.learning_rate": entry.params["train.learning_rate"]} if number % 2 else {}
        value = 0.5 if not rate else float(np.log10(rate["train.learning_rate"]))  # type: ignore[arg-type]
        params = {"train.optimizer": "sgd" if rate else "adam", **rate}
        entries.append(replace(entry, params=params, value=-value))
    found = made.facts(entries, CONDITIONAL).importance
    assert {*(each.path for each in found.settled), *found.others} == set(CONDITIONAL.dimensions)
    assert found.settled[0].path == "train.learning_rate"


def test_the_bars_are_of_the_settled_ones_with_their_spread_and_one_of_the_rest() -> None:
    facts = table(one, 60)
    (share,) = facts.importance.settled
    plot = drawn(facts)
    (panel,) = plot.panels
    assert isinstance(panel, Panel)
    settled, rest = (mark for mark in panel.marks if isinstance(mark, Bars))
    assert settled.spans == [(0, share.value)]
    assert (rest.colour, rest.spans) == (FAINT, [(0, facts.importance.rest)])
    (spread,) = (mark for mark in panel.marks if isinstance(mark, Line))
    assert [x for x, _ in spread.points] == [share.low, share.high]
    assert list(panel.up.ticks.values()) == ["model.dropout", "2 others"]
    assert all(path in plot.about for path in facts.importance.others)
