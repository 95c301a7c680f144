"""What the parameters did: how much each matters, which values do well, which go together."""

import math
from itertools import combinations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation

from search.facts import Axis, Facts
from search.importance import Importance
from search.importance import importance as measured
from search.plots.course import NOTHING
from search.plots.style import (
    BLUE,
    FAINT,
    INK,
    LATE,
    MUTED,
    ORANGE,
    RED,
    Scale,
    best_star,
    blank,
    parameter_axis,
    say,
    styled,
    value_label,
    value_map,
)
from search.study import Entry

_COLUMNS = 4
_SMOOTH_FROM = 10
"""Trials from which a running median is drawn over a slice."""


@styled
def importance(facts: Facts) -> Figure:
    """The share of every parameter in what tells the best trials from the others (PED-ANOVA)."""
    found: Importance = measured(facts)
    height = max(2.8, 1.5 + 0.42 * len(found.shares))
    figure = blank(
        "Parameter importance",
        f"What tells the best tenth of the trials from the others (PED-ANOVA). {found.caveat}",
        height=height,
    )
    axes = figure.add_subplot()
    if not found.shares:
        say(axes, found.why)
        return figure
    shares = dict(reversed(list(found.shares.items())))
    bars = axes.barh(list(shares), list(shares.values()), 0.65, color=BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for share in shares.values()], padding=4, color=INK)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    axes.grid(False, axis="y")
    axes.set_xlabel("share of the importance")
    return figure


@styled
def slices(facts: Facts) -> Figure:
    """Value against each parameter alone."""
    rows = math.ceil(len(facts.axes) / _COLUMNS)
    columns = min(_COLUMNS, len(facts.axes))
    width, height = max(9.0, 3.2 * columns), 5.2 if rows == 1 else 1.2 + 3.2 * rows
    about = "The darker, the later; triangles were pruned, crosses failed"
    figure = blank("Slices: one parameter at a time", about, width, height)
    if not facts.valued:
        say(figure.add_subplot(), NOTHING)
        return figure
    scale = Scale.of_study(facts)
    numbers = Normalize(0, max(len(facts.entries) - 1, 1))
    for index, axis in enumerate(facts.axes):
        axes = figure.add_subplot(rows, columns, index + 1)
        for state, marker in (("complete", "o"), ("pruned", "v")):
            shown = [e for e in facts.valued if e.state == state and axis.path in e.params]
            axes.scatter(
                [_spread(axis, entry) for entry in shown],
                [scale.clip(entry.value or 0.0) for entry in shown],
                c=[entry.number for entry in shown],
                cmap=LATE,
                norm=numbers,
                marker=marker,
                s=40,
                edgecolors=INK,
                linewidths=0.4,
                zorder=3,
            )
        failed = [e for e in facts.state("failed") if axis.path in e.params]
        x = [_spread(axis, entry) for entry in failed]
        axes.scatter(x, [scale.low] * len(x), marker="X", c=RED, s=45, zorder=4, clip_on=False)
        _trend(axes, axis, facts)
        if facts.ranked and axis.path in facts.ranked[0].params:
            best = facts.ranked[0]
            best_star(axes, _spread(axis, best), scale.clip(best.value or 0.0))
        parameter_axis(axes, axis)
        scale.limit(axes, note=index == 0)
        if index % columns == 0:
            axes.set_ylabel(value_label(facts))
        else:
            axes.tick_params(labelleft=False)
    return figure


