"""How the study went: its values, and its curves."""

from pipeline.run.config import Cost
from search.analysis.facts import Facts, in_words
from search.analysis.leaderboard import counts
from search.plots.marks import Dash, Dots, Line, Mark, Panel, Plot, Side
from search.plots.style import (
    FAINT,
    INK,
    NOTHING,
    Scale,
    number_side,
    sentences,
    shade,
    star,
    tip,
    trials,
)
from search.study.front import Corner, corner, hypervolume
from search.study.ranking import Ranking
from search.study.shown import in_units
from search.study.vocabulary import Entry

_DASHES: dict[str, Dash] = {"failed": "--"}

_HYPERVOLUME = (
    "The hypervolume is the area that the front leaves behind it, up to the worst value and the highest cost "
    "of all trials; 1 would be the best value at the lowest cost"
)

BEST = 10
"""How many trials stand out over all others among the learning curves."""


def best_so_far(facts: Facts) -> list[tuple[int, float]]:
    """(trial number, best value up to it) for every complete trial, by number."""
    ranking = Ranking(facts.objective)
    steps: list[tuple[int, float]] = []
    for entry in facts.state("complete"):
        ranking.add(entry)
        steps.append((entry.number, ranking[0].value))
    return steps


def front_so_far(facts: Facts, cost: Cost, reference: Corner) -> list[tuple[int, float]]:
    """(trial number, hypervolume of the front up to it) for every complete trial, by number."""
    ranking = Ranking(facts.objective)
    steps: list[tuple[int, float]] = []
    for entry in facts.state("complete"):
        ranking.add(entry)
        steps.append((entry.number, hypervolume(ranking.front, cost, reference)))
    return steps


def _progress(facts: Facts, cost: Cost, across: Side) -> tuple[str, Panel]:
    """The hypervolume of the front after each trial, as a share of all that there is; and its reference."""
    reference = corner(facts.ranking, cost, facts.objective)
    best, least = facts.ranking[0].value, facts.ranking.front[0].cost(cost)
    whole = abs(best - reference.value) * (reference.cost - least)
    steps = [(at, area / (whole or 1.0)) for at, area in front_so_far(facts, cost, reference)]
    line = Line([*steps, (max(facts.by_number), steps[-1][1])], INK, 1.6, stepped=True)
    point = f"{facts.objective.metric} {reference.value:.4f}, {in_units(cost, reference.cost)}"
    return f"Hypervolume from {point}", Panel(across, Side("hypervolume of the front"), [line])


def history(facts: Facts) -> Plot:
    """The history shows every trial's value in the order of the trials, and the best so far.

    Of a study with a cost it shows the progress of its front, too.
    """
    title = "How the search went"
    entries = [*facts.valued, *facts.state("failed")]
    if not entries:
        return Plot(title, counts(facts.entries), empty=NOTHING)
    scale = Scale.of_study(facts)
    last = max(entry.number for entry in facts.entries)
    marks: list[Mark] = []
    if steps := best_so_far(facts):
        line = [*steps, (last, steps[-1][1])]
        marks.append(Line(line, INK, 1.6, "best so far", stepped=True))
    marks += trials(facts, entries, lambda entry: (entry.number, scale.clip(entry)))
    if facts.ranked:
        best = facts.ranked[0]
        marks.append(star(facts, (best.number, scale.clip(best)), "best"))
    about = f"{len(facts.entries)} trials: {counts(facts.entries)}"
    across = number_side("trial", 0, last, whole=True)
    panels, cost, progress = [Panel(across, scale.side(facts), marks)], facts.objective.cost, ""
    hint = "Hover over a trial to see what it tried."
    if cost is not None and facts.ranking:
        progress, panel = _progress(facts, cost, across)
        panels.append(panel)
        hint = f"{_HYPERVOLUME}. {hint}"
    return Plot(
        title,
        sentences(about, progress, scale.remark),
        panels,
        height=5.2 * len(panels),
        columns=1,
        hint=hint,
    )


def learning_curves(facts: Facts) -> Plot:
    """The learning curves of the best ten trials lie over those of all others."""
    metric = facts.objective.metric
    best = facts.ranked[:BEST]
    title = f"Learning curves of the best {len(best)}" if len(best) > 1 else "Learning curves"
    about = "The darker, the better"
    epochs = [epoch.epoch for entry in facts.entries for epoch in entry.history]
    if not epochs:
        return Plot(title, about, empty="No epoch has ended yet.")
    leading = {entry.number for entry in best}
    behind = [entry for entry in facts.entries if entry.number not in leading and entry.history]
    if behind:
        about += "; in grey all others"
    if any(entry.state == "failed" for entry in behind):
        about += ", dashed those that failed"
    if facts.promoted:
        about += ". After a dot the network went on in a new trial"
    panels = []
    for name in dict.fromkeys((metric, metric.replace("accuracy", "loss"))):
        marks = [mark for entry in behind for mark in _curve(facts, entry, name)]
        for place, entry in reversed(list(enumerate(best))):
            marks += _curve(facts, entry, name, shade(place / max(len(best) - 1, 1)))
        settled = settled_values(facts, name)
        limits = (Scale.of(settled).low, Scale.of(settled).high) if settled else None
        across = number_side("epoch", 1, max(epochs), whole=True)
        panels.append(Panel(across, Side(in_words(name), limits), marks))
    return Plot(title, about, panels, width=10, legend=f"trial: {metric}" if best else "")


def settled_values(facts: Facts, metric: str) -> list[float]:
    """Values of `metric` without those of first epochs, which are far from all others."""
    return [
        epoch.metrics[metric]
        for entry in facts.entries
        for epoch in entry.history
        if metric in epoch.metrics and (epoch.epoch > 1 or len(entry.history) == 1)
    ]


def _curve(facts: Facts, entry: Entry, metric: str, colour: str = "") -> list[Mark]:
    """The curve of a trial, faint without a `colour`; a dot stands where its network came from another."""
    points = [(e.epoch, e.metrics[metric]) for e in facts.curve(entry) if metric in e.metrics]
    if not points:
        return []
    name = f"{entry.number}: {entry.value:.4f}" if colour else ""
    if len(points) == 1:
        return [Dots(points, colour or FAINT, name=name, tips=[tip(entry, facts)], size=4.5)]
    width, dash = 1.8 if colour else 0.9, _DASHES.get(entry.state, "-")
    marks: list[Mark] = [Line(points, colour or FAINT, width, name, tip(entry, facts), dash)]
    before = len(points) - len(entry.history)
    if before > 0 and colour:
        marks.append(Dots(points[before - 1 : before], colour, size=4.5))
    return marks
