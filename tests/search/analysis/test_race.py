"""Who drops out: no wrong claim beyond alpha, whichever configuration leads."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdict import CASES, Case, broken, rate
from benchmarks.verdict import study as simulate
from search.analysis.plan import Plan
from search.analysis.verdict import judge
from tests.search.analysis.finalists import PLAN, SHORT, contender, state, study

# The race.


@pytest.mark.parametrize(
    ("seeds", "step", "last", "looks"),
    [
        (5, 5, 15, (5, 10, 15)),
        (5, 4, 15, (5, 9, 13, 15)),
        (5, 100, 15, (5, 15)),
        (15, 5, 15, (15,)),
        (1, 1, 3, (1, 2, 3)),
    ],
)
def test_the_looks_spend_alpha_once(
    seeds: int, step: int, last: int, looks: tuple[int, ...]
) -> None:
    plan = PLAN.model_copy(update={"seeds": seeds, "step": step, "max_seeds": last})
    assert plan.looks == looks
    assert math.fsum(plan.share(look) for look in looks) == pytest.approx(1, abs=1e-12)


def by_hand(
    values: Mapping[str, Sequence[float]], plan: Plan
) -> dict[str, tuple[int, float, tuple[float, float]]]:
    """Seeds, corrected p and interval of all but the leader, as docs/verdict.md has them."""
    found = {}
    alive, spent = list(values), 0.0
    for look in plan.looks:
        share = (look / plan.max_seeds) ** 2 - spent
        spent += share
        leader = max(alive, key=lambda name: np.mean(values[name][:look]))
        rest = {n: np.subtract(values[leader][:look], values[n][:look]) for n in alive}
        del rest[leader]
        once = {
            n: 2 * stats.ttest_1samp(lead, plan.margin, alternative="greater").pvalue
            for n, lead in rest.items()
        }
        p = 0.0
        for name in sorted(once, key=lambda n: once[n]):
            pairs = len(alive) * (len(alive) - 1) / 2
            p = max(p, min(1.0, once[name] * pairs / share))
            level = 1 - plan.alpha * share / pairs
            found[name] = look, p, stats.ttest_1samp(rest[name], 0).confidence_interval(level)
            if p <= plan.alpha:
                alive.remove(name)
        if len(alive) == 1:
            break
    return found


@pytest.mark.parametrize("margin", [0.0, 0.0005])
@pytest.mark.parametrize("key", range(8))
def test_the_race_is_that_of_the_page(key: int, margin: float) -> None:
    """Among these are some who drop out at each look, some by a step only, and some who stay."""
    plan = PLAN.model_copy(update={"margin": margin})
    means = [0.98, 0.98 - 0.0002 * key, 0.979, 0.9785, 0.9785 - 0.0015 * (key % 3)]
    raced = [contender(f"{key}{n}", mean, 0.0006) for n, mean in zip("abcde", means, strict=True)]
    verdict = judge(raced, plan)
    found = {
        each.name: (len(each.race), each.behind.p, (each.behind.low, each.behind.high))
        for each in verdict.standings
        if each.behind is not None
    }
    expected = by_hand({each.name: list(each.race.values()) for each in raced}, plan)
    expected.pop(verdict.leader or "", None)
    assert found.keys() == expected.keys()
    for name, (look, p, interval) in expected.items():
        assert found[name] == (look, pytest.approx(p, rel=1e-6), pytest.approx(interval, abs=1e-9))


@pytest.mark.parametrize("key", range(12))
def test_the_interval_lies_beyond_the_margin_just_where_one_dropped_out(key: int) -> None:
    means = [0.979 + 0.0005 * (key % 4) * place for place in range(5)]
    names = [f"{key}{'xyzuv'[place]}" for place in range(5)]
    plan = PLAN.model_copy(update={"margin": 0.0003 * (key % 3)})
    for each in judge(
        [contender(*pair) for pair in zip(names, means, strict=True)], plan
    ).standings:
        if each.behind is not None:
            assert each.behind.low is not None
            assert each.behind.p is not None
            assert (each.behind.low > plan.margin) == (each.state == "dropped")
            assert (each.behind.p <= plan.alpha) == (each.state == "dropped")


def test_who_is_far_behind_is_trained_no_further() -> None:
    contenders = [
        contender("a", 0.98, 0.0004),
        contender("b", 0.98, 0.0004),
        contender("far", 0.9, 0.0004),
    ]
    verdict = judge(contenders, PLAN)
    assert state(verdict) == {"a": "in", "b": "in", "far": "dropped"}
    assert [len(verdict.of(name).race) for name in ("a", "b", "far")] == [15, 15, 5]


def test_a_race_with_one_left_is_over() -> None:
    verdict = judge([contender("a", 0.98, 0.0002), contender("far", 0.9, 0.0002)], PLAN)
    assert (verdict.outcome, verdict.answer, len(verdict.of("a").race)) == ("winner", "a", 5)


@pytest.mark.parametrize(
    ("margin", "outcome"), [(0.0, "winner"), (0.001, "winner"), (0.003, "tie")]
)
def test_a_difference_within_the_margin_counts_as_none(margin: float, outcome: str) -> None:
    plan = PLAN.model_copy(update={"margin": margin})
    verdict = judge([contender("a", 0.98, 0.0003), contender("default", 0.978, 0.0003)], plan)
    assert verdict.outcome == outcome
    assert verdict.gained is (outcome == "winner" if verdict.answer == "a" else False)


def test_a_loss_is_judged_as_an_accuracy_is() -> None:
    up = study()
    down = [
        each.model_copy(
            update={
                "race": {seed: -value for seed, value in each.race.items() if value},
                "confirmation": {
                    seed: -value for seed, value in each.confirmation.items() if value
                },
                "study": None if each.study is None else -each.study,
            }
        )
        for each in up
    ]
    one = judge(up, PLAN)
    other = judge(down, PLAN.model_copy(update={"direction": "minimize"}))
    assert (one.tie, one.outcome, one.gain, one.curse) == (
        other.tie,
        other.outcome,
        other.gain,
        other.curse,
    )
    assert [e.behind for e in one.standings] == [e.behind for e in other.standings]


# What it promises, at small size; python -m benchmarks.verdict has the full one.

ONE_EACH = {case.name: case for case in CASES}


@pytest.mark.parametrize(
    ("name", "studies", "wrong", "claims"),
    [
        ("2 equal", 300, 0.07, 0.07),  # 4.1 % over 2,000 studies
        ("6 equal", 80, 0.02, 0.08),  # 0.0 % and 3.0 %
    ],
)
def test_equals_are_seldom_told_apart(name: str, studies: int, wrong: float, claims: float) -> None:
    found = [simulate(ONE_EACH[name], number) for number in range(studies)]
    assert 0 < rate(found, "claims") <= claims
    assert rate(found, "wrong") <= wrong


@pytest.mark.parametrize(
    ("name", "least"), [("1 of 6 better by 2", 0.85), ("1 of 6 better by 4", 0.98)]
)
def test_what_is_better_is_found(name: str, least: float) -> None:
    found = [simulate(ONE_EACH[name], number) for number in range(60)]
    assert rate(found, "found") >= least
    assert rate(found, "wrong") == 0


def test_the_intervals_of_the_chosen_one_cover_and_the_race_alone_would_flatter_it() -> None:
    case = Case("9 equal, one look", (0,) * 9, SHORT)
    found = [simulate(case, number) for number in range(200)]
    for name in ("mean", "gain"):
        assert 0.92 <= rate(found, name) <= 0.98
    assert rate(found, "gain_raced") < rate(found, "gain") - 0.02
    assert rate(found, "race") > 0.4
    assert abs(rate(found, "confirmation")) < 0.1


def test_a_broken_promise_is_told() -> None:
    case = ONE_EACH["6 equal"]
    kept = [
        simulate(case, 0)._replace(wrong=n < 5, claims=n < 5, mean=n < 95, gain=n < 95)
        for n in range(100)
    ]
    assert broken(case, kept) == []
    assert broken(case, [*kept, kept[0]]) == ["6 equal: wrong 5.9%", "6 equal: claims 5.9%"]
    assert broken(case, [each._replace(gain=True) for each in kept]) == ["6 equal: gain 100.0%"]
    assert broken(case, [each._replace(mean=n < 92) for n, each in enumerate(kept)]) == [
        "6 equal: mean 92.0%"
    ]
