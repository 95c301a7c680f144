"""A study of one parameter as its source draws it: accuracy against the parameter, and what it costs."""

import math
import statistics
from collections.abc import Callable

from pipeline.run.result import RunResult
from search.analysis.facts import Axis, Facts
from search.plots.marks import Dots, Line, Mark, Panel, Plot, Points, Side
from search.plots.style import BLUE, GREEN, INK, NOTHING, ORANGE, parameter_side, tip

_REPEATS = "train.seed"
"""The setting that varies to repeat a trial; it is no parameter of its own."""

_SIZE = "model.hidden_units"
"""The setting that makes a network larger, so that its cost is drawn too."""

Measure = Callable[[RunResult], float]


def parameter(facts: Facts) -> Axis | None:
    """The one parameter that the study varies; None where there are several."""
    varied = [axis for axis in facts.axes if axis.path != _REPEATS]
    return varied[0] if len(varied) == 1 else None


def chart(facts: Facts) -> Plot:
    """The chart shows every trial and the means over the parameter: accuracy; for widths size and speed."""
    axis = parameter(facts)
    name = axis.path.rpartition(".")[2].replace("_", " ") if axis is not None else "the parameter"
    title = f"Accuracy against {name}"
    about = "Dots are complete trials; the lines join the means of those with the same value"
    if axis is None:
        return Plot(title, about, empty="Several parameters vary.")
    complete = [entry for entry in facts.state("complete") if axis.path in entry.params]
    if not complete:
        return Plot(title, about, empty=NOTHING)

    def drawn(label: str, colour: str, measure: Measure) -> list[Mark]:
        measured = [(e, measure(e.result)) for e in complete if e.result is not None]
        shown = [(entry, value) for entry, value in measured if not math.isnan(value)]
        if not shown:
            return []
        points = [(axis.at(entry.params[axis.path]), value) for entry, value in shown]
        tips = [tip(entry, facts) for entry, _ in shown]
        line = Line(means(points), colour, name=label)
        return [line, Dots(points, colour, tips=tips, size=5, edge=INK)]

    across = parameter_side(axis)
    validation = drawn("validation accuracy", BLUE, _val_accuracy)
    accuracy = [*validation, *drawn("test accuracy", ORANGE, lambda r: r.test["test_accuracy"])]
    panels = [Panel(across, Side("accuracy"), accuracy)]
    if axis.path == _SIZE:
        for label, colour, measure in (
            ("parameters", BLUE, lambda result: float(result.parameters)),
            ("seconds per epoch", GREEN, _epoch_seconds),
        ):
            marks = drawn(label, colour, measure)
            top = max(y for mark in marks if isinstance(mark, Dots) for _, y in mark.points)
            panels.append(Panel(across, Side(label, (0, 1.05 * top)), marks))
    return Plot(title, about, panels, width=13 if len(panels) > 1 else 9)


def means(points: Points) -> list[tuple[float, float]]:
    """The mean of those of `points` that stand at the same place, for each place in order."""
    places = sorted({x for x, _ in points})
    return [(place, statistics.fmean(y for x, y in points if x == place)) for place in places]


def _val_accuracy(result: RunResult) -> float:
    """Validation accuracy at the epoch that counts; NaN without validation rows."""
    best = next(epoch for epoch in result.history if epoch.epoch == result.best_epoch)
    return best.metrics.get("val_accuracy", math.nan)


def _epoch_seconds(result: RunResult) -> float:
    """Seconds of an epoch: the median, as the first one is compiled."""
    return statistics.median(epoch.seconds for epoch in result.history)
