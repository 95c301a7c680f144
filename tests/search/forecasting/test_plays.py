"""A study played through: what its engine would ask for, and how far each trial would go."""

from dataclasses import replace

import pytest

from search.forecasting.plays import Asked, Planned, Play
from search.setup.read import Setup
from search.study.vocabulary import Entry
from tests.search.conftest import setup_of
from tests.search.forecasting.machine import ended

DROPOUT = {"model": {"dropout": {"low": 0.0, "high": 0.6}}}
FEW = {"model": {"dropout": [0.0, 0.1, 0.2, 0.3]}}
HYPERBAND = ("engine=keras_tuner", "oracle=hyperband", "train.epochs=9", "study.trials=17")


def played(setup: Setup, entries: tuple[Entry, ...] = (), seed: int = 0) -> list[Planned]:
    """One play of what is left of a study."""
    asked = Asked(
        setup.run,
        setup.space,
        setup.study.trials,
        len(entries),
        [entry for entry in entries if entry.state == "running"],
        [entry.curve for entry in entries if entry.state != "running"],
        {entry.number: len(entry.history) for entry in entries},
    )
    engine = setup.make_engine(entries, 2)
    return Play(asked, engine, 2, setup.prunes, lambda _: 1.0, lambda _: 0.0, seed).through()


def rows(setup: Setup, count: int) -> tuple[Entry, ...]:
    """So many trials that ended."""
    return tuple(
        replace(ended(number, 5.0, setup.run), params={"model.dropout": number / 10})
        for number in range(count)
    )


def test_without_a_pruner_every_trial_trains_all_its_epochs() -> None:
    setup = setup_of("pruner=none", "study.trials=12", space=DROPOUT)
    trials = played(setup)
    assert [trial.epochs for trial in trials] == [4] * 12
    assert len({trial.run.model.dropout for trial in trials}) == 12


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_study_of_two_objectives_is_played_too(sampler: str) -> None:
    words = ("objective.cost=train_seconds", f"sampler={sampler}", "pruner=none", "study.trials=14")
    assert len(played(setup_of(*words, space=DROPOUT))) == 14


@pytest.mark.parametrize("name", ["median", "asha", "hyperband", "percentile"])
def test_a_pruner_prunes_some(name: str) -> None:
    setup = setup_of(f"pruner={name}", "study.trials=20", "train.epochs=9", space=DROPOUT)
    epochs = [trial.epochs for trial in played(setup)]
    assert len(epochs) == 20
    assert min(epochs) < 9
    assert max(epochs) == 9


def test_another_seed_is_another_play_and_the_same_one_the_same() -> None:
    setup = setup_of("pruner=median", "study.trials=20", "train.epochs=9", space=DROPOUT)
    one, again, other = ([trial.epochs for trial in played(setup, seed=seed)] for seed in (0, 0, 1))
    assert one == again != other


def test_a_small_space_is_used_up_early() -> None:
    setup = setup_of("sampler=grid", "pruner=none", "study.trials=30", space=FEW)
    assert len(played(setup)) == 4


@pytest.mark.slow  # KerasTuner takes seconds to import
def test_hyperband_goes_on_from_the_best_of_a_round() -> None:
    setup = setup_of(*HYPERBAND, space=DROPOUT)
    trials = played(setup)
    assert len(trials) == 17
    longer = [trial for trial in trials if trial.after is not None]
    assert longer
    for trial in longer:
        before = trials[trial.after or 0]
        assert trial.behind == before.epochs < trial.epochs
        assert trial.run.model.dropout == before.run.model.dropout


def test_of_a_study_that_began_only_the_rest_is_played() -> None:
    setup = setup_of("pruner=none", "study.trials=12", space=DROPOUT)
    entries = rows(setup, 6)
    assert len(played(setup, entries)) == 6
    again = (*entries[:4], *(replace(entry, state="running") for entry in entries[4:]))
    assert len(played(setup, again)) == 8
    assert [t.run.model.dropout for t in played(setup, again)][:2] == [0.4, 0.5]


def test_an_early_stop_is_foreseen_where_there_is_patience() -> None:
    setup = setup_of("pruner=none", "train.patience=2", "train.epochs=60", space=DROPOUT)
    assert all(3 <= trial.epochs < 60 for trial in played(setup))


@pytest.mark.parametrize("metric", ["val_loss", "val_accuracy"])
def test_made_up_curves_get_better_whatever_is_better(metric: str) -> None:
    direction = "minimize" if metric == "val_loss" else "maximize"
    words = (f"objective.metric={metric}", f"objective.direction={direction}")
    setup = setup_of(*words, "pruner=none", "train.patience=3", "train.epochs=50", space=DROPOUT)
    assert all(trial.epochs > 5 for trial in played(setup))
