"""Figures show what the trial table holds, whatever it holds."""

import io
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config import ObjectiveConfig
from pipeline.data import Dataset, Split
from search.facts import Facts
from search.importance import importance
from search.plots import course, interactive, parameters, trial
from search.plots.chart import chart
from search.plots.gallery import FIGURES, of_study, save_study
from search.plots.style import BLUE, Scale
from search.plots.timeline import lanes_of, pauses, timeline
from search.space import Choices, Condition, Range, Space
from tests.search import made

CONDITIONAL = Space(
    {
        "train.optimizer": Choices(("adam", "sgd")),
        "train.learning_rate": Range(low=1e-3, high=1.0, log=True),
    },
    {"train.learning_rate": Condition("train.optimizer", ("sgd",))},
)


def conditional() -> Facts:
    entries = [
        replace(e, params={"train.optimizer": "adam"}) if e.number % 2 else e
        for e in (made.trial(n, 0.8 + n / 100, CONDITIONAL) for n in range(12))
    ]
    entries = [
        replace(e, params={**e.params, "train.optimizer": "sgd"}) if len(e.params) == 2 else e
        for e in entries
    ]
    return made.facts(entries, CONDITIONAL)


def hyperband() -> Facts:
    """As KerasTuner's Hyperband leaves a study: short trials, some gone on with by later ones."""
    short = [
        made.trial(n, 0.8 + n / 100, made.MIXED, epochs=3, notes={"tuner/round": 0})
        for n in range(6)
    ]
    longer = made.result([0.9, 0.92], first=4)
    last = made.trial(6, 0.92, made.MIXED, result=longer, history=longer.history, continues=5)
    return made.facts([*short, replace(last, worker={})], made.MIXED)


CASES: dict[str, Callable[[], Facts]] = {
    "none": lambda: made.facts([]),
    "one": lambda: made.facts(made.many(1)),
    "two": lambda: made.facts(made.many(2)),
    "forty": lambda: made.facts(made.many(40)),
    "only running": lambda: made.facts([made.running(0)]),
    "only pruned": lambda: made.facts([made.pruned(n) for n in range(3)]),
    "only failed": lambda: made.facts([made.failed(n) for n in range(3)]),
    "all alike": lambda: made.facts([made.trial(n, 0.9) for n in range(12)]),
    "mixed space": lambda: made.facts(
        [*made.many(12, made.MIXED), made.pruned(12, space=made.MIXED), made.failed(13)],
        made.MIXED,
    ),
    "conditional": conditional,
    "hyperband": hyperband,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FIGURES)
def test_there_is_every_figure_of_every_study(name: str, case: str) -> None:
    figure = FIGURES[name](CASES[case]())
    assert figure.texts[0].get_text()  # a title
    assert figure.axes


@pytest.mark.parametrize("case", ["none", "mixed space"])
def test_figures_become_pngs(case: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("figures")
    facts = CASES[case]()
    save_study(facts, folder)
    assert {file.stem for file in folder.iterdir()} == set(of_study(facts))
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in folder.iterdir())


def test_one_parameter_has_no_contour() -> None:
    assert "contour" not in of_study(made.facts(made.many(3)))
    assert "contour" in of_study(made.facts(made.many(3, made.MIXED), made.MIXED))


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


WIDTHS = Space({"model.hidden_units": Choices((32, 128)), "train.seed": Choices((0, 1))})


def widths() -> Facts:
    """Two trials of each of two widths."""
    entries = []
    for number, (units, seed) in enumerate([(128, 0), (32, 0), (128, 1), (32, 1)]):
        reached = 0.9 + units / 2000 + seed / 100
        entries.append(
            made.trial(
                number,
                space=WIDTHS,
                params={"model.hidden_units": units, "train.seed": seed},
                result=made.result([0.5, reached, reached - 0.1], parameters=1000 * units),
            )
        )
    return made.facts([*entries, made.failed(4, space=WIDTHS)], WIDTHS)


