"""What the parameters did: how much each matters, which values do well, which go together."""

import math
from itertools import combinations

import numpy as np
from matplotlib.tri import LinearTriInterpolator, Triangulation

from search.analysis.facts import Axis, Facts
from search.analysis.importance import importance as measured
from search.plots.marks import (
    Bars,
    Colours,
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
    INK,
    NOTHING,
    ORANGE,
    Scale,
    parameter_side,
    sentences,
    star,
    trials,
)
from search.study.vocabulary import Entry

_COLUMNS = 4
_SMOOTH_FROM = 10
"""Trials from which a running median is drawn over a slice."""

_GRID = 128
"""Points along each side of a surface."""


def importance(facts: Facts) -> Plot:
    """The importance is every parameter's share in what tells the best trials from the others (PED-ANOVA)."""
    found = measured(facts)
    title = "Which parameters matter"
    about = "What tells the best tenth of the trials from the others (PED-ANOVA)"
    if not found.shares:
        return Plot(title, about, empty=found.why)
    lanes, shares = list(range(len(found.shares))), list(found.shares.values())
    percent = {n / 5: f"{n / 5:.0%}" for n in range(6)}
    across = Side("share of the importance", (0, 1), ticks=percent)
    up = Side("", (len(shares) - 0.5, -0.5), ticks=dict(enumerate(found.shares)))
    ends = list(zip(shares, lanes, strict=True))
    marks: list[Mark] = [
        Bars(lanes, [(0, share) for share in shares], BLUE),
        Words(ends, [f"{share:.0%}" for share in shares], "right", INK),
    ]
    height = max(2.8, 1.5 + 0.42 * len(shares))
    return Plot(title, sentences(about, found.caveat), [Panel(across, up, marks)], height=height)


def slices(facts: Facts) -> Plot:
    """The slices show value against each parameter alone."""
    title = "One parameter at a time"
    about = "The darker, the later; triangles were pruned, crosses failed"
    if not facts.valued:
        return Plot(title, about, empty=NOTHING)
    scale = Scale.of_study(facts)
    panels = []
    for axis in facts.axes:
        entries = [*facts.valued, *facts.state("failed")]
        tried = [entry for entry in entries if axis.path in entry.params]

        def place(entry: Entry, axis: Axis = axis) -> tuple[float, float]:
            return _spread(axis, entry), scale.clip(entry)

        marks: list[Mark] = [*_trend(axis, facts)]
        marks += trials(facts, tried, place, lambda entry: entry.number, INK)
        if facts.ranked and axis.path in facts.ranked[0].params:
            marks.append(star(facts, place(facts.ranked[0])))
        panels.append(Panel(parameter_side(axis), scale.side(facts), marks))
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    return Plot(
        title,
        sentences(about, scale.remark),
        panels,
        width=max(9.0, 3.2 * columns),
        height=5.2 if rows == 1 else 1.2 + 3.2 * rows,
        columns=_COLUMNS,
        colours=Colours("cividis_r", 0, max(len(facts.entries) - 1, 1)),
        shared=True,
    )


