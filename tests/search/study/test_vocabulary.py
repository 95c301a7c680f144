"""What a study may be called, and how many trials it may have."""

import pytest

from pipeline.command.errors import ConfigError
from pipeline.command.section import validated
from search.study.vocabulary import StudyConfig


def named(name: object) -> StudyConfig:
    values = {"name": name, "question": None, "trials": 1, "lock": "fail", "space": {}}
    return validated(StudyConfig, values, "study")


@pytest.mark.parametrize("name", ["dropout", "2024-05.run_3", "a", "x" * 100, "größe", "ü" * 100])
def test_a_plain_name_is_taken(name: str) -> None:
    assert named(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        "a..b",
        ".hidden",
        "a/b",
        "a\\b",
        "a\0b",
        "a b",
        "a\n",
        "-x",
        "_x",
        "a\u200b",
        "a+b",
        "'; DROP",
        7,
    ],
)
def test_a_name_that_could_leave_its_place_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match=r"study\.name: expected"):
        named(name)


def test_a_letter_that_is_typed_in_two_ways_makes_one_name() -> None:
    assert named("gro\u0308ße").name == named("gr\u00f6ße").name


def test_a_name_is_not_longer_than_a_file_may_be_called() -> None:
    with pytest.raises(ConfigError, match=r"study\.name: expected at most 200 bytes .*, got 300"):
        named("研" * 100)


@pytest.mark.parametrize("name", ["", "x" * 101, "x" * 10_000])
def test_a_name_has_1_to_100_characters(name: str) -> None:
    with pytest.raises(ConfigError, match=r"study\.name: expected") as caught:
        named(name)
    assert "character" in str(caught.value)


def test_a_study_has_at_least_one_trial() -> None:
    values = {"name": "x", "question": None, "trials": 0, "lock": "fail", "space": {}}
    with pytest.raises(ConfigError, match=r"study\.trials: expected 1 <= trials, got 0"):
        validated(StudyConfig, values, "study")


@pytest.mark.parametrize("command", ["", "  ", "notify 'ann", "notify ann\\"])
def test_what_is_no_command_is_refused_before_the_end_is_there(command: str) -> None:
    values = {"name": "x", "question": None, "trials": 1, "lock": "fail", "space": {}}
    with pytest.raises(ConfigError, match=r"study\.on_end: expected"):
        validated(StudyConfig, {**values, "on_end": command}, "study")
