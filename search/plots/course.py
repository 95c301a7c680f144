"""How the study went: its values, its curves, and what accuracy cost."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from search.facts import Facts, in_words
from search.leaderboard import counts
from search.plots.style import (
    COLOURS,
    FAINT,
    GREEN,
    INK,
    MARKERS,
    Scale,
    best_star,
    blank,
    say,
    styled,
    time_unit,
    value_label,
)
from search.ranking import Ranking
from search.study import Entry

NOTHING = "No trial has ended yet."
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


@styled
def history(facts: Facts) -> Figure:
    """Every trial's value in the order of the trials, and the best so far."""
    figure = blank("Optimization history", f"{len(facts.entries)} trials: {counts(facts.entries)}")
    axes = figure.add_subplot()
    failed = facts.state("failed")
    if not facts.valued and not failed:
        say(axes, NOTHING)
        return figure
    scale = Scale.of_study(facts)
    for state in ("complete", "pruned"):
        shown = [entry for entry in facts.valued if entry.state == state]
        if shown:
            numbers = [entry.number for entry in shown]
            values = [scale.clip(entry.value or 0.0) for entry in shown]
            _dots(axes, numbers, values, state)
    if failed:
        _dots(axes, [entry.number for entry in failed], [scale.low] * len(failed), "failed")
    if steps := best_so_far(facts):
        last = max(entry.number for entry in facts.entries)
        numbers, values = [*(n for n, _ in steps), last], [*(v for _, v in steps), steps[-1][1]]
        axes.step(numbers, values, where="post", color=INK, lw=1.6, label="best so far", zorder=2)
        best_star(axes, facts.ranked[0].number, scale.clip(facts.ranked[0].value or 0.0))
    scale.limit(axes)
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(value_label(facts))
    _legend(figure)
    return figure


@styled
def learning_curves(facts: Facts) -> Figure:
    """The best ten trials' curves over those of all others."""
    metric = facts.objective.metric
    loss = metric.replace("accuracy", "loss")
    panels = [metric] if loss == metric else [metric, loss]
    best = facts.ranked[:BEST]
    title = f"Learning curves of the best {len(best)}" if len(best) > 1 else "Learning curves"
    about = "In colour the best trials, the darker the better; in grey all others"
    if facts.promoted:
        about = (
            "The best in colour, darker is better. After a dot the network went on in a new trial"
        )
    figure = blank(title, about, 10)
    for index, name in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), index)
        if not any(entry.history for entry in facts.entries):
            say(axes, "No epoch has ended yet.")
            continue
        for entry in facts.entries:
            if entry not in best and entry.history:
                _curve(
                    axes,
                    facts,
                    entry,
                    name,
                    color=FAINT,
                    lw=0.9,
                    ls="--" if entry.state == "failed" else "-",
                )
        colours = mpl.colormaps["viridis"].resampled(max(len(best), 2))
        for place, entry in reversed(list(enumerate(best))):
            label = f"{entry.number}: {entry.value:.4f}"
            _curve(
                axes,
                facts,
                entry,
                name,
                color=colours(place * 0.9 / max(len(best) - 1, 1)),
                lw=1.8,
                label=label,
            )
        settled = settled_values(facts, name)
        if settled:
            scale = Scale.of(settled)
            axes.set_ylim(scale.low, scale.high)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(in_words(name))
        if index == 1 and best:
            handles, labels = axes.get_legend_handles_labels()
            figure.legend(
                handles[::-1], labels[::-1], loc="outside right upper", title=f"trial: {metric}"
            )
    return figure


def settled_values(facts: Facts, metric: str) -> list[float]:
    """Values of `metric` without those of first epochs, which are far from all others."""
    return [
        epoch.metrics[metric]
        for entry in facts.entries
        for epoch in entry.history
        if metric in epoch.metrics and (epoch.epoch > 1 or len(entry.history) == 1)
    ]


def _curve(axes: Axes, facts: Facts, entry: Entry, metric: str, **look: Any) -> None:
    points = [(e.epoch, e.metrics[metric]) for e in facts.curve(entry) if metric in e.metrics]
    if not points:
        return
    axes.plot(*zip(*points, strict=True), marker="." if len(points) == 1 else None, **look)
    before = len(points) - len(entry.history)
    if before > 0 and "label" in look:
        axes.plot(*points[before - 1], marker="o", ms=4.5, mec="white", color=look["color"])


@styled
def cost(facts: Facts) -> Figure:
    """Value against training time, and the trials that none beats in both."""
    figure = blank(
        f"{facts.metric.capitalize()} against training time",
        "The line joins the trials that no other beats in both",
    )
    axes = figure.add_subplot()
    trained = [entry for entry in facts.valued if entry.result is not None]
    if not trained:
        say(axes, NOTHING)
        return figure
    scale = Scale.of_study(facts)
    unit, length = time_unit(max(facts.train_seconds(entry) for entry in trained))
    for state in ("complete", "pruned"):
        shown = [entry for entry in trained if entry.state == state]
        if shown:
            times = [facts.train_seconds(entry) / length for entry in shown]
            _dots(axes, times, [scale.clip(entry.value or 0.0) for entry in shown], state)
    front = unbeaten(facts)
    if front:
        points = [(facts.train_seconds(e) / length, scale.clip(e.value or 0.0)) for e in front]
        axes.step(*zip(*points, strict=True), where="post", color=GREEN, lw=1.6, label="unbeaten")
        for entry, point in list(zip(front, points, strict=True))[-6:]:
            axes.annotate(str(entry.number), point, (5, 5), textcoords="offset points", size=9)
        best_star(
            axes,
            facts.train_seconds(facts.ranked[0]) / length,
            scale.clip(facts.ranked[0].value or 0.0),
        )
    scale.limit(axes)
    times = [facts.train_seconds(entry) for entry in trained]
    if min(times) > 0 and max(times) / min(times) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(f"training time in {unit}")
    axes.set_ylabel(value_label(facts))
    _legend(figure)
    return figure


def unbeaten(facts: Facts) -> list[Entry]:
    """The complete trials that no other is both faster and better than, fastest first."""
    front: list[Entry] = []
    for entry in sorted(
        facts.ranked, key=facts.train_seconds
    ):  # stable: of equals the better first
        before = front[-1].value if front else None
        if entry.value is not None and facts.objective.better(entry.value, before):
            front.append(entry)
    return front


def _dots(axes: Axes, x: Sequence[float], y: Sequence[float], state: str) -> None:
    axes.scatter(
        x,
        y,
        s=42,
        c=COLOURS[state],
        marker=MARKERS[state],
        edgecolors="white",
        linewidths=0.6,
        zorder=4,
        label=state,
        clip_on=False,
    )


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", ncols=5, columnspacing=1.2, handletextpad=0.4)
