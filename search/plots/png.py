"""Figures as pictures, drawn with matplotlib, without a browser."""

import math
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, NullLocator

from search.plots.marks import Bars, Dots, Line, Mark, Parallel, Plot, Side, Surface, Words
from search.plots.style import INK, MUTED

_RC: dict[Any, Any] = {
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": "#8794a1",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e8ecf0",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
}
_ARROW: dict[str, Any] = {
    "arrowstyle": "-|>,head_width=0.2,head_length=0.3",
    "shrinkA": 0,
    "shrinkB": 0,
    "connectionstyle": "arc3,rad=-0.2",
    "path_effects": [withStroke(linewidth=3, foreground="white")],
}
_PLACES: dict[str, dict[str, Any]] = {
    "right": {"xytext": (4, 0), "va": "center", "size": 9},
    "left": {"xytext": (-4, 0), "va": "center", "ha": "right", "size": 9},
    "above": {"xytext": (7, 5), "size": 9},
}
_BOLD = 3  # so many of the best rows of parallel coordinates stand out
_TILT_FROM = 8.0  # letters of tick texts on an inch from which they would touch

styled = mpl.rc_context(_RC)
"""Decorates what draws a figure in this style."""


def blank(title: str, about: str, width: float, height: float) -> Figure:
    """An empty figure, `width` x `height` inches, under a title and a line that says how to read it."""
    figure = Figure(figsize=(width, height))
    figure.get_layout_engine().set(rect=(0.01, 0.01, 0.98, 1 - 0.78 / height))  # type: ignore[union-attr, call-arg]
    figure.text(0.16 / width, 1 - 0.16 / height, title, size=14, weight="bold", va="top")
    figure.text(0.16 / width, 1 - 0.46 / height, about, size=10, color=MUTED, va="top")
    return figure


@styled
def draw(plot: Plot) -> Figure:
    """`plot` as a picture."""
    figure = blank(plot.title, plot.about, plot.width, plot.height)
    if not plot.panels:
        figure.text(0.5, 0.45, plot.empty, ha="center", color=MUTED, size=12)
        return figure
    rows, columns = plot.grid
    colours = ScalarMappable()
    if plot.colours:
        steps = LinearSegmentedColormap.from_list("steps", list(plot.colours.steps))
        colours = ScalarMappable(Normalize(plot.colours.low, plot.colours.high), steps)
    for index, panel in enumerate(plot.panels):
        axes = figure.add_subplot(rows, columns, index + 1)
        if isinstance(panel, Parallel):
            _parallel(axes, panel, colours)
            continue
        _side(axes, "x", panel.across, _TILT_FROM * plot.width / columns)
        _side(axes, "y", panel.up)
        for order, mark in enumerate(panel.marks, start=2):
            _mark(axes, mark, colours, order)
        if plot.shared and index % columns:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
    if plot.colours and plot.colours.label:
        figure.colorbar(colours, ax=figure.axes, pad=0.02, label=plot.colours.label)
    drawn = [axes.get_legend_handles_labels() for axes in figure.axes]
    known = {name: handle for pairs in drawn for handle, name in zip(*pairs, strict=True)}
    names = [mark.name for mark in plot.named]
    handles = [known[name] for name in names]
    if plot.legend:
        figure.legend(handles[::-1], names[::-1], loc="outside right upper", title=plot.legend)
    elif names:
        figure.legend(
            handles, names, loc="upper right", ncols=5, columnspacing=1.2, handletextpad=0.4
        )
    return figure


def _side(axes: Axes, which: str, side: Side, room: float = math.inf) -> None:
    """Label, scale and ticks of `side`; texts of more than `room` letters in all are tilted."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}label": side.label, f"{which}scale": "log" if side.log else "linear"})
    if side.limits is not None:
        axes.set(**{f"{which}lim": side.limits})
    if side.ticks:
        axis.set_ticks(list(side.ticks), list(side.ticks.values()))
        axis.set_minor_locator(NullLocator())
        axis.set_tick_params(rotation=30 if sum(map(len, side.ticks.values())) > room else 0)
    elif side.whole:
        axis.set_major_locator(MaxNLocator(integer=True))


def _mark(axes: Axes, mark: Mark, colours: ScalarMappable, order: int) -> None:
    look: dict[str, Any] = {"zorder": order, "label": mark.name or None}
    match mark:
        case Dots():
            if not isinstance(mark.colour, str):
                look |= {"cmap": colours.cmap, "norm": colours.norm}
            look |= {"s": mark.size**2, "c": mark.colour, "marker": mark.symbol}
            look |= {"edgecolors": mark.edge, "linewidths": 0.6, "clip_on": False}
            axes.scatter(*zip(*mark.points, strict=True), **look)
        case Line(arrow=True):
            arrow = _ARROW | {"color": mark.colour, "lw": mark.width}
            axes.annotate("", mark.points[1], mark.points[0], arrowprops=arrow, zorder=order)
        case Line():
            look |= {"color": mark.colour, "lw": mark.width, "ls": mark.dash}
            look |= {"drawstyle": "steps-post" if mark.stepped else "default"}
            axes.plot(*zip(*mark.points, strict=True), **look)
        case Bars():
            look |= {"color": mark.colour, "hatch": mark.hatch, "edgecolor": "white", "lw": 0.8}
            starts = [start for start, _ in mark.spans]
            axes.barh(mark.lanes, [b - a for a, b in mark.spans], 0.72, starts, **look)
            inside: dict[str, Any] = {"ha": "center", "va": "center", "size": 8, "color": "white"}
            for text, lane, (a, b) in zip(mark.texts, mark.lanes, mark.spans, strict=False):
                if text:
                    axes.text((a + b) / 2, lane, text, zorder=order + 1, clip_on=True, **inside)
        case Words():
            look = {"textcoords": "offset points", "color": mark.colour, **_PLACES[mark.place]}
            for at, text in zip(mark.points, mark.texts, strict=True):
                axes.annotate(text, at, zorder=order, **look)
        case Surface():
            look |= {"cmap": colours.cmap, "norm": colours.norm, "alpha": 0.75, "snap": True}
            axes.pcolormesh(mark.x, mark.y, mark.values_YxX, **look)


def _parallel(axes: Axes, panel: Parallel, colours: ScalarMappable) -> None:
    """Uprights at 0, 1, 2 ..., each from 0 to 1, and the rows from one to the next."""
    shares = [(LogNorm if side.log else Normalize)(*(side.limits or ())) for side in panel.sides]
    tints = colours.to_rgba(np.array([row[-1] for row in panel.rows]))
    for place, row in reversed(list(enumerate(panel.rows))):
        heights = [share(value) for share, value in zip(shares, row, strict=True)]
        width, opacity, order = (2.6, 1.0, 4) if place < _BOLD else (1.1, 0.65, 3)
        axes.plot(heights, color=tints[place], lw=width, alpha=opacity, zorder=order)
    upright: dict[str, Any] = {"color": MUTED, "lw": 1.2, "zorder": 5}
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}
    for x, (side, share) in enumerate(zip(panel.sides, shares, strict=True)):
        axes.plot([x, x], [0, 1], **upright)
        for value, text in side.ticks.items():
            axes.plot([x - 0.02, x + 0.02], [share(value)] * 2, **upright)
            axes.text(x + 0.04, share(value), text, size=9, va="center", zorder=6, bbox=box)
    names = [side.label.replace(".", ".\n").replace(" ", "\n") for side in panel.sides]
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set(yticks=[], ylim=(-0.03, 1.03), xlim=(-0.15, len(names) - 0.65), frame_on=False)
    axes.grid(False)
