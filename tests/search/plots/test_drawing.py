"""Both libraries draw what a figure is described to show; a trial's pictures show what it got wrong."""

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation

from pipeline.data import Dataset, Split
from search.plots import interactive, png, trial
from search.plots.course import history, learning_curves
from search.plots.gallery import FIGURES, of_study, save_study
from search.plots.marks import Bars, Dots, Line, Panel, Parallel, Plot, Side, Surface, Words
from search.plots.parameters import contour, parallel
from search.plots.style import BLUE
from search.plots.timeline import timeline
from search.rendering.legend import legend
from search.study.space import Range, Space
from tests.search import made
from tests.search.studies import CASES

Seen = Counter[tuple[Any, ...]]
"""What is drawn: the kind of each mark, its panel, and where it stands."""


def rounded(numbers: Any) -> tuple[float, ...]:
    return tuple(round(float(number), 6) for number in np.ravel(numbers))


def described(plot: Plot) -> Seen:
    def seen() -> Iterator[tuple[Any, ...]]:
        for index, panel in enumerate(plot.panels):
            for mark in panel.marks if isinstance(panel, Panel) else ():
                match mark:
                    case Dots():
                        yield from (("dot", index, rounded(point)) for point in mark.points)
                    case Line():
                        yield "line", index, rounded(mark.points)
                    case Bars():
                        bars = list(zip(mark.lanes, mark.spans, strict=True))
                        yield from (("bar", index, rounded([y, *span])) for y, span in bars)
                        yield from (
                            ("words", index, text, rounded([sum(span) / 2, y]))
                            for text, (y, span) in zip(mark.texts, bars, strict=False)
                            if text
                        )
                    case Words():
                        words = zip(mark.texts, mark.points, strict=True)
                        yield from (("words", index, text, rounded(at)) for text, at in words)
                    case Surface():
                        yield "surface", index, mark.values_YxX.shape

    return Counter(seen())


def drawn_by_matplotlib(plot: Plot) -> Seen:
    def seen(index: int, axes: Axes) -> Iterator[tuple[Any, ...]]:
        for group in axes.collections:
            if isinstance(group, PathCollection):
                points = np.ma.getdata(group.get_offsets())
                yield from (("dot", index, rounded(point)) for point in points)
            elif isinstance(group, QuadMesh):
                yield "surface", index, group.get_array().shape
        for line in axes.lines:
            yield "line", index, rounded(np.array(line.get_data()).T)
        for bar in axes.patches:
            extents = axes.transData.inverted().transform_bbox(bar.get_extents())
            (left, low), (right, high) = extents.get_points()
            yield "bar", index, rounded([(low + high) / 2, left, right])
        for text in axes.texts:
            if getattr(text, "arrow_patch", None) is not None:
                yield "line", index, rounded([text.xyann, text.xy])
            else:
                at = text.xy if isinstance(text, Annotation) else text.get_position()
                yield "words", index, text.get_text(), rounded(at)

    figure = png.draw(plot)
    panels = zip(range(len(plot.panels)), figure.axes, strict=False)  # a bar of colours comes last
    return Counter(each for index, axes in panels for each in seen(index, axes))


def figures(plot: Plot) -> list[go.Figure]:
    """What plotly is given, as its own objects, which check every name and value."""
    return [go.Figure(panel) for panel in interactive.draw(plot)]


def drawn_by_plotly(plot: Plot) -> Seen:
    def seen(index: int, trace: Any) -> Iterator[tuple[Any, ...]]:
        if isinstance(trace, go.Heatmap):
            yield "surface", index, np.shape(trace.z)
        elif isinstance(trace, go.Bar):
            bars = list(zip(trace.y, trace.base, trace.x, strict=True))
            yield from (("bar", index, rounded([y, start, start + x])) for y, start, x in bars)
            yield from (
                ("words", index, text, rounded([start + x / 2, y]))
                for text, (y, start, x) in zip(trace.text or (), bars, strict=False)
                if text
            )
        elif trace.mode == "markers":
            points = zip(trace.x, trace.y, strict=True)
            yield from (("dot", index, rounded(point)) for point in points)
        elif trace.mode == "text":
            words = zip(trace.text, trace.x, trace.y, strict=True)
            yield from (("words", index, text.strip(), rounded(at)) for text, *at in words)
        else:
            yield "line", index, rounded(list(zip(trace.x, trace.y, strict=True)))

    return Counter(
        each
        for index, figure in enumerate(figures(plot))
        for trace in figure.data
        for each in seen(index, trace)
    )