def _trend(axis: Axis, facts: Facts) -> list[Line]:
    """The median of neighbouring complete trials, or of each choice."""
    shown = [e for e in facts.state("complete") if axis.path in e.params]
    if len(shown) < _SMOOTH_FROM:
        return []
    points = sorted((axis.at(e.params[axis.path]), e.value or 0.0) for e in shown)
    if axis.labels or (axis.countable and not axis.log):
        groups = {at: [v for place, v in points if place == at] for at, _ in points}
        return [
            Line([(at - 0.3, np.median(values)), (at + 0.3, np.median(values))], ORANGE, 2.2)
            for at, values in groups.items()
        ]
    around = max(2, len(points) // 10)
    windows = [points[max(0, i - around) : i + around + 1] for i in range(len(points))]
    medians = [float(np.median([value for _, value in window])) for window in windows]
    places = [at for at, _ in points]
    return [Line(list(zip(places, medians, strict=True)), ORANGE, 2.2)]


def _spread(axis: Axis, entry: Entry) -> float:
    """Where a trial stands on `axis`; trials with one choice stand side by side."""
    aside = ((entry.number * 0.618) % 1 - 0.5) * 0.4 if axis.labels else 0.0
    return axis.at(entry.params[axis.path]) + aside


def parallel(facts: Facts) -> Plot:
    """The parallel coordinates lead every complete trial through its parameters to its value."""
    title = "All parameters together"
    about = "A line is a trial: the darker, the better"
    paths = {axis.path for axis in facts.steady}
    whole = [entry for entry in facts.ranked if paths <= set(entry.params)]
    if not whole:
        return Plot(title, about, empty="No trial is complete yet.")
    scale = Scale.of([entry.value or 0.0 for entry in whole])
    values = np.linspace(scale.low, scale.high, 5).tolist()
    value = Side(facts.metric, (scale.low, scale.high), ticks={at: f"{at:.4g}" for at in values})
    rows = [
        [*(axis.at(entry.params[axis.path]) for axis in facts.steady), scale.clip(entry)]
        for entry in whole
    ]
    sides = [*map(_upright, facts.steady), value]
    return Plot(
        title,
        sentences(about, scale.remark),
        [Parallel(sides, rows)],
        width=max(9.0, 1.7 * len(sides)),
        colours=scale.colours(facts),
        hint="Drag along an axis to keep only the trials in that range.",
    )


def _upright(axis: Axis) -> Side:
    """The axis of a parameter with ticks from end to end."""
    ticks = dict[float, str](enumerate(axis.labels))
    if not axis.labels:
        spaced = np.geomspace if axis.log else np.linspace
        values = spaced(axis.low, axis.high, 5).tolist()
        values = sorted({float(round(at)) for at in values}) if axis.integer else values
        ticks = {at: f"{at:.6g}" if axis.integer else f"{at:.3g}" for at in values}
    return Side(axis.path, (axis.low, axis.high), axis.log, ticks=ticks)


def contour(facts: Facts) -> Plot:
    """The contours show value over pairs of the most important parameters, interpolated between trials."""
    title, about = "Two parameters together", "Dots are trials; the darker, the better"
    shares = measured(facts).shares
    by_weight = sorted(facts.axes, key=lambda axis: -shares.get(axis.path, 0.0))
    pairs = list(combinations(by_weight[:3], 2))
    if not pairs or not facts.ranked:
        text = "Only one parameter varies." if not pairs else "No trial is complete yet."
        return Plot(title, about, empty=text)
    scale = Scale.of([entry.value or 0.0 for entry in facts.ranked])
    panels = []
    for across, up in pairs:
        shown = [e for e in facts.ranked if across.path in e.params and up.path in e.params]

        def place(entry: Entry, across: Axis = across, up: Axis = up) -> tuple[float, float]:
            return _spread(across, entry), _spread(up, entry)

        marks: list[Mark] = [*_surface(across, up, shown, scale)]
        marks += trials(facts, shown, place, scale.clip)
        if shown and shown[0] is facts.ranked[0]:
            marks.append(star(facts, place(shown[0])))
        panels.append(Panel(parameter_side(across), parameter_side(up), marks))
    return Plot(
        title,
        sentences(about, scale.remark),
        panels,
        width=9 if len(pairs) < 2 else 13,
        colours=scale.colours(facts, bar=True),
    )


def _surface(across: Axis, up: Axis, shown: list[Entry], scale: Scale) -> list[Surface]:
    """The values between the trials, where both axes are numbers and there are points enough."""
    if across.labels or up.labels:
        return []
    x, y = (np.array([axis.share(e.params[axis.path]) for e in shown]) for axis in (across, up))
    if len({*zip(x, y, strict=True)}) < 6:
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
