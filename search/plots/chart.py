"""A study of one parameter as its source draws it: accuracy against the parameter, and what it costs."""

import math
import statistics
from collections.abc import Callable, Sequence

from pipeline.run.result import RunResult
from search.analysis.facts import Axis, Facts
from search.plots.marks import Dots, Line, Mark, Panel, Plot, Points, Side
from search.plots.style import (
    BLUE,
    INK,
    NOTHING,
    PURPLE,
    Scale,
    parameter_side,
    sentences,
    star,
    tip,
    trials,
)
from search.study.vocabulary import Entry

_SIZE = "model.hidden_units"
"""The setting that makes a network larger, so that its cost is drawn too."""

Measure = Callable[[RunResult], float]


def parameter(facts: Facts) -> Axis | None:
    """The one parameter that the study varies; None where there are several."""
    return facts.varied[0] if len(facts.varied) == 1 else None


def shows_objective(facts: Facts) -> bool:
    """Whether the chart shows the objective, so that it says all that a slice would."""
    return facts.objective.metric == "val_accuracy"


def chart(facts: Facts) -> Plot:
    """The chart shows every trial and the means over the parameter: accuracy; for widths size and speed.

    Where accuracy is the objective, the best trial and those that were pruned or failed are marked, too.
    """
    axis = parameter(facts)
    name = axis.path.rpartition(".")[2].replace("_", " ") if axis is not None else "the parameter"
    title = f"Accuracy against {name}"
    about = "Dots are complete trials; the lines join the means of those with the same value"
    if axis is None:
        return Plot(title, about, empty="Several parameters vary.")
    tried = [entry for entry in facts.entries if axis.path in entry.params]
    complete = [entry for entry in tried if entry.state == "complete" and entry.result is not None]
    if not complete:
        return Plot(title, about, empty=NOTHING)

    def at(entry: Entry) -> float:
        return axis.at(entry.params[axis.path])

    def measured(measure: Measure) -> list[tuple[Entry, float]]:
        found = [(e, measure(e.result)) for e in complete if e.result is not None]
        return [(entry, value) for entry, value in found if not math.isnan(value)]

    def drawn(found: Sequence[tuple[Entry, float]], colour: str, label: str = "") -> list[Mark]:
        if not found:
            return []
        points = [(at(entry), value) for entry, value in found]
        tips = [tip(entry, facts) for entry, _ in found]
        line = Line(means(points), colour, name=label)
        return [line, Dots(points, colour, tips=tips, size=5, edge=INK)]

    across = parameter_side(axis)
    validation, test = measured(_val_accuracy), measured(lambda r: r.test["test_accuracy"])
    scale = Scale.of([value for _, value in [*validation, *test]])
    sides = [[(e, scale.within(value)) for e, value in each] for each in (test, validation)]
    marks = drawn(sides[0], PURPLE, "test accuracy")
    marks += drawn(sides[1], BLUE, "validation accuracy")
    if shows_objective(facts):
        ended = [e for e in tried if e.state in ("pruned", "failed")]
        marks += trials(facts, ended, lambda entry: (at(entry), scale.clip(entry)))
        if facts.ranked and (best := facts.ranked[0]) in complete:
            marks.append(star(facts, (at(best), scale.clip(best)), "best"))
    panels = [Panel(across, Side("accuracy", scale.limits), marks)]
    if axis.path == _SIZE:
        for label, measure in (
            ("parameters", lambda result: float(result.parameters)),
            ("seconds per epoch", _epoch_seconds),
        ):
            found = measured(measure)
            top = max(value for _, value in found)
            panels.append(Panel(across, Side(label, (0, 1.05 * top)), drawn(found, BLUE)))
    width = 13 if len(panels) > 1 else 9
    return Plot(title, sentences(about, scale.remark), panels, width=width)


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
