"""Figures show what the trial table holds, whatever it holds."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from pipeline.run.config import ObjectiveConfig
from search.analysis.front import front, priced
from search.plots import course, parameters
from search.plots.chart import chart
from search.plots.front import against_time
from search.plots.gallery import FIGURES, of_study
from search.plots.marks import Bars, Dots, Line, Panel, Parallel, Plot, Surface, Words
from search.plots.style import COLOURS, YELLOW, Scale
from search.plots.timeline import lanes_of, pauses, timeline
from search.study.space import Choices, Range, Space
from tests.search import made
from tests.search.studies import CASES, conditional, hyperband, widths
from tests.search.verdicts import compared

M = TypeVar("M")


def panels(plot: Plot) -> list[Panel]:
    """The panels of `plot`, none of them parallel coordinates."""
    assert plot.panels
    assert all(isinstance(panel, Panel) for panel in plot.panels)
    return [panel for panel in plot.panels if isinstance(panel, Panel)]


def marks(kind: type[M], panel: Panel, name: str | None = None) -> list[M]:
    """The marks of a kind, those with a name if one is given."""
    named = [mark for mark in panel.marks if name is None or mark.name == name]
    return [mark for mark in named if isinstance(mark, kind)]


def dots(panel: Panel, name: str | None = None) -> set[tuple[float, float]]:
    """Where dots stand, the star left out."""
    found = [mark for mark in marks(Dots, panel, name) if mark.colour != YELLOW]
    return {(x, round(y, 6)) for mark in found for x, y in mark.points}


def lines(panel: Panel) -> dict[str, list[tuple[float, float]]]:
    """The lines by name, those without left out."""
    found = [line for line in marks(Line, panel) if line.name]
    return {line.name: [(x, round(y, 6)) for x, y in line.points] for line in found}


DOTTED = ("accuracy_against_time", "accuracy_against_parameters")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_of_every_study_shows_something_or_says_why_not(name: str, case: str) -> None:
    plot = FIGURES[name](CASES[case]())
    assert plot.title
    assert bool(plot.panels) != bool(plot.empty)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [*DOTTED, "history", "slices", "contour"])
def test_every_dot_tells_what_its_trial_tried(name: str, case: str) -> None:
    facts = CASES[case]()
    tried = {f"trial {e.number} ({e.state})": e.params for e in facts.entries}
    for panel in FIGURES[name](facts).panels:
        assert isinstance(panel, Panel)
        for group in marks(Dots, panel):
            assert len(group.tips) == len(group.points)
            for tip in group.tips:
                assert all(path in tip for path in tried[tip.split("\n")[0]])


def test_networks_of_one_size_are_not_drawn_against_it() -> None:
    assert "accuracy_against_parameters" not in of_study(made.facts(made.many(3)))
    sizes = [made.trial(n, result=made.result([0.9], parameters=100 + n)) for n in range(3)]
    assert "accuracy_against_parameters" in of_study(made.facts(sizes))


def test_what_accuracy_costs_has_the_intervals_of_a_verdict() -> None:
    finalists = compared()
    drawn = of_study(finalists.facts, finalists)
    for name in DOTTED:
        (panel,) = panels(drawn[name])
        bars = [line for line in marks(Line, panel) if "fresh seeds" in line.tip]
        assert all(len({x for x, _ in bar.points}) == 1 for bar in bars), "upright"
        assert len(bars) == 2, "one for each trial that was compared"


def test_one_parameter_has_no_contour() -> None:
    assert "contour" not in of_study(made.facts(made.many(3)))
    assert "contour" in of_study(made.facts(made.many(3, PLANE), PLANE))


@pytest.mark.parametrize(
    ("paths", "metric", "shown"),
    [
        (("model.dropout",), "val_accuracy", {"chart"}),
        (("model.dropout", "train.seed"), "val_accuracy", {"chart"}),
        (("model.dropout",), "val_loss", {"chart", "slices"}),
        (("train.seed",), "val_accuracy", set()),
        (
            ("model.dropout", "model.l2"),
            "val_accuracy",
            {"slices", "parallel_coordinates", "contour", "importance"},
        ),
    ],
    ids=["one", "one repeated", "one, and its loss", "a seed", "two"],
)
def test_no_figure_of_parameters_says_nothing_or_what_another_says(
    paths: tuple[str, ...], metric: str, shown: set[str]
) -> None:
    space = Space({p: Choices((0, 1) if p == "train.seed" else (0.1, 0.2)) for p in paths})
    entries = [made.trial(n, space=space) for n in range(3)]
    goal = "minimize" if metric == "val_loss" else "maximize"
    objective = ObjectiveConfig(metric=metric, direction=goal, select="best")
    drawn = set(of_study(made.facts(entries, space, objective=objective)))
    of_parameters = {"chart", "slices", "parallel_coordinates", "contour", "importance"}
    assert drawn & of_parameters == shown


def test_the_chart_of_one_parameter_shows_who_was_pruned_who_failed_and_who_is_best() -> None:
    (panel,) = panels(chart(made.facts(ENDED)))
    names = {group.name: len(group.points) for group in marks(Dots, panel) if group.name}
    assert names == {"pruned": 1, "failed": 1, "best": 1}


@pytest.mark.parametrize(
    ("paths", "drawn"),
    [
        (("model.dropout",), True),
        (("model.dropout", "train.seed"), True),
        (("model.dropout", "model.l2"), False),
        (("train.seed",), False),
    ],
)
def test_a_study_of_one_parameter_has_a_chart_of_it_however_often_it_repeats(
    paths: tuple[str, ...], drawn: bool
) -> None:
    space = Space({path: Choices((0, 1)) for path in paths})
    assert ("chart" in of_study(made.facts([], space))) == drawn


def test_the_chart_shows_every_trial_and_the_mean_of_each_value() -> None:
    accuracy, parameters, seconds = panels(chart(widths()))
    assert lines(accuracy) == {
        "validation accuracy": [(0, 0.921), (1, 0.969)],
        "test accuracy": [(0, 0.916), (1, 0.964)],  # 0.005 below, as made
    }
    assert {(0, 0.916), (0, 0.926), (1, 0.964), (1, 0.974)} <= dots(accuracy)
    assert len(dots(accuracy)) == 9, "and one that failed"
    assert [list(line.points) for line in marks(Line, parameters)] == [[(0, 32000), (1, 128000)]]
    (line,) = marks(Line, seconds)
    assert [(x, round(y, 6)) for x, y in line.points] == [(0, 0.666667), (1, 0.666667)]


def test_the_chart_of_another_parameter_is_of_accuracy_alone() -> None:
    (panel,) = panels(chart(made.facts(made.many(5))))
    assert set(lines(panel)) == {"validation accuracy", "test accuracy"}
    assert panel.across.label == "model.dropout"


def test_without_validation_rows_the_chart_shows_the_test_accuracy() -> None:
    bare = [
        replace(
            e,
            metrics={name: v for name, v in e.metrics.items() if not name.startswith("val_")},
        )
        for e in made.history([0.8, 0.9])
    ]
    entry = made.trial(0, result=made.result([0.8, 0.9], history=tuple(bare)))
    (panel,) = panels(chart(made.facts([entry])))
    assert set(lines(panel)) == {"test accuracy"}


PLANE = Space({"model.dropout": Range(low=0.0, high=0.5), "model.l2": Range(low=0.0, high=1.0)})
ENDED = [made.trial(0, 0.9), made.trial(1, 0.92), made.pruned(2, 0.88), made.failed(3)]


def test_the_history_shows_the_values_of_the_trials_apart_by_their_end() -> None:
    (panel,) = panels(course.history(made.facts(ENDED)))
    assert dots(panel, "complete") == {(0, 0.9), (1, 0.92)}
    assert dots(panel, "pruned") == {(2, 0.88)}
    ((number, height),) = dots(panel, "failed")
    assert number == 3
    assert panel.up.limits is not None
    assert panel.up.limits[0] < height < 0.88  # at the edge, below all that have a value
    groups = [marks(Dots, panel, state)[0] for state in COLOURS]
    assert len({group.colour for group in groups}) == len({group.symbol for group in groups}) == 3
    (star,) = marks(Dots, panel, "best")
    assert star.points == [(1, 0.92)]


@pytest.mark.parametrize(
    ("direction", "metric", "best"),
    [("maximize", "val_accuracy", [0.9, 0.9, 0.95]), ("minimize", "val_loss", [0.9, 0.8, 0.8])],
)
def test_the_line_of_the_best_so_far_follows_the_direction(
    direction: str, metric: str, best: list[float]
) -> None:
    objective = ObjectiveConfig(metric=metric, direction=direction, select="best")
    entries = [made.trial(n, v) for n, v in enumerate([0.9, 0.8, 0.95])]
    steps = course.best_so_far(made.facts(entries, objective=objective))
    assert steps == list(enumerate(best))


def test_a_value_far_from_all_others_is_moved_to_the_edge_and_told_of() -> None:
    entries = [made.trial(n, 0.95 + 0.001 * n) for n in range(9)] + [made.trial(9, 0.21)]
    facts = made.facts(entries)
    scale = Scale.of_study(facts)
    assert scale.low > 0.9
    assert scale.outside == 1
    assert (9, round(scale.low, 6)) in dots(panels(course.history(facts))[0])
    for figure in (course.history, parameters.slices, parameters.parallel, against_time):
        assert "1 trial lies outside, drawn at the edge" in figure(facts).about


def test_slices_show_each_value_over_its_parameter() -> None:
    facts = made.facts(made.many(5, made.MIXED), made.MIXED)
    shown = panels(parameters.slices(facts))
    assert [panel.across.label.split()[0] for panel in shown] == list(made.MIXED.dimensions)
    assert dots(shown[1]) == {(e.params["model.dropout"], e.value) for e in facts.entries}


def test_slices_show_where_trials_failed() -> None:
    (panel,) = panels(parameters.slices(made.facts(ENDED)))
    (crosses,) = [group for group in marks(Dots, panel) if group.symbol == "X"]
    assert [x for x, _ in crosses.points] == [ENDED[3].params["model.dropout"]]


def test_slices_show_how_trials_ended_and_lead_through_the_median_of_each_choice() -> None:
    facts = made.facts(made.many(12, made.MIXED), made.MIXED)
    panel = panels(parameters.slices(facts))[0]
    (trials,) = [group for group in marks(Dots, panel) if group.colour != YELLOW]
    assert (trials.colour, trials.name) == (COLOURS["complete"], "complete")
    values = [[e.value for e in facts.entries if e.params["model.hidden_units"] == units]
              for units in made.MIXED.dimensions["model.hidden_units"].grid()]  # fmt: skip
    assert len(marks(Line, panel)) == 3
    for choice, line in enumerate(marks(Line, panel)):
        assert {y for _, y in line.points} == {np.median(values[choice])}
        assert [x for x, _ in line.points] == [choice - 0.3, choice + 0.3]
    few = made.facts(made.many(9, made.MIXED), made.MIXED)
    assert not marks(Line, panels(parameters.slices(few))[0])


def test_a_logarithmic_parameter_has_a_logarithmic_axis() -> None:
    shown = panels(parameters.slices(made.facts(made.many(5, made.MIXED), made.MIXED)))
    assert [panel.across.log for panel in shown] == [False, False, True, False]


def test_choices_stand_beside_each_other_under_their_names() -> None:
    shown = panels(parameters.slices(made.facts(made.many(5, made.MIXED), made.MIXED)))
    assert dict(shown[0].across.ticks) == {0: "32", 1: "[64,32]", 2: "128"}


def test_what_a_trial_did_not_try_is_not_drawn() -> None:
    assert len(dots(panels(parameters.slices(conditional()))[1])) == 6


def test_parallel_coordinates_lead_each_complete_trial_to_its_value_the_best_first() -> None:
    facts = CASES["mixed space"]()
    (panel,) = parameters.parallel(facts).panels
    assert isinstance(panel, Parallel)
    assert [side.label for side in panel.sides] == [*made.MIXED.dimensions, "validation accuracy"]
    assert [row[2] for row in panel.rows] == [
        entry.params["train.learning_rate"] for entry in facts.ranked
    ]
    assert [row[-1] for row in panel.rows] == [entry.value for entry in facts.ranked]


def test_contours_interpolate_between_the_trials_and_nowhere_else() -> None:
    places = [(0.08 * x, 0.16 * y) for x in range(6) for y in range(6)]
    entries = [
        made.trial(n, 0.5 + 0.1 * x + 0.2 * y, PLANE, params={"model.dropout": x, "model.l2": y})
        for n, (x, y) in enumerate(places)
    ]
    few = parameters.contour(made.facts(entries[:29], PLANE))
    assert not marks(Surface, panels(few)[0]), "they are too few"
    assert "interpolated" not in few.about
    (panel,) = panels(parameters.contour(made.facts(entries, PLANE)))
    ((surface,), on) = marks(Surface, panel), {"model.dropout": 0, "model.l2": 1}
    x, y = (surface.x, surface.y) if on[panel.across.label] == 0 else (surface.y, surface.x)
    values = surface.values_YxX if on[panel.across.label] == 0 else surface.values_YxX.T
    inside = np.ix_(y <= 0.8, x <= 0.4)
    expected = 0.5 + 0.1 * x[None, :] + 0.2 * y[:, None]
    np.testing.assert_allclose(values[inside], expected[inside], atol=1e-6)
    assert np.isnan(values[:, x > 0.4]).all()
    assert len(dots(panel)) == 36


def test_the_learning_curves_of_the_best_ten_stand_out() -> None:
    left, right = panels(course.learning_curves(made.facts(made.many(13))))
    assert (left.up.label, right.up.label) == ("validation accuracy", "validation loss")
    assert len(marks(Line, left)) == 13
    assert {int(name.split(":")[0]) for name in lines(left)} == set(range(3, 13))
    assert lines(left)["12: 0.9240"] == [(1, 0.724), (2, 0.824), (3, 0.924)]


def test_the_curve_of_a_trial_that_went_on_from_another_begins_with_that_ones_epochs() -> None:
    facts = hyperband()
    left, _ = panels(course.learning_curves(facts))
    before = [(1, 0.65), (2, 0.75), (3, 0.85)]  # of trial 5
    assert lines(left)["6: 0.9200"] == [*before, (4, 0.9), (5, 0.92)]
    assert dots(left) == {before[-1]}


def test_a_trial_that_went_on_from_another_costs_what_both_were_trained() -> None:
    facts = hyperband()
    both = facts.entries[5].train_seconds + 2.0
    assert facts.train_seconds(facts.entries[6]) == both
    assert (both, 0.92) in dots(panels(against_time(facts))[0])


def test_the_cost_names_the_trials_that_none_beats() -> None:
    (panel,) = panels(against_time(made.facts(made.many(3))))  # the later, the slower and better
    (words,) = marks(Words, panel)
    assert words.texts == ["0", "1", "2"]
    assert list(words.points) == [(1.0, 0.9), (2.0, 0.902), (3.0, 0.904)]


def test_the_timeline_leads_from_a_trial_to_the_one_that_went_on_from_it() -> None:
    facts = hyperband()
    before, after = facts.entries[5], facts.entries[6]
    (arrow,) = marks(Line, panels(timeline(facts))[0])
    origin = min(entry.started_at for entry in facts.entries)
    assert arrow.arrow
    assert [x for x, _ in arrow.points] == [
        (before.ended_at or 0.0) - origin,
        after.started_at - origin,
    ]


def test_the_timeline_shows_each_trial_on_its_worker_from_start_to_end() -> None:
    (panel,) = panels(timeline(made.facts([made.trial(0), made.failed(1), made.trial(2)])))
    complete, failed = marks(Bars, panel)
    assert (complete.lanes, complete.spans) == ([0, 0], [(0, 2), (2, 4)])
    assert (failed.lanes, failed.spans) == ([1], [(0, 2)])
    assert dict(panel.up.ticks) == {0: "worker 0", 1: "worker 1"}


def test_the_lanes_of_workers_stand_in_the_order_of_their_numbers() -> None:
    places = ("10.0", "2.1", "2.10", "2.0", "2.9")
    entries = [replace(made.trial(n), worker={"worker": place}) for n, place in enumerate(places)]
    (panel,) = panels(timeline(made.facts(entries)))
    in_order = [f"worker {place}" for place in ("2.0", "2.1", "2.9", "2.10", "10.0")]
    assert [name for _, name in sorted(dict(panel.up.ticks).items())] == in_order


def test_names_of_more_places_than_a_figure_has_room_for_do_not_touch() -> None:
    entries = [
        replace(made.trial(n), worker={"worker": f"0.{n}", "lanes": "128"}) for n in range(128)
    ]
    plot = timeline(made.facts(entries))
    (panel,) = panels(plot)
    (bars,) = marks(Bars, panel)
    assert "lane 3 of worker 1" in plot.about
    assert list(dict(panel.up.ticks).items())[:2] == [(0, "worker 0.0"), (4, "worker 0.4")]
    assert len(panel.up.ticks) == 32
    assert len(bars.lanes) == 128
    assert not any(bars.texts)


def test_trials_without_a_worker_take_lanes_that_are_free() -> None:
    entries = [replace(made.trial(n), worker={}) for n in range(4)]
    assert lanes_of(entries) == {0: "0", 1: "1", 2: "0", 3: "1"}


def test_a_long_time_between_launches_is_cut_out_of_the_timeline() -> None:
    later = [replace(e, started_at=e.started_at + 9e4, ended_at=e.ended_at + 9e4)
             for e in made.many(4)[2:]]  # fmt: skip
    entries = made.many(2) + later
    assert [seconds for _, seconds in pauses(entries)] == [9e4]
    (panel,) = panels(timeline(made.facts(entries)))
    (bars,) = marks(Bars, panel)
    assert max(stop for _, stop in bars.spans) == pytest.approx(4)
    assert any("stopped 25 hours" in text for words in marks(Words, panel) for text in words.texts)


def test_the_unbeaten_trials_are_those_that_none_is_faster_and_better_than() -> None:
    seconds = {0: (0.9, 5.0), 1: (0.8, 2.0), 2: (0.85, 3.0), 3: (0.84, 4.0), 4: (0.9, 9.0)}
    entries = [made.trial(n, v, result=made.result([v], s)) for n, (v, s) in seconds.items()]
    facts = made.facts(entries)
    found = front(facts, priced(facts), "train_seconds")
    assert [each.entry.number for each in found] == [1, 2, 0]


def test_numbers_beside_a_front_do_not_touch() -> None:
    """Trials of nearly the same time and value: the better one has its number."""
    seconds = [2.0, 2.01, 9.0]
    entries = [
        made.trial(n, result=made.result([0.9 + n / 1e4 + (n == 2) / 10], s))
        for n, s in enumerate(seconds)
    ]
    (panel,) = panels(against_time(made.facts(entries)))
    (words,) = marks(Words, panel)
    assert words.texts == ["1", "2"]
