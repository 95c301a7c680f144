"""Hyperband: its brackets, whatever ends first and whatever fails."""

import random
from contextlib import nullcontext
from itertools import pairwise
from typing import Any

import pytest

from pipeline.command.errors import ConfigError
from search.study.vocabulary import Entry, Wait
from tests.search.conftest import DROPOUT
from tests.search.engines.oracles.session import SIX, Session, setup_of, until_the_end


def brackets(session: Session) -> dict[tuple[int, int], list[list[Entry]]]:
    """The trials that ended well by (iteration, bracket), then round."""
    found: dict[tuple[int, int], list[list[Entry]]] = {}
    for entry in session.entries:
        if entry.state == "complete":
            key = (entry.notes["tuner/iteration"], entry.notes["tuner/bracket"])
            rounds = found.setdefault(key, [[], [], []])
            rounds[entry.notes["tuner/round"]].append(entry)
    return found


def test_hyperband_has_the_brackets_of_its_paper() -> None:
    """9 epochs by thirds: brackets that begin at 1, 3 and 9 epochs, 3 trials at the end of each."""
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=1"))
    until_the_end(session, workers=1)
    sizes = {key: [len(each) for each in rounds] for key, rounds in brackets(session).items()}
    assert sizes == {(0, 2): [9, 3, 1], (0, 1): [5, 2, 0], (0, 0): [3, 0, 0]}
    for (_, bracket), rounds in brackets(session).items():
        for number, entries in enumerate(rounds):
            for entry in entries:
                assert entry.epochs == 9 // 3 ** (bracket - number)
                assert entry.notes["tuner/initial_epoch"] == (entry.epochs // 3 if number else 0)
                assert list(entry.params) == ["model.dropout"]


def test_the_best_of_a_round_go_on_from_themselves() -> None:
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=1"))
    until_the_end(session, workers=1)
    for rounds in brackets(session).values():
        for before, after in pairwise(rounds):
            best = sorted(before, key=lambda entry: -(entry.value or 0))[: len(after)]
            assert [entry.continues for entry in after] == [entry.number for entry in best]
            assert [entry.params for entry in after] == [entry.params for entry in best]


def test_hyperband_minimizes_a_loss() -> None:
    overrides = ("objective.metric=val_loss", "objective.direction=minimize")
    session = Session(setup_of("hyperband", DROPOUT, *overrides))
    first = [session.trial() for _ in range(9)]
    promoted = session.trial()
    assert promoted.continues == min(first, key=lambda entry: entry.value or 0).number


def test_hyperband_goes_through_its_brackets_until_the_target() -> None:
    session = Session(setup_of("hyperband"))
    assert len(session.trials(60)) == 60
    assert {iteration for iteration, _ in brackets(session)} == {0, 1, 2}


@pytest.mark.parametrize("workers", [2, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_workers_never_hang_at_a_round(workers: int, seed: int) -> None:
    """Whatever ends first, and whatever fails: every bracket comes to its end."""
    session = Session(setup_of("hyperband", DROPOUT, "oracle.hyperband_iterations=2"))
    chance = random.Random(seed)
    until_the_end(session, workers, seed, fails=lambda _: chance.random() < 0.2)
    for (_, bracket), rounds in brackets(session).items():
        assert len(rounds[bracket]) >= (1, 2, 3)[2 - bracket]
        for before, after in pairwise(rounds):
            assert {entry.continues for entry in after} <= {entry.number for entry in before}
    assert len(brackets(session)) == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_finite_space_comes_to_its_end_too(seed: int) -> None:
    """Fewer points than a round has places: all of them are the round."""
    session = Session(setup_of("hyperband", SIX))
    until_the_end(session, workers=3, seed=seed)
    rounds = brackets(session)[0, 2]
    assert [len(each) for each in rounds] == [6, 3, 1]


def test_a_failed_trial_is_made_up_for() -> None:
    session = Session(setup_of("hyperband"))
    for number in range(9):
        session.ask()
        session.fail(number) if number in (2, 5, 7) else session.end(number)
    again = [session.trial() for _ in range(3)]
    assert [entry.notes["tuner/round"] for entry in again] == [0, 0, 0]
    promoted = session.trial()
    assert promoted.notes["tuner/round"] == 1
    assert promoted.continues not in (2, 5, 7)


def test_a_promoted_trial_that_failed_is_made_up_for_by_another() -> None:
    session = Session(setup_of("hyperband"))
    session.trials(9)
    promoted = session.ask()
    assert isinstance(promoted, Entry)
    session.fail(promoted.number)
    assert session.trial().notes["tuner/round"] == 0
    later = [session.trial() for _ in range(3)]
    assert [entry.notes["tuner/round"] for entry in later] == [1, 1, 1]
    assert promoted.continues not in [entry.continues for entry in later]


def test_other_brackets_than_before_are_refused() -> None:
    session = Session(setup_of("hyperband"))
    session.trial()
    session.setup = setup_of("hyperband", DROPOUT, "oracle.factor=2")
    with pytest.raises(ConfigError, match=r"max_epochs=9 and factor=2.*set them back"):
        session.restart()


def test_a_promotion_is_waited_for_when_no_new_point_is_left() -> None:
    session = Session(setup_of("hyperband", SIX))
    for _ in range(6):
        session.ask()
    assert session.ask() == Wait()
    for number in range(5):
        session.end(number)
    promoted = session.ask()
    assert isinstance(promoted, Entry)
    assert promoted.continues in range(5)


@pytest.mark.parametrize(
    ("words", "varied", "fits"),
    [
        (["train.schedule=cosine"], {}, False),
        (["train.warmup_epochs=1"], {}, False),
        ([], {"schedule": ["none", "step"]}, False),
        (["train.schedule_epochs=9"], {"schedule": ["none", "step"]}, True),
        (["train.schedule=cosine"], {"schedule_epochs": [9, 18]}, True),
        ([], {"schedule_epochs": [9, None]}, True),
    ],
)
def test_a_schedule_that_goes_on_in_the_next_round_has_a_length_of_its_own(
    words: list[str], varied: dict[str, Any], fits: bool
) -> None:
    """Over the epochs of a round it would end there, and begin anew in the next."""
    with nullcontext() if fits else pytest.raises(ConfigError, match="schedule_epochs=9"):
        setup_of("hyperband", {**DROPOUT, "train": varied}, *words)


def test_hyperband_alone_decides_the_epochs() -> None:
    with pytest.raises(ConfigError, match=r"study\.space\.train\.epochs: Hyperband decides"):
        setup_of("hyperband", {"train": {"epochs": [1, 2]}})
