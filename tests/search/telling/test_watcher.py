"""Who follows a study is told of it as a whole once a second at most, and of its end at once."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.command.errors import StoppedError
from pipeline.command.streams import OutputClosedError
from pipeline.tracking.publisher import Publisher
from pipeline.tracking.record import RunRecord
from search.study.endings import MET
from search.study.vocabulary import Entry
from search.telling import watcher
from search.telling.progress import Progress
from search.telling.runs import Records
from search.telling.summary import SummaryFile
from search.telling.watcher import StudyWatcher
from tests.search import made


class Clock:
    """Time that stands where it is put; to be made before what looks at it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Kept(Publisher):
    """Records as they were handed over, newest last."""

    def __init__(self) -> None:
        self.records: list[RunRecord] = []

    def update(self, record: RunRecord) -> None:
        self.records.append(record)

    def close(self, patience: float, hurry: bool = True) -> int:
        return 0

    def of(self, uid: str) -> list[RunRecord]:
        return [record for record in self.records if record.uid == uid]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watcher, "time", clock)
    return clock


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def summary(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    return lambda: json.loads((tmp_path / "summary.json").read_text())


@pytest.fixture
def watching(tmp_path: Path, kept: Kept) -> StudyWatcher:
    """A study of 40 trials that nothing has happened in yet."""
    watching = watcher_of(tmp_path, kept, [])
    watching.begin()
    return watching


def watcher_of(tmp_path: Path, kept: Kept, ended: list[Entry]) -> StudyWatcher:
    about = made.about()
    screen = Console(file=io.StringIO())
    return StudyWatcher(
        Progress(screen, "test", 40, 2, about.objective, []),
        Records(about, "s1"),
        kept,
        None,
        SummaryFile(tmp_path / "summary.json", "test", 40, about.objective),
        ended,
    )


def test_a_trial_is_told_of_at_once_and_its_study_within_a_second(
    clock: Clock, watching: StudyWatcher, kept: Kept, summary: Callable[[], dict[str, Any]]
) -> None:
    assert len(kept.of("s1")) == 1  # it runs
    for number in range(30):
        watching.ended(made.trial(number))
        watching.running({}, last=False)
    assert len(kept.records) == 1 + 30
    assert summary()["trials"]["complete"] == 0
    clock.now = 1.0
    watching.running({}, last=False)
    watching.running({}, last=False)
    assert summary()["trials"]["complete"] == 30
    assert len(kept.of("s1")) == 2
    assert len(kept.of("s1")[-1].points) == 30


def begun(at: float, epochs: int, worker: bool = True) -> dict[int, Entry]:
    """Trial 0 as it runs since `at`."""
    about = {"device": "cpu", "worker": "0"} if worker else {}
    history = made.history([0.5] * epochs)
    return {0: replace(made.running(0), started_at=at, worker=about, history=history)}


def test_a_running_trial_is_told_of_where_an_attempt_or_an_epoch_began(
    watching: StudyWatcher, kept: Kept
) -> None:
    told = []
    for trials in (
        begun(1.0, epochs=0, worker=False),  # nobody has taken it up
        begun(1.0, epochs=0),
        begun(1.0, epochs=0),
        begun(1.0, epochs=1),
        begun(1.0, epochs=1),
        begun(2.0, epochs=1),  # its worker died
        begun(2.0, epochs=1),
    ):
        watching.running(trials, last=False)
        told.append(len(kept.of("s1-0")))
    assert told == [0, 1, 1, 2, 2, 3, 3]


def test_a_study_in_which_nothing_ended_is_not_told_of_again(
    clock: Clock, watching: StudyWatcher, kept: Kept
) -> None:
    for clock.now in (10.0, 20.0, 30.0):
        watching.running({}, last=False)
    assert len(kept.records) == 1


def test_a_launch_with_nothing_to_do_publishes_what_an_earlier_one_could_not(
    tmp_path: Path, kept: Kept, summary: Callable[[], dict[str, Any]]
) -> None:
    with watcher_of(tmp_path, kept, [made.trial(0), made.failed(1)]) as watching:
        watching.ending = MET
    assert [record.uid for record in kept.records] == ["s1", "s1-0", "s1-1", "s1"]
    assert kept.records[-1].status == "FINISHED"
    assert summary()["state"] == "met"


def test_an_exception_ends_a_study_as_failed_and_its_trials_as_interrupted(
    watching: StudyWatcher, kept: Kept, summary: Callable[[], dict[str, Any]]
) -> None:
    watching.running(begun(1.0, epochs=1), last=False)
    with pytest.raises(OSError, match="no space"), watching:
        raise OSError("no space left")
    assert (summary()["state"], summary()["message"]) == ("failed", "Failed: no space left")
    assert kept.of("s1")[-1].status == "FAILED"
    assert kept.of("s1")[-1].tags["study.ending"] == "Failed: no space left"
    assert kept.of("s1-0")[-1].status == "KILLED"


def test_each_step_of_the_end_is_taken_whatever_becomes_of_the_others(
    watching: StudyWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a signal comes in the middle of one of them."""
    called: list[str] = []

    def fails(*_: object) -> None:
        raise StoppedError("stopped by SIGINT")

    for step in ("_say_how", "_close_summary", "_close_publisher", "_close_reporter"):
        monkeypatch.setattr(watching, step, fails)
    monkeypatch.setattr(watching, "_call_on_end", lambda: called.append("on_end"))
    with pytest.raises(StoppedError), watching:
        watching.ending = MET
    assert called == ["on_end"]


def test_output_that_is_lost_ends_a_study_when_all_that_happened_is_taken_in(
    watching: StudyWatcher, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials may end at once: the second one is recorded though the first could not be shown."""

    def lost(*_: object) -> None:
        raise OutputClosedError("standard output was closed")

    monkeypatch.setattr(Progress, "ended", lost)
    watching.ended(made.trial(0))
    watching.ended(made.trial(1))
    assert {record.uid for record in kept.records} == {"s1", "s1-0", "s1-1"}
    with pytest.raises(OutputClosedError):
        watching.running({}, last=False)


def test_the_end_is_told_at_once(
    watching: StudyWatcher, kept: Kept, summary: Callable[[], dict[str, Any]]
) -> None:
    with watching:
        watching.ended(made.trial(0))
        watching.ending = MET
    assert (summary()["state"], summary()["trials"]["complete"]) == ("met", 1)
    assert kept.of("s1")[-1].status == "FINISHED"
    assert len(kept.of("s1")[-1].points) == 1