@pytest.mark.parametrize("draw", [drawn_by_matplotlib, drawn_by_plotly])
@pytest.mark.parametrize("case", ["one", "only failed", "mixed space", "hyperband", "widths"])
@pytest.mark.parametrize("name", [name for name in FIGURES if name != "parallel_coordinates"])
def test_every_mark_of_a_figure_is_drawn_where_it_is_described(
    name: str, case: str, draw: Callable[[Plot], Seen]
) -> None:
    plot = FIGURES[name](CASES[case]())
    if plot.panels:
        assert draw(plot) == described(plot)


def axis_of_matplotlib(side: Side) -> dict[str, Any]:
    axis = png.draw(Plot("", "", [Panel(side, Side(""), [])])).axes[0].xaxis
    return {
        "label": axis.get_label_text(),
        "log": axis.get_scale() == "log",
        "limits": rounded(axis.get_view_interval()),
        "ticks": [text.get_text() for text in axis.get_ticklabels()],
    }


def axis_of_plotly(side: Side) -> dict[str, Any]:
    axis = figures(Plot("", "", [Panel(side, Side(""), [])]))[0].layout.xaxis
    log = axis.type == "log"
    return {
        "label": axis.title.text,
        "log": log,
        "limits": rounded([10**end if log else end for end in axis.range]),
        "ticks": list(axis.ticktext or ()),
    }


@pytest.mark.parametrize("axis", [axis_of_matplotlib, axis_of_plotly])
@pytest.mark.parametrize(
    "side",
    [
        Side("choices", (-0.5, 2.5), ticks={0: "adam", 1: "sgd", 2: "[64,32]"}),
        Side("numbers", (0.1, 0.9)),
        Side("downwards", (3.5, -0.5), ticks={0: "worker 0"}),
        Side("rate", (0.001, 0.1), log=True),
        Side("epoch", (1, 4), whole=True),
    ],
    ids=lambda side: side.label,
)
def test_an_axis_has_the_label_the_limits_and_the_ticks_that_are_described(
    side: Side, axis: Callable[[Side], dict[str, Any]]
) -> None:
    drawn = axis(side)
    assert drawn["label"] == side.label
    assert drawn["log"] == side.log
    assert drawn["limits"] == rounded(side.limits)
    if side.ticks:
        assert drawn["ticks"] == list(side.ticks.values())


def test_ticks_of_whole_numbers_stand_at_whole_numbers() -> None:
    side = Side("epoch", (0.9, 3.1), whole=True)
    plot = Plot("", "", [Panel(side, Side(""), [Line([(1, 0), (3, 1)], BLUE)])])
    assert {1, 2, 3} <= set(png.draw(plot).axes[0].get_xticks()) <= {0, 1, 2, 3, 4}
    assert figures(plot)[0].layout.xaxis.dtick == 1


def legend_of_matplotlib(plot: Plot) -> list[str]:
    return [text.get_text() for legend in png.draw(plot).legends for text in legend.get_texts()]


def legend_of_page(plot: Plot) -> list[str]:
    return re.findall("<span>(.*?)</span></button>", legend(plot))


@pytest.mark.parametrize("names", [legend_of_matplotlib, legend_of_page])
def test_the_legend_names_each_kind_of_mark_once(names: Callable[[Plot], list[str]]) -> None:
    facts = CASES["mixed space"]()
    kinds = ["best so far", "complete", "pruned", "failed", "best"]
    assert names(history(facts)) == kinds
    assert names(timeline(facts)) == ["complete", "pruned", "failed"]
    best = [f"{entry.number}: {entry.value:.4f}" for entry in facts.ranked[:10]]
    assert names(learning_curves(facts)) == best


