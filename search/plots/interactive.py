"""Figures for a page, as plotly.js takes them: they answer to the mouse, and need no network.

Each panel is a figure of its own, so that a narrow page can put one below the other. Legends are the page's.
"""

import html
import math
from collections.abc import Sequence
from typing import Any

from search.plots.marks import (
    Bars,
    Dots,
    Line,
    Mark,
    Panel,
    Parallel,
    Plot,
    Points,
    Side,
    Surface,
    Words,
)
from search.plots.style import INK

_SYMBOLS = {"o": "circle", "v": "triangle-down", "X": "x", "*": "star"}
_DASHES = {"-": "solid", "--": "dash", ":": "dot"}
_HATCHES = {"": "", "//": "/", "xx": "x"}
_PLACES = {"right": "middle right", "left": "middle left", "above": "top right"}
_PIXELS = 4 / 3  # on a point
_INCH = 90  # pixels on an inch of a picture's height: there is no title in it
_LOWEST = 330  # pixels, where there are rows of panels: as the label of an upward side is long
_TEXT = 13
_SMALL = 11  # pixels: nothing is smaller
_LETTER = 6.4  # pixels, of a text of 12

Drawn = dict[str, Any]
"""A figure: its `data` and its `layout`."""


def draw(plot: Plot) -> list[Drawn]:
    """The panels of `plot`, without its title, its legend and the line on how to read it."""
    rows, _ = plot.grid
    height = _INCH * plot.height if rows == 1 else max(_LOWEST, _INCH * plot.height / rows)
    layout: dict[str, Any] = {
        "height": round(height),
        "margin": {"l": 55, "r": 28, "t": 15, "b": 45},
        "font": {"family": "system-ui, sans-serif", "size": _TEXT, "color": INK},
        "hoverlabel": {"bgcolor": "white", "font": {"size": 12}, "align": "left"},
        "hovermode": "closest",
        "barmode": "overlay",
        "uniformtext": {"minsize": _SMALL, "mode": "hide"},
        "showlegend": False,
    }
    if plot.colours:
        count = len(plot.colours.steps) - 1
        scale = [[step / count, colour] for step, colour in enumerate(plot.colours.steps)]
        limits = {"cmin": plot.colours.low, "cmax": plot.colours.high}
        layout["coloraxis"] = {"colorscale": scale, "showscale": False, **limits}
    return [_panel(panel, layout) for panel in plot.panels]


def least_width(panel: Panel | Parallel) -> int:
    """Pixels below which the texts of a panel would touch each other."""
    if isinstance(panel, Panel):
        return 0
    return round(len(panel.sides) * _widest(panel))


def _widest(panel: Parallel) -> float:
    return _LETTER * max(len(side.label) for side in panel.sides) + 12


def _panel(panel: Panel | Parallel, layout: dict[str, Any]) -> Drawn:
    if isinstance(panel, Parallel):  # it has axes of its own
        aside = round(_widest(panel) / 2)
        margin = {"l": aside, "r": aside, "t": 40, "b": 15}
        return {"data": [_parallel(panel)], "layout": {**layout, "margin": margin}}
    traces = [{"name": mark.name, **_trace(mark, panel.across.label)} for mark in panel.marks]
    sides = {"xaxis": _side(panel.across), "yaxis": _side(panel.up)}
    return {"data": traces, "layout": {**layout, **sides}}


def _side(side: Side) -> dict[str, Any]:
    look: dict[str, Any] = {
        "title": {"text": side.label, "font": {"size": _TEXT}, "standoff": 12},
        "zeroline": False,
        "automargin": True,
        "gridcolor": "#e8ecf0",
        "ticklabelstandoff": 4,
    }
    if side.log:
        look |= {"type": "log", "exponentformat": "none"}
    if side.limits is not None:
        low, high = side.limits
        look["range"] = _places(side.limits, side)
        if side.whole and high - low < 10:
            look["dtick"] = 1
    if side.ticks:
        look |= {"tickvals": list(side.ticks), "ticktext": list(side.ticks.values())}
    return look


def _places(values: Sequence[float], side: Side) -> list[float]:
    """`values` as plotly has them on an axis: their powers of ten where it is logarithmic."""
    return [math.log10(value) for value in values] if side.log else list(values)


