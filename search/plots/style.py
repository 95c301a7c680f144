"""How figures look: one style, colours that the colour-blind tell apart (Okabe and Ito 2008)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.facts import Axis, Facts

INK, MUTED, FAINT = "#1b2733", "#5c6b7a", "#c3ccd5"
BLUE, ORANGE, GREEN, RED, YELLOW = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#f0e442"
COLOURS = {"complete": BLUE, "pruned": ORANGE, "failed": RED, "running": FAINT}
MARKERS = {"complete": "o", "pruned": "v", "failed": "X"}
LATE = "cividis_r"  # by trial number: light first, dark last

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

_ENOUGH = 5
"""Values from which a few far away ones can be told."""

Draw = Callable[[Facts], Figure]


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """`draw` in this style."""

    @wraps(draw)
    def drawn(*arguments: Any) -> Figure:
        with mpl.rc_context(_RC):
            return draw(*arguments)

    return drawn


def blank(title: str, about: str, width: float = 9, height: float = 5.2) -> Figure:
    """An empty figure, `width` x `height` inches, under a title and a line that says how to read it."""
    figure = Figure(figsize=(width, height))
    figure.get_layout_engine().set(rect=(0.01, 0.01, 0.98, 1 - 0.78 / height))  # type: ignore[union-attr, call-arg]
    figure.text(0.16 / width, 1 - 0.16 / height, title, size=14, weight="bold", va="top")
    figure.text(0.16 / width, 1 - 0.46 / height, about, size=10, color=MUTED, va="top")
    return figure


def say(axes: Axes, text: str) -> None:
    """`text` where there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=MUTED, size=12)


@dataclass(frozen=True)
class Scale:
    """The part of an axis that shows most values well: a few far away ones are moved to its edge."""

    low: float
    high: float
    outside: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Scale":
        """Around `values`, at least one."""
        array = np.array(values)
        first, third = np.percentile(array, [25, 75])
        reach = 3 * (third - first)
        near = array[(array >= first - reach) & (array <= third + reach)]
        if len(array) < _ENOUGH or len(near) < 0.7 * len(array):
            near = array
        margin = 0.07 * (near.max() - near.min()) or 0.01 * abs(near.max()) or 0.01
        outside = len(array) - len(near)
        return cls(float(near.min() - margin), float(near.max() + margin), outside)

    @classmethod
    def of_study(cls, facts: Facts) -> "Scale":
        """Around the complete trials, as far as they are enough; values of pruned ones may lie anywhere."""
        values = [entry.value or 0.0 for entry in facts.valued]
        complete = [entry.value or 0.0 for entry in facts.ranked]
        found = cls.of((complete if len(complete) >= _ENOUGH else values) or [0.0, 1.0])
        outside = sum(not found.low <= value <= found.high for value in values)
        return cls(found.low, found.high, outside)

    def clip(self, value: float) -> float:
        return min(max(value, self.low), self.high)

    @property
    def limits(self) -> tuple[float, float]:
        """Of an axis, with room for the marks at its lower edge, which would hide the labels below."""
        return self.low - 0.04 * (self.high - self.low), self.high

    @property
    def remark(self) -> str:
        """How many marks stand at the edge although their values lie beyond it; empty for none."""
        trials = "trial lies" if self.outside == 1 else "trials lie"
        return f"{self.outside} {trials} outside, drawn at the edge" if self.outside else ""

    def limit(self, axes: Axes, note: bool = True) -> None:
        """Make it the y axis; `note`: say where it leaves any out."""
        axes.set_ylim(*self.limits)
        if self.remark and note:
            place = axes.transAxes
            axes.text(0.995, 0.075, self.remark, transform=place, ha="right", size=9, color=MUTED)


def value_label(facts: Facts) -> str:
    """The objective's name on an axis, and where the good end is."""
    return f"{facts.metric} ({'higher' if facts.objective.maximizes else 'lower'} is better)"


def value_map(facts: Facts) -> str:
    """A colour map for objective values: the darker the better."""
    return "viridis_r" if facts.objective.maximizes else "viridis"


def parameter_axis(axes: Axes, axis: Axis, side: str = "x") -> None:
    """Label, scale and ticks for `axis` on the x or y side."""
    ours = axes.xaxis if side == "x" else axes.yaxis
    ours.set_label_text(axis.path + (" (log scale)" if axis.log else ""))
    set_scale, set_limits = (
        (axes.set_xscale, axes.set_xlim) if side == "x" else (axes.set_yscale, axes.set_ylim)
    )
    if axis.labels:
        ours.set_ticks(range(len(axis.labels)), axis.labels)
        if side == "x" and sum(map(len, axis.labels)) > 40:
            axes.tick_params(axis="x", rotation=30)
        set_limits(axis.low, axis.high)
    elif axis.log:
        set_scale("log")
        ratio = (axis.high / axis.low) ** 0.03
        set_limits(axis.low / ratio, axis.high * ratio)
    else:
        margin = 0.03 * (axis.high - axis.low) or 0.5
        set_limits(axis.low - margin, axis.high + margin)
        if axis.integer:
            ours.set_major_locator(MaxNLocator(integer=True))


def best_star(axes: Axes, x: float, y: float, label: str | None = "best") -> None:
    """A star over the best trial."""
    axes.scatter([x], [y], s=210, marker="*", c=YELLOW, edgecolors=INK, zorder=9, label=label)


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which `seconds` reads best, and its length in seconds."""
    if seconds < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)