def test_parallel_coordinates_are_drawn_row_by_row_through_their_axes() -> None:
    plot = parallel(CASES["mixed space"]())
    (panel,) = plot.panels
    assert isinstance(panel, Parallel)
    ((lines,),) = (figure.data for figure in figures(plot))
    for side, dimension, values in zip(
        panel.sides, lines.dimensions, zip(*panel.rows, strict=True), strict=True
    ):
        power = 10.0 if side.log else None
        drawn = dimension.values if power is None else np.power(power, dimension.values)
        np.testing.assert_allclose(drawn, values)
        assert list(dimension.ticktext) == list(side.ticks.values())
    (axes,) = png.draw(plot).axes
    heights = [line.get_ydata() for line in axes.lines[: len(panel.rows)]][::-1]  # the best on top
    rate = panel.sides[2].limits
    assert rate is not None
    for row, height in zip(panel.rows, heights, strict=True):
        share = math.log(row[2] / rate[0]) / math.log(rate[1] / rate[0])
        assert height[2] == pytest.approx(share)
    names = {tick for side in panel.sides for tick in side.ticks.values()}
    assert {text.get_text() for text in axes.texts} == names


def test_the_better_is_darker_in_both_libraries() -> None:
    space = Space({path: Range(low=0.0, high=0.5) for path in ("model.dropout", "model.l2")})
    plot = contour(made.facts(made.many(5, space), space))
    assert plot.colours is not None
    scale = figures(plot)[0].layout.coloraxis
    assert (scale.cmin, scale.cmax) == (plot.colours.low, plot.colours.high)
    pictured = png.draw(plot).axes[0].collections[0]
    assert isinstance(pictured, PathCollection)
    worst, best = (sum(pictured.to_rgba(np.array(at))[:3]) for at in (scale.cmin, scale.cmax))
    assert best < worst
    first, last = (sum(to_rgb(scale.colorscale[at][1])) for at in (0, -1))
    assert last < first


def test_the_mouse_shows_signs_as_they_are_written() -> None:
    tip = "trial 0\nmodel.name = <b>%{x}"
    marks = [Dots([(0, 0)], BLUE, tips=[tip]), Line([(0, 0), (1, 1)], BLUE, tip=tip)]
    plot = Plot("", "", [Panel(Side("epoch"), Side(""), marks)])
    dots, line = figures(plot)[0].data
    assert dots.hovertext == ("<b>trial 0</b><br>model.name = &lt;b&gt;%{x}",)
    assert line.hovertemplate.startswith("epoch %{x}: %{y:.4f}<br><b>trial 0</b>")
    assert line.hovertemplate.endswith("model.name = &lt;b&gt;%&#123;x}<extra></extra>")


@pytest.mark.parametrize("case", ["none", "mixed space"])
def test_figures_become_pngs(case: str, tmp_path: Path) -> None:
    facts = CASES[case]()
    save_study(facts, tmp_path)
    assert {file.stem for file in tmp_path.iterdir()} == set(of_study(facts))
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in tmp_path.iterdir())


@pytest.mark.parametrize("case", CASES)
def test_interactive_figures_can_be_written(case: str) -> None:
    for plot in of_study(CASES[case]()).values():
        if plot.panels:
            assert all(figure.to_json() for figure in figures(plot))


def test_a_figure_without_panels_says_why() -> None:
    texts = [text.get_text() for text in png.draw(Plot("a", "b", empty="No trial.")).texts]
    assert texts == ["a", "b", "No trial."]


def test_drawing_changes_no_style_of_the_process() -> None:
    before = dict(mpl.rcParams)
    png.draw(history(made.facts(made.many(3)))).savefig(io.BytesIO(), format="png")
    assert dict(mpl.rcParams) == before


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
    bars = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    widths = [end - start for (start, _), (end, _) in bars[:3]]
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