def _trend(axes: Axes, axis: Axis, facts: Facts) -> None:
    """The median of neighbouring complete trials, or of each choice."""
    shown = [e for e in facts.state("complete") if axis.path in e.params]
    if len(shown) < _SMOOTH_FROM:
        return
    points = sorted((axis.at(e.params[axis.path]), e.value or 0.0) for e in shown)
    places = sorted({at for at, _ in points})
    if axis.labels or (axis.countable and not axis.log):
        for place in places:
            median = np.median([value for at, value in points if at == place])
            axes.plot([place - 0.3, place + 0.3], [median] * 2, c=ORANGE, lw=2.2)
        return
    around = max(2, len(points) // 10)
    windows = [points[max(0, i - around) : i + around + 1] for i in range(len(points))]
    x = [at for at, _ in points]
    axes.plot(x, [float(np.median([v for _, v in w])) for w in windows], c=ORANGE, lw=2.2, zorder=2)


def _spread(axis: Axis, entry: Entry) -> float:
    """Where a trial stands on `axis`; trials with one choice stand side by side."""
    aside = ((entry.number * 0.618) % 1 - 0.5) * 0.4 if axis.labels else 0.0
    return axis.at(entry.params[axis.path]) + aside


@styled
def parallel(facts: Facts) -> Figure:
    """Every complete trial as a line through its parameters to its value."""
    figure = blank(
        "Parallel coordinates",
        "A line is a trial: the darker, the better; the best three in bold",
        max(9.0, 1.7 * (len(facts.steady) + 1)),
    )
    axes = figure.add_subplot()
    whole = [e for e in facts.ranked if all(axis.path in e.params for axis in facts.steady)]
    if not whole:
        say(axes, "No trial is complete yet.")
        return figure
    scale = Scale.of([entry.value or 0.0 for entry in whole])
    norm, colours = Normalize(scale.low, scale.high), mpl.colormaps[value_map(facts)]
    for place, entry in reversed(list(enumerate(whole))):
        value = scale.clip(entry.value or 0.0)
        heights = [axis.share(entry.params[axis.path]) for axis in facts.steady]
        axes.plot(
            range(len(heights) + 1),
            [*heights, norm(value)],
            color=colours(norm(value)),
            lw=2.6 if place < 3 else 1.1,
            alpha=1.0 if place < 3 else 0.65,
            zorder=3 + (place < 3),
        )
    for index, axis in enumerate(facts.steady):
        _upright(axes, index, [(axis.share(tick), text) for tick, text in _ticks(axis)])
    values = np.linspace(scale.low, scale.high, 5)
    _upright(axes, len(facts.steady), [(float(norm(value)), f"{value:.4g}") for value in values])
    names = [
        axis.path.replace(".", ".\n") + ("\n(log)" if axis.log else "") for axis in facts.steady
    ]
    axes.set_xticks(range(len(names) + 1), [*names, facts.metric.replace(" ", "\n")])
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set_yticks([])
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(-0.15, len(names) + 0.35)
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure


def _upright(axes: Axes, x: float, ticks: list[tuple[float, str]]) -> None:
    axes.plot([x, x], [0, 1], color=MUTED, lw=1.2, zorder=5)
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    for height, text in ticks:
        axes.plot([x - 0.02, x + 0.02], [height] * 2, color=MUTED, lw=1.2, zorder=5)
        axes.text(x + 0.04, height, text, size=9, va="center", zorder=6, bbox=box)


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    """Values along `axis` as stored, with their text."""
    if axis.labels:
        return list(zip(axis.stored, axis.labels, strict=True))  # type: ignore[arg-type]
    if axis.low == axis.high:
        return [(axis.low, f"{axis.low:.3g}")]
    spaced = np.geomspace if axis.log else np.linspace
    values = [float(value) for value in spaced(axis.low, axis.high, 5)]
    if axis.integer:
        values = sorted({float(round(value)) for value in values})
    return [(value, f"{value:.6g}" if axis.integer else f"{value:.3g}") for value in values]


@styled
def contour(facts: Facts) -> Figure:
    """Value over pairs of the most important parameters, interpolated between trials."""
    shares = measured(facts).shares
    axes_by_weight = sorted(facts.axes, key=lambda axis: -shares.get(axis.path, 0.0))
    pairs = list(combinations(axes_by_weight[:3], 2))
    about = "Dots are trials; the darker, the better"
    figure = blank("Two parameters together", about, 9 if len(pairs) < 2 else 13, 5.2)
    whole = facts.state("complete")
    if not pairs or not whole:
        text = "Only one parameter varies." if not pairs else "No trial is complete yet."
        say(figure.add_subplot(), text)
        return figure
    scale = Scale.of([entry.value or 0.0 for entry in whole])
    norm = Normalize(scale.low, scale.high)
    for index, (across, up) in enumerate(pairs, start=1):
        axes = figure.add_subplot(1, len(pairs), index)
        shown = [e for e in whole if across.path in e.params and up.path in e.params]
        _surface(axes, across, up, shown, scale, value_map(facts))
        axes.scatter(
            [_spread(across, e) for e in shown],
            [_spread(up, e) for e in shown],
            c=[scale.clip(e.value or 0.0) for e in shown],
            cmap=value_map(facts),
            norm=norm,
            s=38,
            edgecolors="white",
            linewidths=0.9,
            zorder=3,
        )
        best = facts.ranked[0]
        if best in shown:
            best_star(axes, _spread(across, best), _spread(up, best))
        parameter_axis(axes, across)
        parameter_axis(axes, up, "y")
        axes.grid(False)
    bar = figure.colorbar(ScalarMappable(norm, value_map(facts)), ax=figure.axes, pad=0.02)
    bar.set_label(value_label(facts))
    bar.outline.set_edgecolor(FAINT)
    return figure


def _surface(
    axes: Axes, across: Axis, up: Axis, shown: list[Entry], scale: Scale, colours: str
) -> None:
    """The values between the trials, where both axes are numbers and there are points enough."""
    if across.labels or up.labels:
        return
    x = [across.share(e.params[across.path]) for e in shown]
    y = [up.share(e.params[up.path]) for e in shown]
    if len(set(zip(x, y, strict=True))) < 6:
        return
    try:  # neighbours by their place on the axes, not by value: a log axis is none otherwise
        triangles = Triangulation(x, y).triangles
    except (RuntimeError, ValueError):  # all on one line
        return
    mesh = Triangulation(
        [across.at(e.params[across.path]) for e in shown],
        [up.at(e.params[up.path]) for e in shown],
        triangles,
    )
    values = [scale.clip(e.value or 0.0) for e in shown]
    levels = np.linspace(scale.low, scale.high, 13)
    axes.tricontourf(mesh, values, levels=levels, cmap=colours, alpha=0.75)
