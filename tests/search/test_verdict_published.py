"""What a tracker missed of a verdict, or shows an older one of, `python -m search.publish` brings."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import search.publish
import search.rendering.report
from search.analysis.finalists import Finalists
from search.analysis.leaderboard import made_of
from search.trial_table.trials import TrialTable
from tests.search.test_report_command import recorded, values
from tests.search.verdicts import by_mean, record

pytestmark = pytest.mark.slow  # a report takes seconds

MEANS = {"trial 2": 0.95, "trial 1": 0.93, "default": 0.90}


@pytest.fixture
def url(workdir: Path) -> str:
    """A study of three trials that are complete, the first of which is the default."""
    place = f"sqlite:///{workdir / 'studies.db'}"
    recorded(place, "mine")
    return place


def publish(url: str) -> int:
    tracker = f"tracking.uri=sqlite:///{Path('mlflow.db').absolute()}"
    return search.publish.main(values(url, "tracking=mlflow", tracker))


def runs() -> dict[str, tuple[str, dict[str, str]]]:
    """Name and tags of every run, by its id."""
    with sqlite3.connect("mlflow.db") as database:
        names = database.execute("SELECT run_uuid, name FROM runs").fetchall()
        tags = database.execute("SELECT run_uuid, key, value FROM tags").fetchall()
    database.close()
    return {run: (name, {k: v for r, k, v in tags if r == run}) for run, name in names}


def report_of(workdir: Path) -> str:
    (page,) = workdir.rglob("artifacts/report/report.html")
    return page.read_text()


def tag_of_the_report() -> str:
    (tag,) = [tags["report.trials"] for _, tags in runs().values() if "report.trials" in tags]
    return tag


def made_of_all(url: str, finalists: Finalists | None) -> str:
    return made_of(TrialTable.load(url, None).entries(), finalists)


def test_an_outage_costs_nothing_of_the_verdict(
    workdir: Path, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    finalists = record(url, by_mean(MEANS))
    assert finalists.verdict is not None
    assert publish(url) == 0
    found = runs()
    by_name = {name: (run, tags) for run, (name, tags) in found.items()}
    verdict, tags = by_name["verdict"]
    assert tags["verdict.answer"] == finalists.verdict.answer == "trial 2"
    for name in finalists.all:
        of_seeds = [
            t for _, t in found.values() if t.get("finalist") == name and "finalist.part" in t
        ]
        assert by_name[name][1]["mlflow.parentRunId"] == verdict
        assert {t["mlflow.parentRunId"] for t in of_seeds} == {by_name[name][0]}
    assert len(found) == 1 + 4 + 1 + len(finalists.all) + len(finalists.rows)
    assert "The verdict" in report_of(workdir)
    assert tag_of_the_report() == made_of_all(url, finalists)

    monkeypatch.setattr(search.rendering.report, "render_and_publish", forbidden)
    capsys.readouterr()
    assert publish(url) == 0
    assert "mine: 0 runs published, 4 trials in all" in capsys.readouterr().out
    assert runs() == found


def forbidden(*_: Any, **__: Any) -> str:
    raise AssertionError("the tracker has a report that says the same")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lambda _: None, lambda url: record(url, by_mean(MEANS))),
        (lambda _: None, lambda url: record(url, by_mean(MEANS), most=3)),
        (
            lambda url: record(url, by_mean(MEANS)),
            lambda url: record(url, by_mean(MEANS), alpha=0.01),
        ),
    ],
    ids=["none before", "begun since", "asked otherwise since"],
)
def test_a_report_that_lacks_what_is_known_now_is_made_anew(
    workdir: Path,
    url: str,
    before: Callable[[str], Finalists | None],
    after: Callable[[str], Finalists],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = before(url)
    assert publish(url) == 0
    assert tag_of_the_report() == made_of_all(url, first)
    second = after(url)
    capsys.readouterr()
    assert publish(url) == 0
    assert "its report is published" in capsys.readouterr().out
    assert tag_of_the_report() == made_of_all(url, second)
    assert ("The verdict" in report_of(workdir)) == (second.verdict is not None)
