"""The figures that gain from a mouse, with plotly: every trial names itself and its parameters."""

import html
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex
from plotly.subplots import make_subplots

from search.facts import Axis, Facts, in_words
from search.importance import importance
from search.plots.course import BEST, best_so_far, settled_values
from search.plots.style import COLOURS, FAINT, INK, MUTED, YELLOW, Scale, value_label
from search.records import shown
from search.study import Entry

_SYMBOLS = {"complete": "circle", "pruned": "triangle-down", "failed": "x"}
_COLUMNS = 4


def figures(facts: Facts) -> dict[str, go.Figure]:
    """The interactive figures that this study has something to show in, by name."""
    drawn: dict[str, Callable[[Facts], go.Figure]] = {"history": history, "slices": slices}
    if facts.ranked:
        drawn["parallel_coordinates"] = parallel
        if len(facts.axes) > 1:
            drawn["contour"] = pair
    drawn["learning_curves"] = learning_curves
    return {name: draw(facts) for name, draw in drawn.items()} if facts.valued else {}


def history(facts: Facts) -> go.Figure:
    """Every trial's value in the order of the trials, and the best so far."""
    figure = go.Figure()
    scale = Scale.of_study(facts)
    for state in ("complete", "pruned", "failed"):
        entries = facts.state(state)
        if entries:
            values = [scale.low if e.value is None else scale.clip(e.value) for e in entries]
            figure.add_scatter(
                x=[entry.number for entry in entries],
                y=values,
                mode="markers",
                name=state,
                marker={"color": COLOURS[state], "symbol": _SYMBOLS[state], "size": 9},
                text=[_about(entry, facts) for entry in entries],
                hovertemplate="%{text}<extra></extra>",
            )
    if steps := best_so_far(facts):
        last = max(entry.number for entry in facts.entries)
        x, y = zip(*steps, (last, steps[-1][1]), strict=True)
        line = {"color": INK, "shape": "hv", "width": 2}
        figure.add_scatter(x=x, y=y, mode="lines", name="best so far", line=line, hoverinfo="skip")
        _star(figure, facts.ranked[0].number, facts.ranked[0], facts, scale)
    figure.update_yaxes(title=value_label(facts), range=list(scale.limits))
    figure.update_xaxes(title="trial")
    _note_edge(figure, scale)
    return _dressed(figure)


