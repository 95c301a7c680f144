"""The front: none of it is beaten in both objectives, and whatever else was tried is."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.command.errors import PlumblineError
from pipeline.run.config import Cost, ObjectiveConfig
from search.study.front import Corner, corner, hypervolume
from search.study.ranking import SEED, Configuration, Ranking
from search.study.vocabulary import Entry
from tests.search import made

ACCURACY = ObjectiveConfig(
    metric="val_accuracy", direction="maximize", select="best", cost="parameters"
)
LOSS = ObjectiveConfig(metric="val_loss", direction="minimize", select="best", cost="parameters")
TIME = ACCURACY.model_copy(update={"cost": "train_seconds"})
WORK = ACCURACY.model_copy(update={"cost": "multiply_adds"})
OBJECTIVES = {"accuracy": ACCURACY, "loss": LOSS, "time": TIME, "work": WORK}


def trial(number: int, value: float, cost: int, objective: ObjectiveConfig = ACCURACY) -> Entry:
    """A complete trial that costs so much, whatever the cost is."""
    result = made.result(
        [value], seconds=cost, parameters=cost, costs={"multiply_adds": cost}, value=value
    )
    run = made.BASE.model_copy(update={"objective": objective})
    return made.trial(number, value=value, result=result, history=result.history, run=run)


def by_chance(chance: int, objective: ObjectiveConfig, seeds: bool = False) -> list[Entry]:
    """Trials on few places, so that many are equal in one objective or in both."""
    lots = random.Random(chance)
    found = [
        trial(number, lots.randrange(6) / 10, lots.randrange(1, 7), objective)
        for number in range(24)
    ]
    if not seeds:
        return found
    return [
        replace(e, params={"model.dropout": e.number // 3 / 10, SEED: e.number % 3}) for e in found
    ]


def numbers(front: Sequence[Configuration]) -> list[int]:
    return [each.entry.number for each in front]


def beaten(one: Configuration, others: Sequence[Configuration], objective: ObjectiveConfig) -> bool:
    """The definition."""
    assert objective.cost is not None
    for other in others:
        cheaper = one.cost(objective.cost) - other.cost(objective.cost)
        better = (other.value - one.value) * (1 if objective.maximizes else -1)
        if min(cheaper, better) >= 0 and (max(cheaper, better) > 0):
            return True
    return False


@pytest.mark.parametrize("seeds", [False, True], ids=["single runs", "means over seeds"])
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_front_is_all_that_nothing_beats_each_place_once(
    objective: ObjectiveConfig, seeds: bool
) -> None:
    assert objective.cost is not None
    for chance in range(10):
        ranking = Ranking(objective, by_chance(chance, objective, seeds))
        places = [(each.cost(objective.cost), each.value) for each in ranking.front]
        unbeaten = [each for each in ranking if not beaten(each, ranking, objective)]
        assert places == sorted({(each.cost(objective.cost), each.value) for each in unbeaten})
        assert ranking.front[-1] is ranking[0], "the best is the dear end of it"
        assert list(ranking.leaders) == ranking.front[::-1]


@pytest.mark.parametrize("seeds", [False, True], ids=["single runs", "means over seeds"])
def test_the_front_is_the_same_in_whatever_order_trials_end(seeds: bool) -> None:
    """Also of equals: the one that was asked for first is a member."""
    entries = by_chance(0, ACCURACY, seeds)
    whole = numbers(Ranking(ACCURACY, entries).front)
    for chance in range(10):
        shuffled = random.Random(chance).sample(entries, len(entries))
        assert numbers(Ranking(ACCURACY, shuffled).front) == whole


def test_without_a_cost_there_is_none() -> None:
    plain = ACCURACY.model_copy(update={"cost": None})
    ranking = Ranking(plain, by_chance(0, plain))
    assert ranking.front == []
    assert ranking.leaders is ranking


def test_trials_that_are_all_alike_are_a_front_of_one() -> None:
    assert numbers(Ranking(ACCURACY, [trial(n, 0.5, 7) for n in (2, 0, 1)]).front) == [0]


def test_of_equal_values_the_cheaper_one_is_the_best() -> None:
    assert numbers(Ranking(ACCURACY, [trial(0, 0.9, 70), trial(1, 0.9, 7)])) == [1, 0]


def test_what_did_not_end_with_a_value_is_no_member() -> None:
    lost = replace(trial(1, 0.99, 1), state="failed", value=None, result=None)
    assert numbers(Ranking(ACCURACY, [trial(0, 0.5, 7), lost]).front) == [0]


@pytest.mark.parametrize(
    ("cost", "value"), [("parameters", 21.0), ("train_seconds", 3.0), ("multiply_adds", 20.0)]
)
def test_a_trial_knows_its_cost_by_the_objective_of_its_study(cost: Cost, value: float) -> None:
    result = made.result([0.5, 0.6], seconds=3.0, costs={"multiply_adds": 20})
    run = made.BASE.model_copy(update={"objective": ACCURACY.model_copy(update={"cost": cost})})
    entry = made.trial(0, result=result, history=result.history, run=run)
    assert entry.cost == pytest.approx(value)
    assert replace(entry, result=None).cost is None, "it runs, or has failed"
    assert replace(entry, run=made.BASE).cost is None, "nobody asked"


def test_a_cost_that_was_not_counted_ends_the_study_with_the_remedy() -> None:
    """As of a network of layers that nobody can count."""
    with pytest.raises(PlumblineError, match=r"multiply_adds of this network .*cost=parameters"):
        made.result([0.5]).cost("multiply_adds")


@pytest.mark.parametrize("objective", [ACCURACY, LOSS], ids=["maximize", "minimize"])
def test_the_hypervolume_counts_the_places_that_the_front_leaves_behind(
    objective: ObjectiveConfig,
) -> None:
    """On a grid of whole numbers, cell by cell."""
    assert objective.cost is not None
    for chance in range(10):
        lots = random.Random(chance)
        entries = [trial(n, lots.randrange(8), lots.randrange(1, 9), objective) for n in range(9)]
        ranking = Ranking(objective, entries)
        reference = corner(ranking, objective.cost, objective)
        assert reference.cost == max(each.cost(objective.cost) for each in ranking)
        behind = {
            (value, cost)
            for each in ranking
            for cost in range(int(each.cost(objective.cost)), int(reference.cost))
            for value in range(*sorted((int(each.value), int(reference.value))))
        }
        assert hypervolume(ranking.front, objective.cost, reference) == len(behind)


def test_one_trial_leaves_nothing_behind_but_its_own_corner() -> None:
    ranking = Ranking(ACCURACY, [trial(0, 0.5, 7)])
    assert corner(ranking, "parameters", ACCURACY) == Corner(0.5, 7)
    assert hypervolume(ranking.front, "parameters", Corner(0.5, 7)) == 0
