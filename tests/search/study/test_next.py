"""What a launch says to type next works where it was typed: it names the storage and the tracker."""

import pytest

from search.study.address import again
from search.study.shown import clock, next_steps


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("+study=smoke train.epochs=3 study.trials=4", "apples"),
        (
            "storage.url=sqlite:///x.db tracking=none +study=smoke",
            "apples storage.url=sqlite:///x.db tracking=none",
        ),
        ("tracking.uri=http://host:5000", "apples tracking.uri=http://host:5000"),
        ("'storage.url=sqlite:///a b.db'", "apples 'storage.url=sqlite:///a b.db'"),
    ],
)
def test_the_next_command_names_what_the_launch_was_typed_with(typed: str, named: str) -> None:
    assert again("apples", f"python -m search.optimize {typed}") == named


def test_the_next_command_shows_no_password() -> None:
    command = "python -m search.optimize storage.url=postgresql://ann:secret@host/db"
    assert "secret" not in again("apples", command)


def test_a_member_of_a_front_is_chosen_before_it_is_exported() -> None:
    report, export = next_steps("apples")
    assert (report, export) == (
        "python -m search.report study.name=apples",
        "python -m search.export study.name=apples",
    )
    assert next_steps("apples", front=True) == [report]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (-1.0, "0:00"), (59.6, "1:00"), (3600.0, "60:00")]
)
def test_time_on_the_wall_is_told_in_minutes(seconds: float, text: str) -> None:
    assert clock(seconds) == text