def lines(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """The lines drawn on `axes`, by label."""
    return {
        str(line.get_label()): [
            (float(x), round(float(y), 6)) for x, y in np.array(line.get_data()).T
        ]
        for line in axes.lines
    }


def test_the_chart_shows_every_trial_and_the_mean_of_each_value() -> None:
    accuracy, parameters, seconds = chart(widths()).axes
    assert lines(accuracy) == {
        "validation accuracy": [(0, 0.921), (1, 0.969)],
        "test accuracy": [(0, 0.916), (1, 0.964)],  # 0.005 below, as made
    }
    assert {(0, 0.916), (0, 0.926), (1, 0.964), (1, 0.974)} <= dots(accuracy)
    assert len(dots(accuracy)) == 8
    assert lines(parameters) == {"parameters": [(0, 32000), (1, 128000)]}
    assert lines(seconds) == {"seconds per epoch": [(0, 0.5), (1, 0.5)]}


def test_the_chart_of_another_parameter_is_of_accuracy_alone() -> None:
    (axes,) = chart(made.facts(made.many(5))).axes
    assert set(lines(axes)) == {"validation accuracy", "test accuracy"}
    assert "model.dropout" in axes.get_xlabel()


def test_without_validation_rows_the_chart_shows_the_test_accuracy() -> None:
    bare = [
        replace(
            e,
            metrics={name: v for name, v in e.metrics.items() if not name.startswith("val_")},
        )
        for e in made.history([0.8, 0.9])
    ]
    entry = made.trial(0, result=made.result([0.8, 0.9], history=tuple(bare)))
    (axes,) = chart(made.facts([entry])).axes
    assert set(lines(axes)) == {"test accuracy"}


def dots(axes: Axes, label: str | None = None) -> set[tuple[float, float]]:
    """The points drawn on `axes`, those with `label` if one is given."""
    return {
        (round(float(x), 6), round(float(y), 6))
        for group in axes.collections
        if label is None or group.get_label() == label
        for x, y in np.ma.getdata(group.get_offsets())
    }


ENDED = [made.trial(0, 0.9), made.trial(1, 0.92), made.pruned(2, 0.88), made.failed(3)]


def test_the_history_shows_the_values_of_the_trials_apart_by_their_end() -> None:
    (axes,) = course.history(made.facts(ENDED)).axes
    assert dots(axes, "complete") == {(0, 0.9), (1, 0.92)}
    assert dots(axes, "pruned") == {(2, 0.88)}
    ((number, height),) = dots(axes, "failed")
    assert number == 3
    assert axes.get_ylim()[0] < height < 0.88  # at the edge, below all that have a value
    colours = {
        tuple(group.get_facecolor()[0]) for group in axes.collections if group.get_label() != "best"
    }
    assert len(colours) == 3


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
    scale = Scale.of_study(made.facts(entries))
    assert scale.low > 0.9
    assert scale.outside == 1
    (axes,) = course.history(made.facts(entries)).axes
    assert any("1 trial lies outside" in text.get_text() for text in axes.texts)


def test_slices_show_each_value_over_its_parameter() -> None:
    facts = made.facts(made.many(5, made.MIXED), made.MIXED)
    figure = parameters.slices(facts)
    assert [axes.get_xlabel().split()[0] for axes in figure.axes] == list(made.MIXED.dimensions)
    over_dropout = dots(figure.axes[1])
    for entry in facts.entries:
        assert (round(entry.params["model.dropout"], 6), round(entry.value, 6)) in over_dropout


def test_a_logarithmic_parameter_has_a_logarithmic_axis() -> None:
    figure = parameters.slices(made.facts(made.many(5, made.MIXED), made.MIXED))
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear", "log", "linear"]


def test_choices_stand_beside_each_other_under_their_names() -> None:
    figure = parameters.slices(made.facts(made.many(5, made.MIXED), made.MIXED))
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["32", "[64,32]", "128"]


def test_the_learning_curves_of_the_best_ten_stand_out() -> None:
    (left, _) = course.learning_curves(made.facts(made.many(13))).axes
    coloured = [line for line in left.lines if line.get_label()[:1].isdigit()]
    assert len(left.lines) == 13
    assert {int(line.get_label().split(":")[0]) for line in coloured} == set(range(3, 13))
    best = next(line for line in coloured if line.get_label().startswith("12:"))
    assert list(best.get_ydata()) == [e.metrics["val_accuracy"] for e in made.many(13)[12].history]


def test_the_curve_of_a_trial_that_went_on_from_another_begins_with_that_ones_epochs() -> None:
    facts = hyperband()
    (left, _) = course.learning_curves(facts).axes
    (line,) = [line for line in left.lines if line.get_label().startswith("6:")]
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
    before = [epoch.metrics["val_accuracy"] for epoch in facts.entries[5].history]
    assert list(line.get_ydata()) == [*before, 0.9, 0.92]
    (dot,) = [line for line in left.lines if line.get_marker() == "o"]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (3, before[-1])
    drawn = interactive.figures(facts)["learning_curves"].data
    assert next(list(t.x) for t in drawn if t.name.startswith("6:")) == [1, 2, 3, 4, 5]


def test_a_trial_that_went_on_from_another_costs_what_both_were_trained() -> None:
    facts = hyperband()
    assert facts.entries[5].result is not None
    both = facts.entries[5].result.timings["train_seconds"] + 2.0
    assert facts.train_seconds(facts.entries[6]) == both
    (axes,) = course.cost(facts).axes
    times = [time for dots in axes.collections for time in dots.get_offsets()[:, 0]]
    assert both in times


def test_the_timeline_leads_from_a_trial_to_the_one_that_went_on_from_it() -> None:
    facts = hyperband()
    before, after = facts.entries[5], facts.entries[6]
    (axes,) = timeline(facts).axes
    (arrow,) = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    origin = min(entry.started_at for entry in facts.entries)
    assert arrow.xyann[0] == (before.ended_at or 0.0) - origin
    assert arrow.xy[0] == after.started_at - origin


def test_the_timeline_shows_each_trial_on_its_worker_from_start_to_end() -> None:
    (axes,) = timeline(made.facts([made.trial(0), made.failed(1), made.trial(2)])).axes
    bars = [(b.get_x(), b.get_width(), round(b.get_y() + b.get_height() / 2)) for b in axes.patches]
    assert bars == [(0.0, 2.0, 0), (0.0, 2.0, 1), (2.0, 2.0, 0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["worker 0", "worker 1"]


def test_trials_without_a_worker_take_lanes_that_are_free() -> None:
    entries = [replace(made.trial(n), worker={}) for n in range(4)]
    assert lanes_of(entries) == {0: "0", 1: "1", 2: "0", 3: "1"}


def test_a_long_time_between_launches_is_cut_out_of_the_timeline() -> None:
    later = [replace(e, started_at=e.started_at + 9e4, ended_at=e.ended_at + 9e4)
             for e in made.many(4)[2:]]  # fmt: skip
    entries = made.many(2) + later
    assert [seconds for _, seconds in pauses(entries)] == [9e4]
    (axes,) = timeline(made.facts(entries)).axes
    assert max(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx(4)


def test_the_unbeaten_trials_are_those_that_none_is_faster_and_better_than() -> None:
    seconds = {0: (0.9, 5.0), 1: (0.8, 2.0), 2: (0.85, 3.0), 3: (0.84, 4.0), 4: (0.9, 9.0)}
    entries = [made.trial(n, v, result=made.result([v], s)) for n, (v, s) in seconds.items()]
    assert [e.number for e in course.unbeaten(made.facts(entries))] == [1, 2, 0]


def test_importance_finds_what_decides() -> None:
    space = Space({"model.dropout": Range(low=0.0, high=0.5), "model.l2": Range(low=0.0, high=1.0)})
    entries = [made.trial(n, 0.5, space) for n in range(60)]
    entries = [replace(e, value=1 - abs(e.params["model.dropout"] - 0.3)) for e in entries]
    found = importance(made.facts(entries, space))
    assert list(found.shares) == ["model.dropout", "model.l2"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["model.dropout"] > 0.8


@pytest.mark.parametrize(
    ("entries", "space", "words"),
    [
        (made.many(9, made.MIXED), made.MIXED, "Too few trials to tell: 9 complete"),
        (made.many(40), made.DROPOUT, "Only model.dropout varies"),
        ([made.trial(n, 0.9, made.MIXED) for n in range(20)], made.MIXED, "the same value"),
    ],
)
def test_where_importance_can_not_be_told_it_says_why(
    entries: list, space: Space, words: str
) -> None:
    found = importance(made.facts(entries, space))
    assert not found.shares
    assert words in found.why
    (axes,) = parameters.importance(made.facts(entries, space)).axes
    assert any(words in text.get_text() for text in axes.texts)


def test_a_parameter_under_a_condition_has_an_importance_too() -> None:
    shares = importance(conditional()).shares
    assert set(shares) == {"train.optimizer", "train.learning_rate"}
    assert shares["train.learning_rate"] > 0


def test_what_a_trial_did_not_try_is_not_drawn() -> None:
    figure = parameters.slices(conditional())
    assert len(dots(figure.axes[1])) == 6


def test_the_confusion_matrix_shows_counts_recall_and_precision() -> None:
    (axes,) = trial.confusion(made.trial(0)).axes
    texts = [text.get_text() for text in axes.texts]
    assert {"9", "1", "8", "2"} <= set(texts)
    assert "90.0%" in texts  # recall of class 0
    assert "80.0%" in texts  # recall of class 1
    assert "88.9%" in texts  # precision of class 1
    assert "0.0%" in texts  # precision of class 2
    assert "-" in texts  # class 2 has no rows


def test_the_hardest_images_are_shown_with_their_class_and_probabilities(digits: Dataset) -> None:
    (axes,) = trial.hardest(made.trial(0), digits).axes
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if text.startswith("is ")] == [
        "is 1, taken for 0",
        "is 0, taken for 1",
    ]
    np.testing.assert_allclose(
        axes.images[0].get_array() * digits.train.features[1200].max(),
        digits.train.features[1200],
    )
    widths = [bar.get_width() for bar in axes.patches[:3]]
    np.testing.assert_allclose(np.array(widths) / max(widths), np.array([0.9, 0.06, 0.04]) / 0.9)
    true = [text.get_text() for text in axes.texts if text.get_color() == BLUE]
    assert true == ["1", "0"]


def test_an_image_keeps_its_proportions() -> None:
    wide = np.zeros((1400, 4, 8), np.uint8)
    labels = np.zeros(1400, np.int64)
    split = Split(wide, labels)
    dataset = Dataset("wide", "here", split, split, 2, np.array(0.0), np.array(255.0))
    (axes,) = trial.hardest(made.trial(0), dataset).axes
    left, right, bottom, top = axes.images[0].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(2)


def test_interactive_figures_show_the_same_values() -> None:
    facts = CASES["mixed space"]()
    figures = interactive.figures(facts)
    assert set(figures) == {
        "history", "slices", "parallel_coordinates", "contour", "learning_curves",
    }  # fmt: skip
    complete = next(trace for trace in figures["history"].data if trace.name == "complete")
    assert list(complete.y) == [entry.value for entry in facts.state("complete")]
    assert "train.learning_rate" in complete.text[0]
    (lines,) = figures["parallel_coordinates"].data
    rates = [entry.params["train.learning_rate"] for entry in facts.ranked]
    np.testing.assert_allclose(10 ** np.array(lines.dimensions[2].values), rates)


def test_there_is_nothing_interactive_without_values() -> None:
    assert interactive.figures(CASES["only failed"]()) == {}


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("none", "only failed")])
def test_interactive_figures_can_be_written(case: str) -> None:
    for figure in interactive.figures(CASES[case]()).values():
        assert figure.to_json()


def test_drawing_changes_no_style_of_the_process() -> None:
    before = dict(mpl.rcParams)
    figure = course.history(made.facts(made.many(3)))
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png")
    assert dict(mpl.rcParams) == before
