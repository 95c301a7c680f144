"""A simulated study is a study: the same coordinator, engine and table, by another clock."""

import numpy as np
import pytest

from search.simulate.play import play, trials
from search.study.vocabulary import Entry
from tests.search.conftest import setup_of
from tests.search.simulate.records import EPOCHS, record, setup, surrogate

METHODS = {
    "random": ("sampler=random", "pruner=none"),
    "qmc": ("sampler=qmc", "pruner=none"),
    "cmaes": ("sampler=cmaes", "pruner=none"),
    "tpe": (
        "sampler=tpe",
        "sampler.n_startup_trials=3",
        "pruner=median",
        "pruner.n_startup_trials=2",
    ),
    "keras_tuner random": ("engine=keras_tuner",),
    "keras_tuner hyperband": ("engine=keras_tuner", "oracle=hyperband"),
}
pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")


def ended(*overrides: str, workers: int = 2, seconds: float = 40.0, seed: int = 0) -> list[Entry]:
    return trials(setup(*overrides), record(), surrogate(), workers, seconds, seed)


@pytest.mark.parametrize(
    "method",
    [m if m in ("tpe", "random") else pytest.param(m, marks=pytest.mark.slow) for m in METHODS],
)
def test_no_method_suggests_outside_the_space_and_time_is_the_clocks(method: str) -> None:
    """Workers are busy: in so many seconds they do what fits, and nobody waits for it."""
    found = ended(*METHODS[method])
    assert found
    for entry in found:
        assert 0 <= entry.params["model.dropout"] <= 0.6  # type: ignore[operator]
        assert 1e-4 <= entry.params["train.learning_rate"] <= 1e-2  # type: ignore[operator]
        assert entry.ended_at is not None
        shown = surrogate().show([dict(entry.params)])
        took = 0.5 * (len(entry.history) > 0) + len(entry.history) * float(shown.epoch[0])
        assert entry.ended_at - entry.started_at == pytest.approx(took, rel=0.05)
    assert 30 < max(entry.ended_at or 0 for entry in found) <= 41


def test_a_seed_gives_the_same_study_and_another_seed_another() -> None:
    def told(seed: int) -> list[object]:
        found = ended("sampler=random", "pruner=none", seconds=12, seed=seed)
        return [(entry.params, entry.value, entry.ended_at) for entry in found]

    assert told(0) == told(0) != told(1)


def test_each_seed_of_a_network_has_its_own_luck() -> None:
    space = {"model": {"dropout": [0.1, 0.3]}, "train": {"seed": [0, 1, 2]}}
    study = setup_of(f"train.epochs={EPOCHS}", *METHODS["random"], space=space)
    found = trials(study, record(), surrogate(), 2, 40.0, 0)
    for dropout in (0.1, 0.3):
        values = [e.value for e in found if e.params["model.dropout"] == dropout]
        assert len(set(values)) == 3


def test_the_value_of_a_study_is_that_of_its_choice_without_luck() -> None:
    """It may fall: what looked better by luck is chosen."""
    study = setup("sampler=random", "pruner=none")
    found = ended("sampler=random", "pruner=none", seconds=30)
    course = play(study, record(), surrogate(), 2, 30.0, 0)
    best = max(found, key=lambda entry: entry.value or 0)
    truth = surrogate().show([dict(best.params)]).curves[0].max()
    assert course.values[-1] == pytest.approx(truth)
    assert course.at(0.1) != course.at(0.1), "no trial had ended: NaN"
    assert course.at(30.0) == course.values[-1]
    assert course.after(len(found)) == course.values[-1]
    assert np.isnan(course.after(len(found) + 1))


@pytest.mark.slow
def test_a_trial_that_goes_on_from_another_has_its_curve() -> None:
    found = ended(*METHODS["keras_tuner hyperband"], seconds=100)
    by_number = {entry.number: entry for entry in found}
    later = [e for e in found if e.continues is not None and e.continues in by_number]
    assert later
    for entry in later:
        before = by_number[entry.continues or 0]
        assert entry.params == before.params
        assert entry.history[0].epoch == before.history[-1].epoch + 1
        assert entry.history[-1].epoch <= EPOCHS


@pytest.mark.parametrize(
    ("seeds", "seconds"), [(3, 60.0), pytest.param(50, 260.0, marks=pytest.mark.slow)]
)
def test_over_seeds_the_methods_do_what_they_are_for(seeds: int, seconds: float) -> None:
    """TPE beats random search, a pruner tries more and loses little, parallel asking costs little."""
    best = 1 - float(np.exp(-4 + 1.5 * 0.5 ** (EPOCHS - 1)))

    def regrets(workers: int, time: float, *overrides: str) -> tuple[float, float]:
        study = setup(*overrides)
        courses = [play(study, record(), surrogate(), workers, time, seed) for seed in range(seeds)]
        values = np.array([course.values[-1] for course in courses])
        return float(np.mean(best - values)), float(
            np.mean([len(course.times) for course in courses])
        )

    random, trials_of_random = regrets(2, seconds, "sampler=random", "pruner=none")
    tpe, _ = regrets(2, seconds, "sampler=tpe", "pruner=none")
    pruned, trials_of_pruned = regrets(2, seconds, "sampler=random", "pruner=median")
    parallel, _ = regrets(8, seconds / 4, "sampler=tpe", "pruner=none")
    assert 0.3 < trials_of_random / seconds < 0.5
    assert tpe < 0.8 * random
    assert trials_of_pruned > 1.2 * trials_of_random
    assert pruned < 1.1 * random
    assert tpe <= parallel + 0.0002
    assert parallel < random
