"""What accuracy costs: value against training time, and against the size of the network."""

import math
from collections.abc import Sequence

from pipeline.run.config import Cost
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.front import front, priced
from search.plots.marks import Line, Mark, Panel, Plot, Points, Side, Words
from search.plots.style import (
    GREEN,
    INK,
    MUTED,
    NOTHING,
    Scale,
    number_side,
    sentences,
    star,
    time_unit,
    trials,
)
from search.study.vocabulary import Entry

_ROOM_ACROSS, _ROOM_UP = 0.12, 0.06
"""Of the axes, between two numbers that stand beside each other."""


def against_time(facts: Facts, finalists: Finalists | None = None) -> Plot:
    """The figure shows value against training time, and the trials that none beats in both."""
    title = f"{facts.metric.capitalize()} against training time"
    seconds = {e.number: facts.train_seconds(e) for e in facts.valued if e.result is not None}
    unit, length = time_unit(max(seconds.values(), default=0.0))
    across = [(e, seconds[e.number] / length) for e in facts.valued if e.number in seconds]
    label = f"training time in {unit}"
    if any("lanes" in entry.worker for entry, _ in across):
        label += ", shared with the lanes beside"
    return _against(facts, finalists, "train_seconds", title, label, across, length)


def against_parameters(facts: Facts, finalists: Finalists | None = None) -> Plot:
    """The figure shows value against the size of the network, and the trials that none beats in both."""
    title = f"{facts.metric.capitalize()} against the number of weights"
    across = [(e, float(e.result.parameters)) for e in facts.valued if e.result is not None]
    return _against(facts, finalists, "parameters", title, "weights and biases", across)


def against_multiply_adds(facts: Facts, finalists: Finalists | None = None) -> Plot:
    """The figure shows value against the work of a prediction, and the trials that none beats in both."""
    title = f"{facts.metric.capitalize()} against the work of a prediction"
    known = {e.number: e.result.costs for e in facts.valued if e.result is not None}
    works = {number: costs["multiply_adds"] for number, costs in known.items() if costs}
    across = [(e, float(works[e.number])) for e in facts.valued if e.number in works]
    return _against(facts, finalists, "multiply_adds", title, "multiply-adds", across)


def _against(
    facts: Facts,
    finalists: Finalists | None,
    kind: Cost,
    title: str,
    label: str,
    across: Sequence[tuple[Entry, float]],
    unit: float = 1.0,
) -> Plot:
    about = "The line joins the trials that no other beats in both"
    if not across:
        return Plot(title, about, empty=NOTHING)
    scale, places = Scale.of_study(facts), {entry.number: at for entry, at in across}
    configurations = priced(facts, finalists)

    def place(entry: Entry) -> tuple[float, float]:
        return places[entry.number], scale.clip(entry)

    marks: list[Mark] = []
    unbeaten = [e for e in front(facts, configurations, kind) if e.entry.number in places]
    if unbeaten:
        points = [(each.cost(kind) / unit, scale.within(each.value)) for each in unbeaten]
        marks.append(Line(points, INK, 1.6, "unbeaten", stepped=True))
    for each in configurations:
        if each.low is not None and each.high is not None:
            ends = [(places[each.entry.number], end) for end in (each.low, each.high)]
            said = f"trial {each.entry.number} over fresh seeds"
            marks.append(Line(ends, GREEN, 1.6, "interval over fresh seeds", said))
    marks += trials(facts, [entry for entry, _ in across], place)
    if unbeaten:
        marks.append(star(facts, place(facts.ranked[0]), "best"))
    low, high = min(places.values()), max(places.values())
    side = Side(label, (0, 1.05 * high))
    if low > 0 and high / low > 10:
        side = number_side(f"{label} (log scale)", low, high, log=True)
    if unbeaten:
        marks.append(_numbers(points, [str(each.entry.number) for each in unbeaten], side, scale))
    return Plot(title, sentences(about, scale.remark), [Panel(side, scale.side(facts), marks)])


def _numbers(points: Points, names: Sequence[str], side: Side, scale: Scale) -> Words:
    """The numbers of the trials at `points`, the best ones first, as far as they don't touch."""
    chosen: list[int] = []
    for index in range(len(points) - 1, -1, -1):
        if all(_apart(points[index], points[other], side, scale) for other in chosen):
            chosen.append(index)
    shown = sorted(chosen)
    return Words([points[i] for i in shown], [names[i] for i in shown], "above", MUTED)


def _apart(one: tuple[float, float], other: tuple[float, float], side: Side, scale: Scale) -> bool:
    """Whether there is room for a number of a few digits at each of two points, in a narrow panel too."""
    low, high = side.limits or (0.0, 1.0)
    places = [math.log(x) if side.log else x for x in (low, high, one[0], other[0])]
    across = abs(places[3] - places[2]) / (places[1] - places[0])
    up = abs(one[1] - other[1]) / (scale.high - scale.low)
    return across > _ROOM_ACROSS or up > _ROOM_UP