def slices(facts: Facts) -> go.Figure:
    """Value against each parameter alone."""
    columns = min(_COLUMNS, len(facts.axes))
    rows = -(-len(facts.axes) // columns)
    figure = make_subplots(rows, columns, shared_yaxes=True, horizontal_spacing=0.03)
    scale = Scale.of_study(facts)
    for index, axis in enumerate(facts.axes):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        entries = [entry for entry in facts.valued if axis.path in entry.params]
        figure.add_scatter(
            x=[axis.at(entry.params[axis.path]) for entry in entries],
            y=[scale.clip(entry.value or 0.0) for entry in entries],
            mode="markers",
            showlegend=False,
            marker={
                "color": [entry.number for entry in entries],
                "colorscale": "Cividis_r",
                "symbol": [_SYMBOLS[entry.state] for entry in entries],
                "size": 9,
                "line": {"width": 0.6, "color": INK},
            },
            text=[_about(entry, facts) for entry in entries],
            hovertemplate="%{text}<extra></extra>",
            **place,
        )
        if facts.ranked and axis.path in facts.ranked[0].params:
            best = facts.ranked[0]
            _star(figure, axis.at(best.params[axis.path]), best, facts, scale, **place)
        figure.update_xaxes(**_plotly_axis(axis), **place)
    figure.update_yaxes(range=list(scale.limits))
    figure.update_yaxes(title=value_label(facts), col=1)
    _note_edge(figure, scale)
    return _dressed(figure, 380 if rows == 1 else 300 * rows + 80)


def parallel(facts: Facts) -> go.Figure:
    """Every complete trial as a line; drag along an axis to keep only the trials in that range."""
    whole = [e for e in facts.ranked if all(axis.path in e.params for axis in facts.steady)]
    values = [entry.value or 0.0 for entry in whole]
    dimensions = []
    for axis in facts.steady:
        places = [axis.at(entry.params[axis.path]) for entry in whole]
        dimension = {"label": axis.path, "values": places, "range": [axis.low, axis.high]}
        if axis.labels:
            dimension |= {"tickvals": list(range(len(axis.labels))), "ticktext": list(axis.labels)}
        elif axis.countable:
            dimension["tickvals"] = list(range(int(axis.low), int(axis.high) + 1))
        elif axis.log:
            low, high = np.log10(axis.low), np.log10(axis.high)
            ticks = np.linspace(low, high, 5)
            dimension |= {
                "values": np.log10(places).tolist(),
                "range": [low, high],
                "tickvals": ticks.tolist(),
                "ticktext": [f"{10**tick:.2g}" for tick in ticks],
            }
        dimensions.append(dimension)
    scale = Scale.of(values or [0.0])
    dimensions.append({"label": facts.metric, "values": values})
    line = {
        "color": values,
        "colorscale": "Viridis",
        "reversescale": facts.objective.maximizes,
        "cmin": scale.low,
        "cmax": scale.high,
    }
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    return _dressed(figure, 420, {"l": 80, "r": 90, "t": 70, "b": 20})


def pair(facts: Facts) -> go.Figure:
    """Value over the two most important parameters."""
    shares = importance(facts).shares
    across, up = sorted(facts.axes, key=lambda axis: -shares.get(axis.path, 0.0))[:2]
    entries = [e for e in facts.ranked if across.path in e.params and up.path in e.params]
    values = [entry.value or 0.0 for entry in entries]
    scale = Scale.of(values or [0.0])
    figure = go.Figure()
    figure.add_scatter(
        x=[across.at(entry.params[across.path]) for entry in entries],
        y=[up.at(entry.params[up.path]) for entry in entries],
        mode="markers",
        showlegend=False,
        marker={
            "color": values,
            "colorscale": "Viridis",
            "reversescale": facts.objective.maximizes,
            "cmin": scale.low,
            "cmax": scale.high,
            "size": 13,
            "line": {"width": 0.8, "color": "white"},
            "colorbar": {"title": {"text": facts.metric, "side": "right"}, "thickness": 14},
        },
        text=[_about(entry, facts) for entry in entries],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.update_xaxes(**_plotly_axis(across))
    figure.update_yaxes(**_plotly_axis(up))
    return _dressed(figure)


def learning_curves(facts: Facts) -> go.Figure:
    """The best ten trials' curves over those of all others."""
    metric = facts.objective.metric
    best = facts.ranked[:BEST]
    colours = mpl.colormaps["viridis"]
    figure = go.Figure()
    for entry in [e for e in facts.entries if e not in best] + best[::-1]:
        points = [(e.epoch, e.metrics[metric]) for e in facts.curve(entry) if metric in e.metrics]
        if not points:
            continue
        leads = entry in best
        share = 0.9 * best.index(entry) / max(len(best) - 1, 1) if leads else 0.0
        figure.add_scatter(
            x=[epoch for epoch, _ in points],
            y=[value for _, value in points],
            mode="lines+markers" if len(points) == 1 else "lines",
            name=f"{entry.number}: {entry.value:.4f}" if leads else str(entry.number),
            showlegend=leads,
            line={
                "color": to_hex(colours(share)) if leads else FAINT,
                "width": 2.2 if leads else 1,
            },
            text=[_about(entry, facts)] * len(points),
            hovertemplate="epoch %{x}: %{y:.4f}<br>%{text}<extra></extra>",
        )
    settled = settled_values(facts, metric)
    if settled:
        scale = Scale.of(settled)
        figure.update_yaxes(range=[scale.low, scale.high])
    figure.update_xaxes(title="epoch", rangemode="tozero")
    figure.update_yaxes(title=in_words(metric))
    figure.update_layout(legend_traceorder="reversed")
    return _dressed(figure, 420)


def _star(
    figure: go.Figure, x: float, best: Entry, facts: Facts, scale: Scale, **place: int
) -> None:
    figure.add_scatter(
        x=[x],
        y=[scale.clip(best.value or 0.0)],
        mode="markers",
        name="best",
        showlegend=not place,
        marker={
            "symbol": "star",
            "size": 17,
            "color": YELLOW,
            "line": {"width": 1.2, "color": INK},
        },
        text=[_about(best, facts)],
        hovertemplate="%{text}<extra></extra>",
        **place,
    )


def _about(entry: Entry, facts: Facts) -> str:
    """What the mouse shows of a trial."""
    lines = [f"<b>trial {entry.number}</b> ({entry.state})"]
    if entry.continues is not None:
        lines.append(f"goes on from trial {entry.continues}")
    if entry.value is not None:
        lines.append(f"{facts.objective.metric} {entry.value:.4f}")
    lines += [f"{path} = {html.escape(shown(value))}" for path, value in entry.params.items()]
    return "<br>".join(lines)


def _note_edge(figure: go.Figure, scale: Scale) -> None:
    """Say it above the figure where marks stand at the edge of `scale`."""
    if scale.remark:
        place = {"x": 0, "y": 1.02, "xref": "paper", "yref": "paper"}
        figure.add_annotation(
            text=scale.remark,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 12, "color": MUTED},
            **place,
        )


def _plotly_axis(axis: Axis) -> dict[str, object]:
    look: dict[str, object] = {"title": {"text": axis.path}}
    if axis.labels:
        look |= {"tickvals": list(range(len(axis.labels))), "ticktext": list(axis.labels)}
        long = sum(map(len, axis.labels)) > 16
        return look | {"range": [axis.low, axis.high], "tickangle": -45 if long else 0}
    if axis.log:
        return look | {"type": "log", "dtick": "D2", "exponentformat": "none"}
    return look | {"dtick": 1} if axis.countable else look


def _dressed(
    figure: go.Figure, height: int = 420, margin: dict[str, int] | None = None
) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin=margin or {"l": 70, "r": 20, "t": 40, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        legend={"orientation": "v" if len(figure.data) > 6 else "h", "font_color": MUTED},
        hoverlabel={"bgcolor": "white", "font_size": 12, "align": "left"},
    )
    figure.update_traces(cliponaxis=False, selector={"mode": "markers"})
    if len(figure.data) <= 6:
        figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"})
    return figure
