"""What accuracy costs: value against training time, and against the size of the network."""

from collections.abc import Sequence

from pipeline.run.config import Cost
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.front import front, priced
from search.plots.marks import Line, Mark, Panel, Plot, Side, Words
from search.plots.style import (
    GREEN,
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


def against_time(facts: Facts, finalists: Finalists | None = None) -> Plot:
    """The figure shows value against training time, and the trials that none beats in both."""
    title = f"{facts.metric.capitalize()} against training time"
    seconds = {e.number: facts.train_seconds(e) for e in facts.valued if e.result is not None}
    unit, length = time_unit(max(seconds.values(), default=0.0))
    across = [(e, seconds[e.number] / length) for e in facts.valued if e.number in seconds]
    label = f"training time in {unit}"
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
        marks.append(Line(points, GREEN, 1.6, "unbeaten", stepped=True))
        names = [str(each.entry.number) for each in unbeaten]
        marks.append(Words(points[-6:], names[-6:], "above", MUTED))
    if any(each.low is not None for each in configurations):
        about += "; bars are means over fresh seeds"
    for each in configurations:
        if each.low is not None and each.high is not None:
            ends = [(places[each.entry.number], end) for end in (each.low, each.high)]
            marks.append(Line(ends, GREEN, 1.6, tip=f"trial {each.entry.number} over fresh seeds"))
    marks += trials(facts, [entry for entry, _ in across], place)
    if unbeaten:
        marks.append(star(facts, place(facts.ranked[0]), "best"))
    low, high = min(places.values()), max(places.values())
    side = Side(label, (0, 1.05 * high))
    if low > 0 and high / low > 10:
        side = number_side(label, low, high, log=True)
    return Plot(title, sentences(about, scale.remark), [Panel(side, scale.side(facts), marks)])
