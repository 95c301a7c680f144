"""What is drawn of studies that can be compared. In each figure the colours mean the studies."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.run.config import Cost
from search.analysis.facts import Axis
from search.analysis.wording import shown
from search.comparison.compared import Compared, joined
from search.plots.course import front_so_far
from search.plots.marks import Dots, Line, Mark, Panel, Plot, Points, Side
from search.plots.style import (
    INK,
    SYMBOLS,
    Scale,
    beside,
    number_side,
    parameter_side,
    sentences,
    time_unit,
    tip,
)
from search.plots.timeline import clock_of
from search.study.front import corner, unbeaten
from search.study.ranking import Configuration, Ranking
from search.study.shown import in_units
from search.study.vocabulary import Entry

_HEIGHT = 4.2
_NOTHING = "No trial is complete yet."


def best_so_far(group: Sequence[Compared]) -> Plot:
    """The best value so far against trials, and against seconds; of no panels where no trial is complete."""
    title = "Best so far"
    about = (
        "Against the number of trials, and against the time since the first of them began, without the time "
        "between launches. The best of single runs has no spread: lines may lie close to each other by chance"
    )
    courses = [(each, _by_number(each), _by_time(each)) for each in group]
    steps = [v for _, *both in courses for points in both for _, v in points]
    if not steps:
        return Plot(title, about, empty=_NOTHING)
    scale = Scale.of(steps)
    up = scale.side(group[0].facts)
    last = max(at for _, by_number, _ in courses for at, _ in by_number)
    whole = max((by_time[-1][0] for _, _, by_time in courses if by_time), default=0.0)
    unit, length = time_unit(whole)
    ways: list[tuple[Side, list[tuple[Compared, Points]]]] = [
        (
            number_side("trial", 0, last, whole=True),
            [(each, by_number) for each, by_number, _ in courses],
        ),
        (
            Side(f"{unit} since its first trial began", (0, 1.02 * whole / length or 1.0)),
            [(each, [(at / length, v) for at, v in by_time]) for each, _, by_time in courses],
        ),
    ]
    panels = [Panel(across, up, _steps(lines, scale)) for across, lines in ways]
    outside = "Values far away are drawn at the edge" if scale.outside else ""
    return _plot(title, sentences(about, outside), panels)


def _plot(title: str, about: str, panels: Sequence[Panel]) -> Plot:
    """Panels in two columns."""
    return Plot(title, about, panels, height=_HEIGHT * -(-len(panels) // 2), columns=2)


def _steps(lines: Sequence[tuple[Compared, Points]], scale: Scale) -> list[Mark]:
    marks: list[Mark] = []
    for study, points in lines:
        if points:
            within = [(at, scale.within(value)) for at, value in points]
            marks.append(Line(within, study.colour, 2.2, study.name, study.name, stepped=True))
            marks.append(Dots(within[-1:], study.colour, "o", study.name, [study.name], size=6))
    return marks


def _by_number(study: Compared) -> list[tuple[float, float]]:
    """(trial, best value so far) for every complete trial by number, up to the last one that ended."""
    return _course(study, study.facts.ended, lambda entry: float(entry.number))


def _by_time(study: Compared) -> list[tuple[float, float]]:
    """(second, best value so far) for every complete trial as they ended, up to the last one that did."""
    ended = [entry for entry in study.facts.ended if entry.ended_at is not None]
    if not ended:
        return []
    clock = clock_of(ended)
    in_order = sorted(ended, key=lambda entry: entry.ended_at or 0.0)
    return _course(study, in_order, lambda entry: clock(entry.ended_at or 0.0))


def _course(
    study: Compared, entries: Sequence[Entry], place: Callable[[Entry], float]
) -> list[tuple[float, float]]:
    ranking = Ranking(study.facts.objective)
    steps: list[tuple[float, float]] = []
    for entry in entries:
        ranking.add(entry)
        if ranking:
            steps.append((place(entry), ranking[0].value))
    return steps


def searched(studies: Sequence[Compared]) -> Plot:
    """Where studies of one space searched, a panel for each parameter."""
    title = "Where each searched"
    about = (
        "Every trial by each of its parameters: circles are complete, triangles were pruned, crosses failed; "
        "a star is the best of its study"
    )
    entries = [entry for study in studies for entry in study.facts.valued]
    complete = [e.value for e in entries if e.state == "complete" and e.value is not None]
    if not entries:
        return Plot(title, about, empty=_NOTHING)
    scale = Scale.of(complete or [entry.value or 0.0 for entry in entries])
    outside = sum(scale.clip(entry) != entry.value for entry in entries)
    remark = replace(scale, outside=outside).remark
    panels = []
    for axis in joined(studies):
        marks = [mark for study in studies for mark in _tried(study, axis, scale)]
        panels.append(Panel(parameter_side(axis), scale.side(studies[0].facts), marks))
    return _plot(title, sentences(about, remark), panels)


def _tried(study: Compared, axis: Axis, scale: Scale) -> list[Mark]:
    facts = study.facts
    ended = [entry for entry in facts.ended if axis.path in entry.params]

    def at(entry: Entry) -> tuple[float, float]:
        return beside(axis, entry), scale.clip(entry)

    def tips(entries: Sequence[Entry]) -> list[str]:
        return [f"{study.name}, {tip(entry, facts)}" for entry in entries]

    marks: list[Mark] = []
    for state, symbol in SYMBOLS.items():
        if chosen := [entry for entry in ended if entry.state == state]:
            marks.append(Dots([*map(at, chosen)], study.colour, symbol, study.name, tips(chosen)))
    best = facts.ranked[:1]
    if best and axis.path in best[0].params:
        places = [at(best[0])]
        marks.append(Dots(places, study.colour, "*", study.name, tips(best), size=12, edge=INK))
    return marks


def answers(group: Sequence[Compared]) -> Plot:
    """What the answers of their verdicts gave over fresh seeds; of no panels where there is none."""
    title = "The answers over fresh seeds"
    about = (
        "Of each study that has a verdict, its answer: small dots are fresh seeds, which chose nothing, the "
        "large one is their mean, the bar its interval. Between studies nothing was tested, as seeds differ"
    )
    lanes, marks, values = 0, list[Mark](), list[float]()
    for study in group:
        answer, mean = study.answer, study.confirmed
        if answer is None or mean is None:
            continue
        lane, lanes = lanes, lanes + 1
        seeds = [value for value in answer.confirmation if value is not None]
        values += [*seeds, *(end for end in (mean.low, mean.high) if end is not None)]
        said = [f"{study.name}, seed {seed + 1}: {value:.4f}" for seed, value in enumerate(seeds)]
        above = [(value, lane - 0.22) for value in seeds]
        marks.append(Dots(above, study.colour, "o", study.name, said, size=4.5))
        if mean.low is not None and mean.high is not None:
            ends = [(mean.low, lane), (mean.high, lane)]
            marks.append(Line(ends, study.colour, 2.6, study.name))
        center, tips = [(mean.value, lane)], [f"{study.name}\n{shown(mean)}"]
        marks.append(Dots(center, study.colour, "o", study.name, tips, size=8, edge=INK))
    if not lanes:
        return Plot(title, about, empty="No verdict names an answer.")
    facts, scale = group[0].facts, Scale.of(values)
    better = "higher" if facts.objective.maximizes else "lower"
    across = Side(f"{facts.metric} ({better} is better)", (scale.low, scale.high))
    up = Side("", (lanes - 0.4, -0.6), ticks=dict.fromkeys(range(lanes), ""))
    return Plot(title, about, [Panel(across, up, marks)], height=1.6 + 0.5 * lanes)


def fronts(group: Sequence[Compared], cost: Cost) -> Plot:
    """The fronts by a cost that a study of `group` searched, and how they grew; of no panels without one."""
    found = [(each, of_it) for each in group if (of_it := _costed(each, cost))]
    label, objective = cost.replace("_", " "), group[0].facts.objective
    title = f"The fronts of {objective.metric} and {label}"
    searched = [each for each, _ in found if each.facts.objective.cost == cost]
    if not searched:
        return Plot(title, "", empty=_NOTHING)
    everything = [each for _, configurations in found for each in configurations]
    scale = Scale.of([each.value for each in everything])
    marks: list[Mark] = []
    for study, configurations in found:
        front = unbeaten(configurations, cost, objective)
        points = [(each.cost(cost), scale.within(each.value)) for each in front]
        tips = [f"{study.name}, {tip(each.entry, study.facts)}" for each in front]
        marks.append(Line(points, study.colour, 1.8, study.name, study.name, stepped=True))
        marks.append(Dots(points, study.colour, "o", study.name, tips))
    costs = [each.cost(cost) for each in everything]
    low, high = min(costs), max(costs)
    across = number_side(label, low, high, log=low > 0 and high / low > 10)
    reference = corner(everything, cost, objective)
    about = (
        "What no trial of a study beats in both, of single runs; and how the hypervolume grew that a front "
        f"leaves behind it, from {objective.metric} {reference.value:.4f} and "
        f"{in_units(cost, reference.cost)} on, as a share of the largest one"
    )
    grown = [(study, front_so_far(study.facts, cost, reference)) for study in searched]
    most = max(area for _, steps in grown for _, area in steps) or 1.0
    areas: list[Mark] = [
        Line(
            [(at, area / most) for at, area in steps],
            *(study.colour, 2.2, study.name, study.name),
            stepped=True,
        )
        for study, steps in grown
    ]
    last = max(at for _, steps in grown for at, _ in steps)
    trials = number_side("trial", 0, last, whole=True)
    panels = [
        Panel(across, scale.side(group[0].facts), marks),
        Panel(trials, Side("hypervolume of the front"), areas),
    ]
    return _plot(title, sentences(about, scale.remark), panels)


def _costed(study: Compared, cost: Cost) -> list[Configuration]:
    """The configurations of a study of which that cost is known."""
    return [
        each
        for each in study.facts.ranking
        if all(
            e.result and (cost != "multiply_adds" or cost in e.result.costs) for e in each.trials
        )
    ]
