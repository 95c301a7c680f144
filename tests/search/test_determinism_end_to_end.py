"""The same run has the same bits, whoever trains it: real workers, from the command to the digests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable
from tests.search.test_replay_end_to_end import run

pytestmark = pytest.mark.slow  # dozens of real trainings

SMALL = ("+study=smoke", "train.epochs=4", "study.name=small", "tracking=none", "study.order=fixed")
RANDOM = ("sampler=random", "pruner=none")
LEARNS = ("sampler.n_startup_trials=3", "pruner.n_startup_trials=2", "pruner.n_warmup_steps=1")
SIX_POINTS = (
    "study.space.model.hidden_units=[32,64]",
    "+study.space.model.dropout.step=0.25",
    "~study.space.train",
    "train.epochs=2",
)

Study = Callable[..., list[Entry]]


@pytest.fixture
def study(workdir: Path) -> Study:
    """Runs a study to each of `targets` in turn: the trials that it has then."""
    made = 0

    def brought(*words: str, targets: tuple[int, ...] = (6,), backend: str = "tensorflow") -> Any:
        nonlocal made
        made += 1
        url = f"sqlite:///{workdir / f'{made}.db'}"
        for target in targets:
            code, out = run(
                *("search.optimize", *SMALL, *words, f"storage.url={url}"),
                *(f"storage.weights=weights-{made}", f"study.trials={target}"),
                KERAS_BACKEND=backend,
            )
            assert code == 0, out
        return TrialTable.load(url, "small").entries()

    return brought


def bits(entry: Entry) -> Any:
    """What of a trial must be the same again."""
    assert entry.result is not None
    digests = (entry.result.history_digest, entry.result.weights_digest)
    assert all(digests)
    return entry.number, dict(entry.params), entry.state, entry.value, entry.result.stop, digests


def digests(entries: list[Entry]) -> dict[Any, Any]:
    """The digests of each trial by its parameters."""
    return {tuple(sorted(entry.params.items())): bits(entry)[-1] for entry in entries}


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_workers_fresh_or_recycled_one_or_two_and_a_study_resumed_give_the_same_bits(
    study: Study, backend: str
) -> None:
    once = study(*RANDOM, "launcher.workers=1", backend=backend)
    assert {entry.result.loop for entry in once if entry.result} == {backend}
    expected = [bits(entry) for entry in once]
    assert len(set(digests(once).values())) == 6
    fresh = "launcher.trials_per_worker=1"
    again = study(*RANDOM, "launcher.workers=2", fresh, targets=(2, 6), backend=backend)
    assert [bits(entry) for entry in again] == expected


def test_a_study_that_learns_and_prunes_is_the_same_with_the_same_number_of_workers(
    study: Study,
) -> None:
    """With another number it is another study, as each trial knows of other results; but what both
    try has the same bits, as far as both train it."""
    words = (*LEARNS, "launcher.workers=2")
    once = study(*words, targets=(10,))
    assert "pruned" in {entry.state for entry in once}
    fresh = "launcher.trials_per_worker=1"
    again = study(*words, fresh, targets=(4, 10))
    assert [bits(entry) for entry in again] == [bits(entry) for entry in once]
    alone = study(*LEARNS, "launcher.workers=1", targets=(10,))
    pruned = {tuple(sorted(e.params.items())) for e in (*once, *alone) if e.state == "pruned"}
    ours, theirs = digests(once), digests(alone)
    both = (ours.keys() & theirs.keys()) - pruned
    assert both
    assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}


def test_optuna_and_keras_tuner_come_to_the_same_bits_at_the_same_points(study: Study) -> None:
    optuna = study(*SIX_POINTS, "sampler=grid", "pruner=none")
    keras_tuner = study(*SIX_POINTS, "engine=keras_tuner", "oracle=grid")
    assert len(digests(optuna)) == 6
    assert digests(optuna) == digests(keras_tuner)
