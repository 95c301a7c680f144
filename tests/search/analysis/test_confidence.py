"""What single runs tell apart: two networks on the same rows at most, and never their configurations."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from pipeline.run.config import ObjectiveConfig
from pipeline.run.hits import Hits
from search.analysis.confidence import on_the_same_rows, sentences
from search.analysis.estimates import mcnemar
from search.study.ranking import SEED
from search.study.space import Choices, Space
from search.study.vocabulary import Entry
from tests.search import made

ROWS = 1_000


def right_on(count: int, but: range = range(0), also: range = range(0)) -> Hits:
    """The first `count` of the rows are right, `but` some, and some others are `also`."""
    right = np.arange(ROWS) < count
    right[but.start : but.stop] = False
    right[also.start : also.stop] = True
    return Hits.of(right)


def trial(number: int, hits: Hits | None, value: float | None = None, **changes: Any) -> Entry:
    """A complete trial that is right on these rows."""
    known = float(hits.right.mean()) if hits is not None and value is None else value or 0.9
    outcome = made.result([known], hits=hits)
    whole = made.trial(number, result=outcome, value=known, history=outcome.history)
    return replace(whole, **changes)


def said(*entries: Entry, **changes: Any) -> str:
    return " ".join(sentences(made.facts(entries, **changes)))


@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 0), (10, 2), (7, 7), (120, 81)])
def test_mcnemars_test_is_that_of_a_fair_coin(one: int, other: int) -> None:
    """Twice the tail of the binomial distribution, which is what `exact` means."""
    rows, least = one + other, min(one, other)
    expected = min(1.0, 2 * float(binom.cdf(least, rows, 0.5))) if rows else 1.0
    assert mcnemar(one, other) == pytest.approx(expected)
    assert mcnemar(other, one) == mcnemar(one, other)


def test_two_trials_are_compared_by_the_rows_that_only_one_of_them_is_right_on() -> None:
    best = trial(0, right_on(950, but=range(10), also=range(950, 970)))
    second = trial(1, right_on(950))
    facts = made.facts([best, second])
    pair = on_the_same_rows(facts, best, second)
    assert pair is not None
    assert (pair.one, pair.other, pair.rows) == (20, 10, ROWS)
    assert pair.p == pytest.approx(mcnemar(20, 10))
    again = on_the_same_rows(facts, second, best)
    assert again is not None
    assert (again.one, again.other) == (10, 20)


def test_the_more_trials_the_more_it_takes() -> None:
    """The leader was chosen from all of them by these very rows."""
    best, second = trial(0, right_on(960)), trial(1, right_on(950))
    others = [trial(number, right_on(900)) for number in range(2, 12)]
    alone = on_the_same_rows(made.facts([best, second]), best, second)
    among = on_the_same_rows(made.facts([best, second, *others]), best, second)
    assert alone is not None
    assert among is not None
    assert alone.apart
    assert not among.apart
    assert among.p == pytest.approx(min(1.0, 66 * alone.p))  # the pairs of twelve


CANT = "the rows can't tell these two networks apart"
DIFFER = "these two networks differ by more than the rows explain"
ANOTHER = "what another seed would change was not measured"


def test_what_the_rows_tell_apart_is_of_two_networks_and_of_no_more() -> None:
    text = said(trial(0, right_on(990)), trial(1, right_on(900)))
    assert "trial 0 alone is right on 90, and trial 1 alone on 0" in text
    assert DIFFER in text
    assert "Whether their configurations do is another question" in text
    assert ANOTHER in text


def test_what_they_do_not_tell_apart_is_said_to_be_that() -> None:
    text = said(trial(0, right_on(952)), trial(1, right_on(950)))
    assert "trial 0 alone is right on 2, and trial 1 alone on 0" in text
    assert CANT in text
    assert DIFFER not in text


def test_the_others_that_the_best_can_not_be_told_from_are_counted_with_their_parameters() -> None:
    near = [trial(n, right_on(952 - n), params={"model.dropout": 0.1 * n}) for n in range(3)]
    far = trial(3, right_on(700), params={"model.dropout": 0.6})
    text = said(*near, far)
    assert "The rows can't tell trial 0 from 2 of the 3 others." in text
    assert "model.dropout goes from 0 to 0.2" in text


@pytest.mark.parametrize(
    "second",
    [trial(1, None, 0.94), trial(1, Hits.of(np.ones(7, bool)), 0.94)],
    ids=["recorded before", "other rows"],
)
def test_where_the_rows_were_not_kept_it_can_not_be_told(second: Entry) -> None:
    text = said(trial(0, right_on(950)), second)
    assert "leads the second" in text
    assert "can't be told: on which validation rows a trial was right was not kept" in text
    assert "McNemar" not in text


def test_trials_that_kept_theirs_are_told_apart_also_where_others_did_not() -> None:
    old = [trial(n, None, 0.5) for n in range(2, 5)]
    text = said(trial(0, right_on(952)), trial(1, right_on(950)), *old)
    assert CANT in text
    assert "of the 4 others" not in text


def test_a_loss_is_not_compared_by_hits() -> None:
    loss = ObjectiveConfig(metric="val_loss", direction="minimize", select="best")
    text = said(trial(0, right_on(990)), trial(1, right_on(900)), objective=loss)
    assert "McNemar" not in text
    assert "can't be told from one validation loss each" in text


SEEDED = Space({**made.DROPOUT.dimensions, SEED: Choices((0, 1))})


def test_means_over_seeds_are_not_compared_by_the_rows_of_one() -> None:
    entries = [
        trial(
            n, right_on(990 - 50 * (n // 2)), params={"model.dropout": 0.1 * (n // 2), SEED: n % 2}
        )
        for n in range(4)
    ]
    text = " ".join(sentences(made.facts(entries, SEEDED)))
    assert "The mean of the configuration of trial 0 leads the second" in text
    assert "McNemar" not in text
    assert "standard deviation" in text


@pytest.mark.parametrize("count", [1, 2, 40])
def test_no_sentence_calls_one_configuration_better_than_another(count: int) -> None:
    entries = [trial(n, right_on(990 - 20 * n)) for n in range(count)]
    text = said(*entries)
    for claim in ("is better", "significant", "beats", "winner", "is the best"):
        assert claim not in text
    assert "another seed would change" in text


def test_a_standard_error_is_told_of_one_value_alone() -> None:
    """That of the test accuracy, by its rows; no difference is judged by it."""
    text = said(trial(0, right_on(950)), trial(1, right_on(940)))
    assert text.count("standard error") == 1
    assert "on the test set" in text.lower()[: text.index("standard error")]
