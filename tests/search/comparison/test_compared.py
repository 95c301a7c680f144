"""Which studies can be compared: by the same objective, on the same rows."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.run.config import ObjectiveConfig
from search.comparison.compared import groups, joined, of_one_space
from search.study.space import Choices, Range, Space
from search.study.vocabulary import Entry
from tests.search import made
from tests.search.comparison.beside import study

LOSS = ObjectiveConfig(metric="val_loss", direction="minimize", select="best")


def names(found: list[list[Any]]) -> list[list[str]]:
    return [[each.name for each in group] for group in found]


def trained(number: int, part: str, **changes: object) -> Entry:
    """A trial whose run has other settings in a part of them."""
    entry = made.trial(number)
    assert entry.run is not None
    inner = getattr(entry.run, part).model_copy(update=changes)
    return replace(entry, run=entry.run.model_copy(update={part: inner}))


@pytest.mark.parametrize(
    ("part", "changes", "path"),
    [
        ("objective", {"metric": "val_loss", "direction": "minimize"}, "objective.metric"),
        ("objective", {"select": "last"}, "objective.select"),
        ("data", {"shuffle": True}, "data.shuffle"),
        ("train", {"validation_split": 0.1}, "train.validation_split"),
    ],
)
def test_studies_that_measure_something_else_are_apart_and_the_setting_is_named(
    part: str, changes: dict[str, object], path: str
) -> None:
    one, other = study("one", [made.trial(0)]), study("other", [trained(0, part, **changes)])
    assert list(one.apart_from(other)) == list(other.apart_from(one)) == [path]
    assert names(groups([one, other, study("two", [made.trial(0)])])) == [["one", "two"], ["other"]]


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("train", {"epochs": 3}),
        ("train", {"batch_size": 256}),
        ("train", {"seed": 7}),
        ("model", {"depth": 3}),
        ("objective", {"cost": "parameters"}),
    ],
)
def test_studies_that_measure_the_same_are_together(part: str, changes: dict[str, object]) -> None:
    studies = [study("one", [made.trial(0)]), study("other", [trained(0, part, **changes)])]
    assert names(groups(studies)) == [["one", "other"]]


def test_studies_of_other_data_are_apart_whatever_they_are_called() -> None:
    other = replace(made.DATA, digest="d2" * 32)
    one, two = study("one", made.many(2)), study("two", made.many(2), dataset=other)
    assert list(one.apart_from(two)) == ["data digest"]
    assert len(groups([one, two])) == 2


def test_a_study_without_a_trial_is_compared_by_what_it_began_from() -> None:
    studies = [study("one", made.many(2)), study("none yet"), study("running", [made.running(0)])]
    assert names(groups(studies)) == [["one", "none yet", "running"]]


def test_a_study_whose_own_trials_measure_different_things_is_compared_with_none() -> None:
    mixed = study("mixed", [made.trial(0), trained(1, "data", shuffle=True)])
    studies = [mixed, study("one", made.many(2)), study("two", made.many(2))]
    assert names(groups(studies)) == [["mixed"], ["one", "two"]]
    assert names(groups(studies[::-1])) == [["two", "one"], ["mixed"]]


WIDER = Space({"model.dropout": Range(low=0.1, high=0.9)})


def test_studies_of_one_space_share_axes_that_are_wide_enough_for_all() -> None:
    one, two, three = study("one"), study("two", space=WIDER), study("three", space=made.MIXED)
    assert names(of_one_space([one, three, two])) == [["one", "two"], ["three"]]
    (axis,) = joined([one, two])
    assert (axis.low, axis.high) == (0.0, 0.9)


def test_choices_of_studies_stand_on_one_axis_each_once() -> None:
    def choosing(*widths: int) -> Space:
        return Space({"model.hidden_units": Choices(widths)})

    one, two = study("one", space=choosing(32, 64)), study("two", space=choosing(64, 128, 32))
    (axis,) = joined([one, two])
    assert axis.labels == ("32", "64", "128")
    assert [axis.at(width) for width in (32, 64, 128)] == [0, 1, 2]
    assert (axis.low, axis.high) == (-0.5, 2.5)


def test_a_range_and_choices_of_one_setting_are_two_spaces() -> None:
    listed = Space({"model.dropout": Choices((0.1, 0.2))})
    assert len(of_one_space([study("one"), study("two", space=listed)])) == 2
