"""What the parameters did: how much each matters, which values do well, which go together."""

import math

import numpy as np
from matplotlib.tri import LinearTriInterpolator, Triangulation

from search.analysis.facts import Axis, Facts
from search.plots.marks import (
    Bars,
    Line,
    Mark,
    Panel,
    Parallel,
    Plot,
    Side,
    Surface,
    Words,
)
from search.plots.style import (
    BLUE,
    FAINT,
    INK,
    NOTHING,
    Scale,
    beside,
    parameter_side,
    sentences,
    star,
    ticks,
    trials,
)
from search.study.vocabulary import Entry

_COLUMNS = 3
_SMOOTH_FROM = 10
"""Trials from which a running median is drawn over a slice."""

_MEDIAN = "median of complete trials"

_SURFACE_FROM = 30
"""Trials from which values are interpolated between them: of ten, each would paint a tenth of the surface."""

_GRID = 64
"""Points along each side of a surface."""


def importance(facts: Facts) -> Plot:
    """The importance is every parameter's share in what tells the best trials from the others (PED-ANOVA).

    Parameters are shown in their order as far as the trials settle it, the others as one.
    """
    found = facts.importance
    title = "Which parameters matter"
    about = "What tells the best trials from the others (PED-ANOVA)"
    if not found.settled:
        return Plot(title, about, empty=found.why)
    settled, others = found.settled, found.others
    lanes = range(len(settled))
    marks: list[Mark] = [Bars(lanes, [(0, each.value) for each in settled], BLUE)]
    marks += [
        Line(
            [(each.low, lane), (each.high, lane)],
            INK,
            1.6,
            tip=f"{each.path} in nine of ten samples",
        )
        for lane, each in enumerate(settled)
    ]
    ends = [(max(each.value, each.high), float(lane)) for lane, each in enumerate(settled)]
    texts = [f"{each.value:.0%}" for each in settled]
    names = [each.path for each in settled]
    if others:
        names.append(f"{len(others)} others" if len(others) > 1 else others[0])
        marks.append(Bars([len(settled)], [(0, found.rest)], FAINT))
        ends.append((found.rest, float(len(settled))))
        texts.append(f"{found.rest:.0%}")
    marks.append(Words(ends, texts, "right", INK))
    caveat = f"{found.samples}; lines: where nine of ten of them lie"
    if len(others) > 1:
        caveat += f". The order of {', '.join(others)} is not settled: the grey bar is their sum"
    across = Side(
        "share of the importance", (0, 1.12), ticks={n / 4: f"{n / 4:.0%}" for n in range(5)}
    )
    up = Side("", (len(names) - 0.5, -0.5), ticks=dict(enumerate(names)))
    height = max(2.8, 1.5 + 0.42 * len(names))
    return Plot(title, sentences(about, caveat), [Panel(across, up, marks)], height=height)


def slices(facts: Facts) -> Plot:
    """The slices show value against each parameter alone."""
    title = "One parameter at a time"
    about = "Dots are trials, which differ in the other parameters, too"
    if not facts.valued or not facts.varied:
        return Plot(title, about, empty="Only the seed varies." if facts.valued else NOTHING)
    scale = Scale.of_study(facts)
    panels = []
    for axis in facts.varied:
        entries = [*facts.valued, *facts.state("failed")]
        tried = [entry for entry in entries if axis.path in entry.params]

        def place(entry: Entry, axis: Axis = axis) -> tuple[float, float]:
            return beside(axis, entry), scale.clip(entry)

        marks: list[Mark] = [*trials(facts, tried, place), *_trend(axis, facts, scale)]
        if facts.ranked and axis.path in facts.ranked[0].params:
            marks.append(star(facts, place(facts.ranked[0]), "best"))
        panels.append(Panel(parameter_side(axis), scale.side(facts), marks))
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    return Plot(
        title,
        sentences(about if len(panels) > 1 else "Dots are trials", scale.remark),
        panels,
        width=max(9.0, 3.6 * columns),
        height=1.2 + 3.4 * rows if columns > 1 else 5.2,
        columns=_COLUMNS,
        shared=True,
    )


