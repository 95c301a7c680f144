"""A verdict in words: nothing is called a difference that may be chance."""

from collections.abc import Mapping
from typing import Any

import pytest

from search.analysis.estimates import Estimate
from search.analysis.plan import Contender
from search.analysis.verdict import judge, unsealed
from search.analysis.wording import shown, words
from tests.search.analysis.finalists import PLAN, contender, flat, lost, study

CHEAP = {"parameters": 25_450, "seconds": 3.0}

SAID: Mapping[str, tuple[list[Contender], dict[str, Any], tuple[str, ...]]] = {
    "a tie of equally cheap ones": (
        study(),
        {},
        (
            "2 configurations can't be told apart; both are equally cheap, and b has the best mean of them.",
            "c and default are behind beyond chance.",
            "Over 10 seeds that took no part in the choice, b has val_accuracy 0.9798 ± 0.0007 (95%).",
            "The search gained 0.0058 ± 0.0009 over default.",
            "The study's own value of it, 0.9806, lies 0.0008 ± 0.0007 above that mean: the winner's curse.",
        ),
    ),
    "a tie that the cheapest takes": (
        [contender("a"), contender("b"), contender("c", **CHEAP), contender("default")],
        {},
        (
            "4 configurations can't be told apart; of these c is the cheapest (25,450 parameters, 3.0 s).",
        ),
    ),
    "a tie of which some are cheap": (
        [contender("a"), contender("b", **CHEAP), contender("c", **CHEAP)],
        {},
        ("3 configurations can't be told apart; 2 of these are equally cheap, and ",),
    ),
    "a winner": (
        [contender("a", 0.99), contender("default"), contender("c", 0.95)],
        {},
        ("a is the winner: over 5 seeds it is ahead of the 2 others beyond chance.",),
    ),
    "a winner of two": (
        [contender("a", 0.99), contender("default"), lost("c")],
        {},
        (
            "a is the winner: over 5 seeds it is ahead of default beyond chance.",
            "c diverged with at least one seed, and is out.",
        ),
    ),
    "no gain": (
        [contender("a", **CHEAP), contender("default")],
        {},
        ("The search gained nothing that could be told from chance: ",),
    ),
    "no gain beside the margin": (
        [contender("a", 0.9785, **CHEAP), contender("default")],
        {"margin": 0.002},
        ("The search gained nothing that counts beside the margin of 0.002: ",),
    ),
    "a gain beyond the margin": (
        [contender("a", 0.99), contender("default")],
        {"margin": 0.002},
        ("The search gained 0.0119 ± 0.0009 over default, more than the margin of 0.002.",),
    ),
    "a cheaper one that loses a little": (
        [
            contender("a", confirmation=contender("a", 0.9765).confirmation, **CHEAP),
            contender("default"),
        ],
        {},
        ("The search lost 0.0016 ± 0.0009 against default: the price of the cheaper one.",),
    ),
    "the race knows more": (
        [
            flat("a", 0.98, confirmation=contender("a", 0.98, 0.01).confirmation),
            flat("default", 0.979, confirmation=contender("default", 0.979, 0.01).confirmation),
        ],
        {},
        (
            "The search gained nothing that could be told from chance: ",
            "In the race default was behind beyond chance; the seeds that took no part in it are too few",
        ),
    ),
    "the default wins": (
        [contender("a", 0.95), contender("default")],
        {},
        ("This is what the study started from: the search gained nothing.",),
    ),
    "no default": (
        [contender("a")],
        {},
        (
            "a is the only one: there is nothing to compare it with.",
            "No default was compared: what the search gained is not known.",
        ),
    ),
    "one seed": (
        [contender("a"), contender("default")],
        {"seeds": 1, "max_seeds": 1, "confirm": 1},
        (
            "2 configurations can't be told apart, as one seed shows no spread; ",
            "Over 1 seed that took no part in the choice, default has val_accuracy 0.9774 (spread not known)",
        ),
    ),
    "the others diverged": (
        [contender("a"), lost("default")],
        {},
        (
            "a is the only one that diverged with no seed: there is nothing to compare it with.",
            "As default diverged, what the search gained over it is not known.",
        ),
    ),
    "it diverges itself": (
        [lost("a", "confirmation", 0.99), contender("default")],
        {},
        (
            "With 1 of 10 seeds that took no part in the choice a diverged: the mean of the others would "
            "flatter it and is not given.",
        ),
    ),
    "all diverged": (
        [lost("a"), lost("default")],
        {},
        ("Every configuration diverged with some seed: there is no answer.",),
    ),
}


@pytest.mark.parametrize(("contenders", "changes", "said"), SAID.values(), ids=SAID)
def test_a_verdict_says(
    contenders: list[Contender], changes: dict[str, Any], said: tuple[str, ...]
) -> None:
    sentences = words(judge(contenders, PLAN.model_copy(update=changes)))
    text = "\n".join(sentences)
    for each in said:
        assert each in text
    assert all(each.endswith(".") for each in sentences)
    if len(said) == 5:
        assert sentences == list(said)


def test_a_loss_that_is_better_lies_below() -> None:
    worse = {"metric": "val_loss", "direction": "minimize"}
    said = words(judge([contender("a", 0.1, study=0.09)], PLAN.model_copy(update=worse)))
    assert said[-1].startswith("The study's own value of it, 0.0900, lies 0.01")
    assert said[-1].endswith(" below that mean: the winner's curse.")


def test_the_test_set_comes_last() -> None:
    verdict = judge([contender("a")], PLAN)
    said = words(
        unsealed(verdict, {"test_accuracy": dict(list(contender("t").confirmation.items())[:10])})
    )
    assert said[:-1] == words(verdict)
    assert said[-1].startswith("On the test set, looked at after this stood: test_accuracy 0.97")


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.97912, 0.00041, "0.9791 ± 0.0004"),
        (0.97912, 0.000041, "0.97912 ± 0.00004"),
        (0.97912, 0.041, "0.9791 ± 0.0410"),
        (0.0, 0.0, "0.0000"),
        (0.97912, None, "0.9791 (spread not known)"),
    ],
)
def test_a_mean_is_shown_as_far_as_its_spread_reaches(
    value: float, half: float | None, text: str
) -> None:
    bounds = {} if half is None else {"low": value - half, "high": value + half}
    assert shown(Estimate(value=value, seeds=10, **bounds)) == text
