"""`study.on_end` may hold a secret: what is told of its failure does not repeat it."""

from pathlib import Path

import pytest

from search.telling import summary
from search.telling.summary import SummaryFile
from tests.search import made

SECRET = "apple"


def told(folder: Path, command: str) -> str:
    """What is noted of `command`, which fails."""
    notes: list[str] = []
    SummaryFile(folder / "s.json", "mine", 3, made.BASE.objective).call(command, notes.append)
    (note,) = notes
    return note


@pytest.mark.parametrize(
    ("command", "note"),
    [
        (f"./missing --token {SECRET}", "study.on_end: missing can't be run: No such file or dir"),
        (f"https://hooks/{SECRET} x", "study.on_end: what is an address can't be run: No such"),
        (f"/ {SECRET}", "can't be run: Permission denied"),
        (f"/bin/false {SECRET}", "study.on_end: exit code 1"),
        (f"/bin/echo '{SECRET}\0'", "study.on_end: echo can't be run: there is a NUL in its words"),
    ],
)
def test_a_command_that_fails_is_told_without_its_words(
    tmp_path: Path, command: str, note: str
) -> None:
    assert note in told(tmp_path, command)
    assert SECRET not in told(tmp_path, command)


def test_a_command_that_does_not_end_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "_HOOK_SECONDS", 0.05)
    script = tmp_path / "hook"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o700)
    note = told(tmp_path, f"{script} {SECRET}")
    assert note == "study.on_end: hook is not done after 0.05 s, and was stopped"
