"""Figures for a page, drawn with plotly: they answer to the mouse, and need no network."""

import html
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from search.plots.marks import (
    Bars,
    Colours,
    Dots,
    Line,
    Mark,
    Parallel,
    Plot,
    Points,
    Side,
    Surface,
    Words,
)
from search.plots.style import INK, MUTED

_SYMBOLS = {"o": "circle", "v": "triangle-down", "X": "x", "*": "star"}
_DASHES = {"-": "solid", "--": "dash", ":": "dot"}
_HATCHES = {"": "", "//": "/", "xx": "x"}
_PLACES = {"at": "middle center", "right": "middle right", "above": "top right"}
_PIXELS = 4 / 3  # on a point
_INCH = 90  # pixels on an inch of a figure's height: there is no title in it
_ABOVE = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}


def draw(plot: Plot) -> go.Figure:
    """`plot` without its title and the line on how to read it, which are the page's."""
    rows, columns = plot.grid
    spacing = 0.03 if plot.shared else 0.3 / columns
    figure = make_subplots(rows, columns, shared_yaxes=plot.shared, horizontal_spacing=spacing)
    for index, panel in enumerate(plot.panels):
        if isinstance(panel, Parallel):  # it has axes of its own
            figure = go.Figure(_parallel(panel))
            continue
        place = {"row": index // columns + 1, "col": index % columns + 1}
        figure.update_xaxes(_side(panel.across), **place)
        figure.update_yaxes(_side(panel.up), **place)
        if plot.shared and index % columns:
            figure.update_yaxes(title=None, **place)
        for mark in panel.marks:
            legend = {"legendgroup": mark.name, "showlegend": bool(mark.name) and index == 0}
            trace = _trace(mark, panel.across.label).update(name=mark.name, **legend)
            figure.add_trace(trace, **place)
    beside = {"title": plot.legend, "traceorder": "reversed"}
    return figure.update_layout(
        template="plotly_white",
        height=_INCH * plot.height,
        margin={"l": 80, "r": 30, "t": 45, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"font_color": MUTED, **(beside if plot.legend else _ABOVE)},
        hoverlabel={"bgcolor": "white", "font_size": 12, "align": "left"},
        barmode="overlay",
        coloraxis=_colours(plot.colours) if plot.colours else None,
    )


def _side(side: Side) -> dict[str, Any]:
    look: dict[str, Any] = {"title": {"text": side.label, "font_size": 13}, "zeroline": False}
    if side.log:
        look |= {"type": "log", "exponentformat": "none"}
    if side.limits is not None:
        low, high = side.limits
        look["range"] = _places(side.limits, side)
        if side.whole and high - low < 10:
            look["dtick"] = 1
        if side.log:
            look["dtick"] = "D2" if high < 1e4 * low else 1
    if side.ticks:
        look |= {"tickvals": list(side.ticks), "ticktext": list(side.ticks.values())}
    return look


def _places(values: Sequence[float], side: Side) -> list[float]:
    """`values` as plotly has them on an axis: their powers of ten where it is logarithmic."""
    return [math.log10(value) for value in values] if side.log else list(values)


def _colours(colours: Colours) -> dict[str, Any]:
    bar = {"title": {"text": colours.label, "side": "right"}, "thickness": 14}
    shown = {"colorbar": bar, "showscale": bool(colours.label)}
    return {"colorscale": colours.name, "cmin": colours.low, "cmax": colours.high, **shown}


def _trace(mark: Mark, across: str) -> Any:
    """The trace of `mark`; `across`: what the mouse calls its x."""
    match mark:
        case Dots():
            edge = {"color": mark.edge, "width": 0.8}
            look = {"symbol": _SYMBOLS[mark.symbol], "size": mark.size * _PIXELS, "line": edge}
            look |= {"color": mark.colour}
            if not isinstance(mark.colour, str):
                look |= {"coloraxis": "coloraxis"}
            at = {"mode": "markers", "marker": look, "cliponaxis": False}
            return go.Scatter(_at(mark.points), **at, **_tips(mark.tips))
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
            return go.Scatter(_at(mark.points), **at, **hover)
        case Bars():
            look = {"color": mark.colour, "pattern_shape": _HATCHES[mark.hatch]}
            look |= {"line": {"color": "white", "width": 0.8}}
            starts, lengths = zip(*((a, b - a) for a, b in mark.spans), strict=True)
            at = {"y": mark.lanes, "base": starts, "x": lengths, "width": 0.72}
            return go.Bar(at, orientation="h", marker=look, **_tips(mark.tips))
        case Words():
            look = {"textposition": _PLACES[mark.place], "hoverinfo": "skip"}
            look |= {"textfont": {"color": mark.colour, "size": 11}}
            texts = [f" {text} " for text in mark.texts]
            return go.Scatter(_at(mark.points), mode="text", text=texts, **look)
        case Surface():
            look = {"coloraxis": "coloraxis", "opacity": 0.75, "hoverinfo": "skip"}
            return go.Heatmap(x=mark.x, y=mark.y, z=mark.values_YxX, **look)


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


def _parallel(panel: Parallel) -> go.Parcoords:
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
    room = {"x": [0, 0.95]}  # for the label of the last axis
    return go.Parcoords(dimensions=dimensions, line=line, domain=room)
