"""The chaos campaign: it strikes, and whatever were lost, doubled or left running would be counted."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.result import EpochMetrics
from search.study.vocabulary import Entry
from tests.faults.campaign import ENGINES, campaign
from tests.faults.tally import Tally, of_table, of_tracker
from tests.faults.tracked import TrackedRun
from tests.faults.world import outcomes
from tests.search import made

UID = "s1"


def entries() -> list[Entry]:
    return [replace(made.trial(number), uid=f"{UID}-{number}") for number in range(3)]


def runs() -> list[TrackedRun]:
    """What MLflow has of them when all is well."""
    found = [TrackedRun("r", "FINISHED", 0, 1, {"uid": UID}, {}, {})]
    for entry in entries():
        points = {
            (metric, epoch.epoch): [(value, 1)]
            for epoch in entry.history
            for metric, value in epoch.metrics.items()
        }
        found.append(TrackedRun(entry.uid, "FINISHED", 0, 1, {"uid": entry.uid}, {}, points))
    return found


def kinds(tally: Tally) -> set[str]:
    return {name for name, words in vars(tally).items() if words}


def twice(epoch: EpochMetrics, entry: Entry) -> Entry:
    return replace(entry, history=(*entry.history, epoch))


TABLE: dict[str, tuple[Callable[[list[Entry]], list[Entry]], set[str]]] = {
    "whole": (lambda all: all, set()),
    "a trial is gone": (lambda all: all[:2], {"lost"}),
    "a trial ended otherwise": (lambda all: [replace(all[0], value=0.1), *all[1:]], {"lost"}),
    "a number is there twice": (lambda all: [*all, all[0]], {"duplicated"}),
    "an epoch is there twice": (
        lambda all: [*all[:2], twice(all[2].history[-1], all[2])],
        {"duplicated", "lost"},
    ),
    "a trial runs": (
        lambda all: [*all[:2], replace(all[2], state="running")],
        {"left_running", "lost"},
    ),
    "a trial failed": (lambda all: [*all[:2], replace(all[2], state="failed")], {"odd", "lost"}),
}


@pytest.mark.parametrize("case", TABLE)
def test_what_became_of_the_table_is_counted(case: str) -> None:
    change, expected = TABLE[case]
    assert kinds(of_table(change(entries()), 3, outcomes(entries()))) == expected


def without_a_point(run: TrackedRun) -> TrackedRun:
    return replace(run, metrics=dict(list(run.metrics.items())[1:]))


def with_a_point_twice(run: TrackedRun) -> TrackedRun:
    (key, points), *_ = run.metrics.items()
    return replace(run, metrics={**run.metrics, key: points * 2})


TRACKER: dict[str, tuple[Callable[[list[TrackedRun]], list[TrackedRun]], set[str]]] = {
    "whole": (lambda all: all, set()),
    "a run is gone": (lambda all: all[:-1], {"lost"}),
    "the study's run is gone": (lambda all: all[1:], {"lost"}),
    "a point is gone": (lambda all: [*all[:3], without_a_point(all[3])], {"lost"}),
    "a run is there twice": (lambda all: [*all, all[1]], {"duplicated"}),
    "a point is there twice": (lambda all: [*all[:3], with_a_point_twice(all[3])], {"duplicated"}),
    "a run runs": (lambda all: [*all[:3], replace(all[3], status="RUNNING")], {"left_running"}),
    "a run is nobody's": (lambda all: [*all, replace(all[0], tags={})], {"odd"}),
}


@pytest.mark.parametrize("case", TRACKER)
def test_what_became_of_the_tracker_is_counted(case: str) -> None:
    change, expected = TRACKER[case]
    assert kinds(of_tracker(change(runs()), entries(), UID)) == expected


@pytest.mark.slow
@pytest.mark.faults
def test_a_campaign_over_all_engines_comes_to_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    came_of_it = campaign(3 * len(ENGINES), seed=1, folder=tmp_path, per_study=3)
    said: Any = capsys.readouterr().out
    assert came_of_it.clean, said
    for engine in ENGINES:
        assert re.search(
            rf"^{engine}: 3 strikes .*: lost 0, duplicated 0, left running 0$", said, re.M
        )
    assert said.splitlines()[-1].startswith("12 strikes (")
