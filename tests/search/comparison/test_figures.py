"""What is drawn of several studies: their courses, where they searched, their answers, their fronts."""

from dataclasses import replace

import pytest

from search.comparison import figures
from search.comparison.compared import COLOURS
from search.plots.marks import Dots, Line, Panel, Plot
from search.study.vocabulary import Entry
from tests.search import made
from tests.search.comparison.beside import beside, judged, study
from tests.search.telling.test_front import OBJECTIVE, SPACE
from tests.search.telling.test_front import study as front_study

BEGUN = 1_700_000_000.0


def timed(entry: Entry, start: float, end: float) -> Entry:
    return replace(entry, started_at=BEGUN + start, ended_at=BEGUN + end)


def lines(panel: Panel) -> dict[str, list[tuple[float, float]]]:
    """What each line joins, by the colour of its study."""
    found = [mark for mark in panel.marks if isinstance(mark, Line)]
    return {mark.colour: [(x, round(y, 6)) for x, y in mark.points] for mark in found}


def panels(plot: Plot) -> list[Panel]:
    assert plot.panels or plot.empty
    return [panel for panel in plot.panels if isinstance(panel, Panel)]


def test_the_best_so_far_is_drawn_against_trials_and_against_seconds() -> None:
    slow = [
        timed(made.trial(0, 0.90), 0, 10),
        timed(made.trial(1, 0.94), 0, 30),
        timed(made.trial(2, 0.92), 10, 20),
    ]
    one, two = beside(study("slow", slow), study("quick", [timed(made.trial(0, 0.93), 5, 6)]))
    by_number, by_time = panels(figures.best_so_far([one, two]))
    assert lines(by_number) == {
        one.colour: [(0, 0.90), (1, 0.94), (2, 0.94)],
        two.colour: [(0, 0.93)],
    }
    assert lines(by_time) == {
        one.colour: [(10, 0.90), (20, 0.92), (30, 0.94)],
        two.colour: [(1, 0.93)],
    }


def test_the_time_between_launches_is_not_counted() -> None:
    entries = [
        timed(made.trial(0, 0.90), 0, 10),
        timed(made.trial(1, 0.91), 10, 20),
        timed(made.trial(2, 0.92), 90_000, 90_010),
    ]
    (one,) = beside(study("resumed", entries))
    _, by_time = panels(figures.best_so_far([one]))
    assert [at for at, _ in lines(by_time)[one.colour]] == [10, 20, 30]


def test_trials_that_failed_or_were_pruned_take_their_time_and_their_number() -> None:
    entries = [
        timed(made.trial(0, 0.90), 0, 2),
        timed(made.pruned(1, 0.99), 2, 3),
        timed(made.failed(2), 3, 9),
    ]
    (one,) = beside(study("one", entries))
    by_number, by_time = panels(figures.best_so_far([one]))
    assert lines(by_number)[one.colour] == [(0, 0.90), (1, 0.90), (2, 0.90)]
    assert lines(by_time)[one.colour] == [(2, 0.90), (3, 0.90), (9, 0.90)]


@pytest.mark.parametrize(
    "entries", [[], [made.running(0)], [made.pruned(0)], [made.failed(0)]], ids=str
)
def test_a_study_without_a_complete_trial_has_no_course(entries: list[Entry]) -> None:
    none, one = beside(study("none", entries), study("one", made.many(2)))
    assert panels(figures.best_so_far([none])) == []
    for panel in panels(figures.best_so_far([none, one])):
        assert set(lines(panel)) == {one.colour}


def test_where_each_searched_has_every_trial_with_a_value_by_its_end() -> None:
    ended = [made.trial(0), made.pruned(1), made.failed(2), made.running(3)]
    one, two = beside(study("one", ended), study("two", made.many(2)))
    (panel,) = panels(figures.searched([one, two]))
    dots = [mark for mark in panel.marks if isinstance(mark, Dots)]
    assert [(d.colour, d.symbol, len(d.points)) for d in dots] == [
        (one.colour, "o", 1),
        (one.colour, "v", 1),
        (one.colour, "X", 1),
        (one.colour, "*", 1),
        (two.colour, "o", 2),
        (two.colour, "*", 1),
    ]
    assert all(tip.startswith(("one, trial ", "two, trial ")) for mark in dots for tip in mark.tips)


@pytest.mark.slow
def test_the_answers_have_their_seeds_and_intervals() -> None:
    one, two = beside(judged("one"), judged("two"))
    (panel,) = panels(figures.answers([one, study("without", made.many(2)), two]))
    for lane, each in enumerate((one, two)):
        mean = each.confirmed
        assert mean is not None
        seeds, center = [m for m in panel.marks if isinstance(m, Dots) and m.colour == each.colour]
        assert (mean.value, lane) in center.points
        assert len(seeds.points) == mean.seeds
        (bar,) = [m for m in panel.marks if isinstance(m, Line) and m.colour == each.colour]
        assert list(bar.points) == [(mean.low, lane), (mean.high, lane)]


def test_without_a_verdict_there_are_no_answers() -> None:
    assert panels(figures.answers([study("without", made.many(2))])) == []


def test_fronts_are_drawn_where_a_study_searched_one_with_one_reference_for_all() -> None:
    front = study("front", front_study(), SPACE, objective=OBJECTIVE)
    plain = study("plain", [made.trial(0, 0.95)])
    one, two = beside(front, plain)
    drawn, grown = panels(figures.fronts([one, two], "parameters"))
    assert set(lines(drawn)) == {one.colour, two.colour}
    assert set(lines(grown)) == {one.colour}, "the other one searched no front"
    heights = [height for _, height in lines(grown)[one.colour]]
    assert heights == sorted(heights)
    assert heights[-1] == 1
    assert panels(figures.fronts([two], "parameters")) == []


def test_a_front_without_a_complete_trial_is_not_drawn() -> None:
    empty = study("front", [made.failed(0)], SPACE, objective=OBJECTIVE)
    assert panels(figures.fronts([empty, study("plain", made.many(2))], "parameters")) == []


def test_every_mark_has_the_name_and_the_colour_of_its_study() -> None:
    studies = beside(study("one", made.many(3)), study("two", made.many(3)))
    meant = {each.name: each.colour for each in studies}
    for plot in (figures.best_so_far(studies), figures.searched(studies)):
        assert {mark.name for mark in plot.named} == set(meant)
        for panel in panels(plot):
            for mark in panel.marks:
                assert isinstance(mark, Dots | Line)
                assert mark.colour == meant[mark.name]


def test_colours_differ() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