def _trace(mark: Mark, across: str) -> dict[str, Any]:
    """The trace of `mark`; `across`: what the mouse calls its x."""
    match mark:
        case Dots():
            edge = {"color": mark.edge, "width": 0.8}
            look = {"symbol": _SYMBOLS[mark.symbol], "size": mark.size * _PIXELS, "line": edge}
            look |= {"color": mark.colour}
            if not isinstance(mark.colour, str):
                look |= {"coloraxis": "coloraxis"}
            at = {"mode": "markers", "marker": look, "cliponaxis": False}
            return {"type": "scatter", **_at(mark.points), **at, **_tips(mark.tips)}
        case Line():
            look = {"color": mark.colour, "width": mark.width, "dash": _DASHES[mark.dash]}
            look |= {"shape": "hv" if mark.stepped else "linear"}
            at = {"mode": "lines", "line": look}
            if mark.arrow:
                head = {"symbol": "arrow", "size": [0, 12], "angleref": "previous"}
                at |= {"mode": "lines+markers", "marker": {**head, "color": mark.colour}}
            # A brace would begin a place of plotly's template.
            tip = _bold(mark.tip).replace("{", "&#123;")
            shown = f"{across} %{{x}}: %{{y:.4f}}<br>{tip}<extra></extra>"
            hover = {"hovertemplate": shown} if mark.tip else {"hoverinfo": "skip"}
            return {"type": "scatter", **_at(mark.points), **at, **hover}
        case Bars():
            look = {"color": mark.colour, "pattern": {"shape": _HATCHES[mark.hatch]}}
            look |= {"line": {"color": "white", "width": 0.8}}
            starts, lengths = zip(*((a, b - a) for a, b in mark.spans), strict=True)
            at = {"y": list(mark.lanes), "base": starts, "x": lengths, "width": 0.72}
            at |= {"orientation": "h", "marker": look}
            if mark.texts:
                inside = {"textposition": "inside", "insidetextanchor": "middle", "textangle": 0}
                at |= {"text": list(mark.texts), "textfont": {"color": "white"}, **inside}
            return {"type": "bar", **at, **_tips(mark.tips)}
        case Words():
            look = {"textposition": _PLACES[mark.place], "hoverinfo": "skip"}
            look |= {"textfont": {"color": mark.colour, "size": _SMALL}, "cliponaxis": False}
            texts = [f"\u2002{text}\u2002" for text in mark.texts]
            return {"type": "scatter", "mode": "text", "text": texts, **_at(mark.points), **look}
        case Surface():
            look = {"coloraxis": "coloraxis", "opacity": 0.75, "hoverinfo": "skip"}
            return {"type": "heatmap", "x": mark.x, "y": mark.y, "z": mark.values_YxX, **look}


def _at(points: Points) -> dict[str, list[float]]:
    return {"x": [x for x, _ in points], "y": [y for _, y in points]}


def _tips(tips: Sequence[str]) -> dict[str, Any]:
    """What the mouse shows of each mark; nothing where there are no tips."""
    if not tips:
        return {"hoverinfo": "skip"}
    texts = [_bold(tip) for tip in tips]
    return {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"}


def _bold(tip: str) -> str:
    """`tip` as HTML, its first line bold."""
    first, *rest = html.escape(tip).split("\n")
    return "<br>".join([f"<b>{first}</b>", *rest])


def _parallel(panel: Parallel) -> dict[str, Any]:
    dimensions = [
        {
            "label": side.label,
            "values": _places(values, side),
            "range": _places(side.limits or (), side),
            "tickvals": _places(list(side.ticks), side),
            "ticktext": list(side.ticks.values()),
        }
        for side, values in zip(panel.sides, zip(*panel.rows, strict=True), strict=True)
    ]
    line = {"color": [row[-1] for row in panel.rows], "coloraxis": "coloraxis"}
    fonts = {"labelfont": {"size": 12}, "tickfont": {"size": _SMALL}, "rangefont": {"size": _SMALL}}
    return {"type": "parcoords", "dimensions": dimensions, "line": line, **fonts}
