"""A study of one parameter as its source draws it: accuracy against the parameter, and what it costs."""

import math
import statistics
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from search.facts import Axis, Facts
from search.plots.course import NOTHING
from search.plots.style import BLUE, GREEN, INK, ORANGE, blank, parameter_axis, say, styled
from search.space import Stored
from search.study import Entry

_REPEATS = "train.seed"
"""Varies to repeat a trial: it is no parameter of its own."""

_SIZE = "model.hidden_units"
"""What makes a network larger, so that its cost is drawn too."""

Measure = Callable[[Entry], float]


def parameter(facts: Facts) -> Axis | None:
    """The one parameter that the study varies; None where there are several."""
    varied = [axis for axis in facts.axes if axis.path != _REPEATS]
    return varied[0] if len(varied) == 1 else None


@styled
def chart(facts: Facts) -> Figure:
    """Mean accuracy against the parameter, every trial as a dot; for widths also size and speed."""
    axis = parameter(facts)
    if axis is None:
        figure = blank("Accuracy against the parameter", "Of a study that varies one")
        say(figure.add_subplot(), "Several parameters vary.")
        return figure
    sized = axis.path == _SIZE
    name = axis.path.rpartition(".")[2].replace("_", " ")
    about = "Dots are complete trials; the line joins the means of those with the same value"
    figure = blank(f"Accuracy against {name}", about, 13 if sized else 9)
    shown = [e for e in facts.state("complete") if axis.path in e.params and e.result is not None]
    if not shown:
        say(figure.add_subplot(), NOTHING)
        return figure
    first, *costs = (figure.add_subplot(1, 3 if sized else 1, n + 1) for n in range(1 + 2 * sized))
    _validation(first, axis, shown)
    _line(first, axis, shown, _test_accuracy, ORANGE, "test accuracy")
    first.legend(loc="best")
    first.set_ylabel("accuracy")
    for axes, (measure, label, colour) in zip(
        costs,
        [(_parameters, "parameters", BLUE), (_epoch_seconds, "seconds per epoch", GREEN)],
        strict=False,
    ):
        _line(axes, axis, shown, measure, colour, label)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
    for axes in figure.axes:
        parameter_axis(axes, axis)
    return figure


def means(axis: Axis, entries: list[Entry], measure: Measure) -> list[tuple[float, float]]:
    """(place on the axis, mean of `measure`) of the trials with the same value, in order."""
    groups: dict[Stored, list[float]] = {}
    for entry in entries:
        groups.setdefault(entry.params[axis.path], []).append(measure(entry))
    return sorted((axis.at(value), statistics.fmean(found)) for value, found in groups.items())


def _line(
    axes: Axes, axis: Axis, shown: list[Entry], measure: Measure, colour: str, label: str
) -> None:
    x = [axis.at(entry.params[axis.path]) for entry in shown]
    y = [measure(entry) for entry in shown]
    axes.scatter(x, y, s=26, c=colour, edgecolors=INK, linewidths=0.3, zorder=3)
    points = means(axis, shown, measure)
    axes.plot(*zip(*points, strict=True), color=colour, lw=2.2, label=label, zorder=2)


def _validation(axes: Axes, axis: Axis, shown: list[Entry]) -> None:
    """Only where there are validation rows."""
    measured = [entry for entry in shown if not math.isnan(_val_accuracy(entry))]
    if measured:
        _line(axes, axis, measured, _val_accuracy, BLUE, "validation accuracy")


def _val_accuracy(entry: Entry) -> float:
    """At the epoch that counts; NaN without validation rows."""
    assert entry.result is not None
    best = next(e for e in entry.result.history if e.epoch == entry.result.best_epoch)
    return best.metrics.get("val_accuracy", math.nan)


def _test_accuracy(entry: Entry) -> float:
    assert entry.result is not None
    return entry.result.test["test_accuracy"]


def _parameters(entry: Entry) -> float:
    assert entry.result is not None
    return float(entry.result.parameters)


def _epoch_seconds(entry: Entry) -> float:
    """The median over the epochs: the first one is compiled."""
    assert entry.result is not None
    return statistics.median(epoch.seconds for epoch in entry.result.history)
