"""The one estimate that a running study goes by: unknown at first, then as its trials go."""

import time
from dataclasses import replace

import pytest

from pipeline.run.config import RunConfig
from search.forecasting.cost import Size
from search.forecasting.estimator import Estimator, drawn
from search.forecasting.fit import CostModel
from search.forecasting.samples import samples
from search.study.space import Choices, Space
from search.study.vocabulary import Entry
from tests.search import made
from tests.search.forecasting.machine import BASE, MNIST, Machine, ended, run, seen

WIDTHS = Space({"model.hidden_units": Choices((32, 512))})
KNOWN = [seen(Machine(2.0), run(model__hidden_units=n)) for n in (32, 512)]


def estimator(
    *entries: Entry, runs: tuple[RunConfig, ...] = (BASE,), size: Size = MNIST, **more: object
) -> Estimator:
    return Estimator(size, lambda _: runs, entries, **more)  # type: ignore[arg-type]


def several(count: int, seconds: float, **changes: object) -> list[Entry]:
    return [ended(number, seconds, **changes) for number in range(count)]  # type: ignore[arg-type]


def test_nothing_is_said_before_anything_is_known() -> None:
    unknown = estimator()
    assert (unknown.usual, unknown.seconds(BASE), unknown.left(9, [], 2)) == (None, None, None)


def test_what_was_measured_before_is_known_from_the_start() -> None:
    wide, narrow = run(model__hidden_units=512), run(model__hidden_units=32)
    found = estimator(known=KNOWN, runs=(wide, narrow))
    assert (found.seconds(wide) or 0) > 3 * (found.seconds(narrow) or 0) > 0
    assert found.usual == pytest.approx(
        ((found.seconds(wide) or 0) + (found.seconds(narrow) or 0)) / 2
    )


@pytest.mark.parametrize("seconds", [1.0, 60.0])
def test_trials_that_ended_say_how_long_those_to_come_take(seconds: float) -> None:
    found = estimator(*several(8, seconds))
    assert found.usual == pytest.approx(seconds, rel=0.15)
    assert found.left(10, [], 1) == pytest.approx(10 * seconds, rel=0.15)
    assert found.left(10, [], 2) == pytest.approx(5 * seconds, rel=0.15)
    assert found.left(0, [], 2) == 0


def test_nothing_is_fitted_where_no_trial_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch of a study that is met imports no SciPy."""
    monkeypatch.setattr(CostModel, "fit", None)
    assert estimator(*several(3, 5.0)).left(0, [], 2) == 0
    assert estimator(known=KNOWN).left(0, [], 2) == 0
    assert estimator().left(0, [], 2) is None


def test_a_trial_that_runs_has_only_its_rest_left() -> None:
    found = estimator(*several(8, 60.0))
    begun = replace(ended(9, 60.0), state="running", started_at=time.time() - 45, ended_at=None)
    assert found.left(1, [begun], 2) == pytest.approx(15, abs=12)


def test_a_trial_counts_once_however_often_it_is_told_of() -> None:
    found, again = estimator(*several(3, 5.0)), estimator(*several(3, 5.0))
    for entry in several(3, 5.0):
        again.add(entry)
    assert found.usual == again.usual


def test_where_trials_are_pruned_those_to_come_will_be() -> None:
    long = run(train__epochs=20)
    short = [replace(entry, history=entry.history[:2]) for entry in several(30, 20.0, run=long)]
    pruned = [replace(e, state="pruned", ended_at=e.started_at + 2.0) for e in short]
    found = estimator(*pruned, runs=(long,), prunes=True)
    assert found.usual == pytest.approx(2.6, rel=0.4)


def test_a_trial_that_never_trained_says_nothing() -> None:
    taken = [replace(entry, same_as=7) for entry in several(3, 0.01)]
    assert samples(taken, MNIST) == []
    assert estimator(*taken).usual is None


def test_another_machine_s_trials_say_nothing() -> None:
    elsewhere = several(4, 500.0, worker={"device": "gpu", "worker": "0"})
    here = [replace(e, started_at=e.started_at + 9) for e in several(4, 5.0)]
    assert len(samples([*elsewhere, *here], MNIST)) == 4


def test_of_a_small_space_only_what_is_left_is_to_come() -> None:
    done = replace(made.trial(0, space=WIDTHS), params={"model.hidden_units": 32})
    assert [r.model.hidden_units for r in drawn(BASE, WIDTHS, 64, [done])] == [512]


@pytest.mark.parametrize("count", [199, 5000])
def test_many_trials_to_come_take_as_long_as_each_of_them(count: int) -> None:
    found = estimator(*several(8, 5.0))
    assert found.left(count, [], 4) == pytest.approx(count * (found.usual or 0) / 4, rel=0.03)
