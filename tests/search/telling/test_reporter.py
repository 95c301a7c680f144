"""A study's last report where the tracker can't have it."""

from threading import Event

import pytest

import search.telling.reporter
from search.analysis.facts import Source
from search.rendering.publication import Rendered
from search.telling.reporter import Reporter
from tests.search.test_report_command import closed, tracking

pytestmark = pytest.mark.slow  # the default suite stays under three minutes


def test_a_server_that_never_takes_the_report_is_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.telling.reporter, "publish", lambda *_: Event().wait())
    monkeypatch.setattr(search.telling.reporter, "_LOGGED_SECONDS", 0.1)
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter._drawn, reporter.owed = Rendered("", {}, "uid", "made of"), True
    reporter._ask = list  # type: ignore[method-assign,assignment]
    assert closed(reporter, 0.1) < 5
    assert "TimeoutError: no answer within" in notes[0]


def test_a_process_that_dies_as_it_is_asked_is_told_of_and_another_takes_its_place(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter.trial_ended()
    reporter.tick(spare=True)
    first = reporter._process
    assert first is not None
    first.kill()
    first.join()
    looks = iter([True])  # it was seen alive a moment ago
    monkeypatch.setattr(first, "is_alive", lambda: next(looks, False))
    reporter.draw()
    assert reporter._process is not first
    assert "the process that makes it died" in notes[0]
    reporter.close(0)
    assert len(notes) == 2


@pytest.mark.parametrize("drawn", [None, Rendered("", {}, "uid", "made of")])
def test_a_report_is_not_published_where_the_runs_could_not_be(
    url: str, drawn: Rendered | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(search.telling.reporter, "publish", asked.append)
    notes: list[str] = []
    reporter = Reporter(Source(url, "mine", tracking()), None, notes.append)
    reporter._drawn, reporter.owed = drawn, True
    reporter.close(0)
    assert asked == []
    assert "not published" in notes[0]