def _trend(axis: Axis, facts: Facts, scale: Scale) -> list[Line]:
    """The median of neighbouring complete trials, or of each choice."""
    shown = [e for e in facts.state("complete") if axis.path in e.params]
    if len(shown) < _SMOOTH_FROM:
        return []
    points = sorted((axis.at(e.params[axis.path]), e.value or 0.0) for e in shown)
    if axis.labels or (axis.countable and not axis.log):
        groups = {at: [v for place, v in points if place == at] for at, _ in points}
        return [
            Line([(at - 0.3, median), (at + 0.3, median)], INK, 2.2, _MEDIAN)
            for at, values in groups.items()
            for median in [scale.within(float(np.median(values)))]
        ]
    around = max(2, len(points) // 10)
    windows = [points[max(0, i - around) : i + around + 1] for i in range(len(points))]
    medians = [scale.within(float(np.median([v for _, v in window]))) for window in windows]
    places = [at for at, _ in points]
    return [Line(list(zip(places, medians, strict=True)), INK, 2.2, _MEDIAN)]


def steady(facts: Facts) -> list[Axis]:
    """The parameters that every trial has: those without a condition."""
    return [axis for axis in facts.varied if axis.path not in facts.space.conditions]


def parallel(facts: Facts) -> Plot:
    """The parallel coordinates lead every complete trial through its parameters to its value."""
    title = "All parameters together"
    about = "A line is a trial: the darker, the better"
    axes = steady(facts)
    paths = {axis.path for axis in axes}
    whole = [entry for entry in facts.ranked if paths <= set(entry.params)]
    if not whole:
        return Plot(title, about, empty="No trial is complete yet.")
    scale = Scale.of([entry.value or 0.0 for entry in whole])
    value = Side(facts.metric, (scale.low, scale.high), ticks=ticks(scale.low, scale.high))
    rows = [
        [*(axis.at(entry.params[axis.path]) for axis in axes), scale.clip(entry)] for entry in whole
    ]
    sides = [*map(_upright, axes), value]
    return Plot(
        title,
        sentences(about, scale.remark),
        [Parallel(sides, rows)],
        width=max(9.0, 1.7 * len(sides)),
        colours=scale.colours(facts),
        hint="Drag along an axis to keep only the trials in that range.",
    )


def _upright(axis: Axis) -> Side:
    """The axis of a parameter with its ticks."""
    texts = dict[float, str](enumerate(axis.labels))
    if not axis.labels:
        texts = ticks(axis.low, axis.high, axis.log, axis.integer)
    return Side(axis.path, (axis.low, axis.high), axis.log, ticks=texts)


def pair(facts: Facts) -> tuple[Axis, Axis] | None:
    """The two parameters that matter most, or the only two; None where the trials don't tell which."""
    axes = {axis.path: axis for axis in facts.varied}
    first = [each.path for each in facts.importance.settled] if len(axes) > 2 else list(axes)
    return (axes[first[0]], axes[first[1]]) if len(first) > 1 else None


def contour(facts: Facts) -> Plot:
    """The contour shows value over the two parameters that matter most, a surface where trials are many."""
    only = len(facts.varied) == 2
    title = "Both parameters together" if only else "The two parameters that matter most"
    about = "Dots are complete trials; the darker, the better"
    found = pair(facts)
    if found is None:
        return Plot(title, about, empty="Too few trials to say which two matter most.")
    if not facts.ranked:
        return Plot(title, about, empty="No trial is complete yet.")
    across, up = found
    scale = Scale.of([entry.value or 0.0 for entry in facts.ranked])
    shown = [e for e in facts.ranked if across.path in e.params and up.path in e.params]

    def place(entry: Entry) -> tuple[float, float]:
        return beside(across, entry), beside(up, entry)

    surface = _surface(across, up, shown, scale)
    if surface:
        about += ". Between them the values are interpolated"
    marks: list[Mark] = [*surface, *trials(facts, shown, place, scale.clip)]
    if shown and shown[0] is facts.ranked[0]:
        marks.append(star(facts, place(shown[0]), "best"))
    return Plot(
        title,
        sentences(about, scale.remark),
        [Panel(parameter_side(across), parameter_side(up), marks)],
        colours=scale.colours(facts, bar=True),
    )


def _surface(across: Axis, up: Axis, shown: list[Entry], scale: Scale) -> list[Surface]:
    """The values between the trials, where both axes are numbers and there are points enough."""
    if across.labels or up.labels:
        return []
    x, y = (np.array([axis.share(e.params[axis.path]) for e in shown]) for axis in (across, up))
    if len({*zip(x, y, strict=True)}) < _SURFACE_FROM:
        return []
    try:  # neighbours by their place on the axes, not by value: a log axis is none otherwise
        mesh = Triangulation(x, y)
    except (RuntimeError, ValueError):  # all on one line
        return []
    grid = np.linspace(0, 1, _GRID)
    between = LinearTriInterpolator(mesh, [scale.clip(entry) for entry in shown])
    values = between(*np.meshgrid(grid, grid)).filled(np.nan).astype(np.float32)
    places = [
        (np.geomspace if axis.log else np.linspace)(axis.low, axis.high, _GRID)
        for axis in (across, up)
    ]
    return [Surface(places[0], places[1], values)]
