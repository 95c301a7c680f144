"""Whether the winner is one: what is told of it, and that the same values give the same verdict."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from search.analysis.plan import Contender, Plan, Run
from search.analysis.race import Standing, race
from search.analysis.verdict import Verdict, by_cost, judge, needed, unsealed
from tests.search.analysis.finalists import PLAN, SHORT, contender, flat, lost, noise, study

# The answer.


def standing(name: str, parameters: int, seconds: float, mean: float) -> Standing:
    return next(
        iter(
            race(
                [flat(name, mean, parameters=parameters, seconds=seconds), flat("z", 0.5)], SHORT
            ).standings
        )
    )


@pytest.mark.parametrize(
    ("tied", "order"),
    [
        # parameters first, whatever the time and the mean
        ({"a": (200, 1.0, 0.99), "b": (100, 9.0, 0.98)}, ["b", "a"]),
        # then time
        ({"a": (100, 2.0, 0.99), "b": (100, 1.0, 0.98)}, ["b", "a"]),
        # which is the same within a tenth: the best mean
        ({"a": (100, 1.05, 0.99), "b": (100, 1.0, 0.98)}, ["a", "b"]),
        # the tenth is that of the quickest: no chain of small steps
        (
            {"a": (100, 1.15, 0.99), "b": (100, 1.08, 0.985), "c": (100, 1.0, 0.98)},
            ["b", "c", "a"],
        ),
    ],
)
def test_a_tie_goes_to_the_cheapest(
    tied: Mapping[str, tuple[int, float, float]], order: Sequence[str]
) -> None:
    standings = [standing(name, *cost) for name, cost in tied.items()]
    assert [each.name for group in by_cost(standings, PLAN) for each in group] == order


def test_what_is_told_of_the_answer_comes_from_seeds_that_chose_nothing() -> None:
    verdict = judge(study(), PLAN)
    answer, default = verdict.of(verdict.answer or ""), verdict.default
    assert default is not None
    known = {each.name: list(each.confirmation.values())[:10] for each in study()}
    gains = np.subtract(known[answer.name], known["default"])
    assert (verdict.outcome, verdict.gained) == ("tie", True)
    assert verdict.gain is not None
    assert verdict.gain.value == pytest.approx(gains.mean())
    low, high = stats.ttest_rel(known[answer.name], known["default"]).confidence_interval(0.95)
    assert (verdict.gain.low, verdict.gain.high) == (pytest.approx(low), pytest.approx(high))
    assert answer.confirmed is not None
    assert answer.confirmed.value == pytest.approx(np.mean(known[answer.name]))
    assert verdict.curse is not None
    assert answer.study is not None
    assert verdict.curse.value == pytest.approx(answer.study - np.mean(known[answer.name]))
    moved = [
        each.model_copy(update={"race": {s: (v or 0) + 0.01 for s, v in each.race.items()}})
        for each in study()
    ]
    assert judge(moved, PLAN).gain == verdict.gain


def test_the_test_metrics_change_nothing_but_themselves() -> None:
    verdict = judge(study(), PLAN)
    scores = dict(enumerate(noise(0.97, 0.001, 10, 7)))
    after = unsealed(verdict, {"test_accuracy": scores, "test_loss": {**scores, 3: math.nan}})
    assert after.model_copy(update={"test": {}}) == verdict
    assert list(after.test) == ["test_accuracy"]
    assert after.test["test_accuracy"].value == pytest.approx(np.mean(list(scores.values())))
    with pytest.raises(ValueError, match="expected the 10 seeds of the confirmation"):
        unsealed(verdict, {"test_accuracy": {0: 0.97}})


# Killed at any moment.


def without_values(contenders: Sequence[Contender]) -> list[Contender]:
    return [each.model_copy(update={"race": {}, "confirmation": {}}) for each in contenders]


def played(
    known: Sequence[Contender],
    plan: Plan,
    started: Sequence[Contender],
    take: Callable[[Sequence[Run]], Sequence[Run]],
) -> tuple[list[Contender], list[Run]]:
    """What a client has on record in the end, and all that it trained; `take` of what is asked at a time."""
    trained: list[Run] = []
    now = list(started)
    while asked := needed(now, plan):
        for run in take(asked):
            trained.append(run)
            (truth,) = (getattr(e, run.part)[run.seed] for e in known if e.name == run.contender)
            for place, each in enumerate(now):
                if each.name == run.contender:
                    values = getattr(each, run.part) | {run.seed: truth}
                    now[place] = each.model_copy(update={run.part: values})
    return now, trained


TAKES: Mapping[str, Callable[[Sequence[Run]], Sequence[Run]]] = {
    "all": lambda asked: asked,
    "one by one": lambda asked: asked[:1],
    "the last first": lambda asked: asked[-1:],
    "some": lambda asked: asked[::3],
}


@pytest.mark.parametrize("take", TAKES.values(), ids=TAKES)
def test_whatever_order_values_come_in_the_verdict_is_the_same_bit_for_bit(
    take: Callable[[Sequence[Run]], Sequence[Run]],
) -> None:
    full = judge(study(), PLAN)
    now, trained = played(study(), PLAN, without_values(study()), take)
    assert judge(now, PLAN).model_dump_json() == full.model_dump_json()
    assert len(set(trained)) == len(trained) == full.runs
    fewest, most = PLAN.runs(len(now))
    assert fewest <= full.runs <= most
    assert needed(now, PLAN) == ()


def test_the_order_of_the_configurations_changes_nothing() -> None:
    assert judge(study()[::-1], PLAN) == judge(study(), PLAN)


def test_no_verdict_comes_before_its_values() -> None:
    now, _ = played(study(), PLAN, without_values(study()), lambda asked: asked)
    short = [each.model_copy(update={"confirmation": {}}) for each in now]
    with pytest.raises(
        ValueError, match=r"no verdict before 20 more runs, the first .*'confirmation'"
    ):
        judge(short, PLAN)
    assert race(without_values(study()), PLAN).leader is None


def test_more_seeds_and_more_configurations_train_only_what_is_new() -> None:
    now, before = played(study(), PLAN, without_values(study()), lambda asked: asked)
    longer = PLAN.model_copy(update={"max_seeds": 25})
    new = contender("new", 0.9799)
    later, after = played(
        [*study(), new], longer, [*now, *without_values([new])], lambda asked: asked
    )
    assert after
    assert not set(before) & set(after)
    assert judge(later, longer) == judge([*study(), new], longer)


# Where there is little to go by.

ODD: Mapping[str, tuple[list[Contender], Plan, tuple[str, str | None, bool | None]]] = {
    "all the same": ([flat("a", 0.98), flat("default", 0.98)], PLAN, ("tie", "default", False)),
    "apart by rounding alone": (
        [flat("a", 0.3), flat("default", 0.1 + 0.2)],
        PLAN,
        ("tie", "default", False),
    ),
    "no spread, but far apart": (
        [flat("a", 0.98), flat("default", 0.9)],
        PLAN,
        ("winner", "a", True),
    ),
    "no spread and few seeds": ([flat("a", 0.98), flat("default", 0.9)], SHORT, ("tie", "a", True)),
    "a network that learns nothing": (
        [contender("a", 0.98), flat("default", 0.1135)],
        PLAN,
        ("winner", "a", True),
    ),
    "one seed": (
        [contender("a", 0.98), contender("default", 0.9)],
        PLAN.model_copy(update={"seeds": 1, "max_seeds": 1, "confirm": 1}),
        ("tie", "a", None),
    ),
    "one configuration": ([contender("a")], PLAN, ("only", "a", None)),
    "only the default": ([contender("default")], PLAN, ("only", "default", False)),
    "no default": ([contender("a", 0.98), contender("b", 0.9)], PLAN, ("winner", "a", None)),
    "the default leads": (
        [contender("a", 0.9), contender("default")],
        PLAN,
        ("winner", "default", False),
    ),
    "a seed diverged": (
        [lost("a", mean=0.99), contender("default")],
        PLAN,
        ("only", "default", False),
    ),
    "the default diverged": ([contender("a"), lost("default")], PLAN, ("only", "a", None)),
    "all diverged": ([lost("a"), lost("default")], PLAN, ("none", None, None)),
    "the answer diverged when confirmed": (
        [lost("a", "confirmation", 0.99, study=0.99), contender("default")],
        PLAN,
        ("winner", "a", None),
    ),
    "the default diverged when confirmed": (
        [contender("a", 0.99), lost("default", "confirmation")],
        PLAN,
        ("winner", "a", None),
    ),
}


@pytest.mark.parametrize(("contenders", "plan", "expected"), ODD.values(), ids=ODD)
def test_where_there_is_little_to_go_by_nothing_is_made_up(
    contenders: list[Contender], plan: Plan, expected: tuple[str, str | None, bool | None]
) -> None:
    verdict = judge(contenders, plan)
    assert (verdict.outcome, verdict.answer, verdict.gained) == expected
    text = verdict.model_dump_json(indent=1)
    assert Verdict.model_validate_json(text) == verdict
    assert "NaN" not in text
    assert "Infinity" not in json.dumps(json.loads(text))
    for each in verdict.standings:
        assert (each.mean is None) == (each.state == "diverged" or not each.race)
        if each.confirmed is not None and len(set(each.confirmation)) == 1:
            assert each.confirmed.half is None
    if verdict.answer == "default":
        assert verdict.gain is not None
        assert (verdict.gain.value, verdict.gain.low, verdict.gain.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_seeds": 4}, r"finalists\.max_seeds: expected at least finalists\.seeds=5, got 4"),
        ({"alpha": 0}, "greater than 0"),
        ({"alpha": 0.5}, "less than 0.5"),
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"margin": math.nan}, "finite"),
        *(({name: 0}, "greater than or equal to 1") for name in ("seeds", "step", "confirm")),
        ({"direction": "up"}, "maximize"),
    ],
)
def test_a_plan_that_can_not_be_followed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Plan(**PLAN.model_dump() | changes)


def test_contenders_that_can_not_be_told_apart_by_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names that differ, got a, a"):
        needed([contender("a"), contender("a")], PLAN)
    with pytest.raises(ValueError, match="at most one default"):
        needed([contender("default"), contender("b", default=True)], PLAN)
