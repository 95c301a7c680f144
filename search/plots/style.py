"""What all figures have in common: their colours, the axis of a parameter, the mark of a trial."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from search.analysis.facts import Axis, Facts
from search.plots.marks import Colours, Dots, Side, Symbol
from search.study.shown import shown
from search.study.vocabulary import Entry, TrialState

INK, MUTED, FAINT = "#1b2733", "#5c6b7a", "#c3ccd5"
# The colour-blind tell them apart (Okabe and Ito 2008). Each means one thing in all figures: blue a complete
# trial, by its validation rows; orange and red one that was pruned, or failed; purple the test set; green
# fresh seeds; yellow the best. Lines of ink sum trials up. Shades are for values: the darker, the better.
BLUE, ORANGE, RED, YELLOW = "#0072b2", "#e69f00", "#d55e00", "#f0e442"
PURPLE, GREEN = "#cc79a7", "#009e73"
COLOURS = {"complete": BLUE, "pruned": ORANGE, "failed": RED}
SYMBOLS: dict[TrialState, Symbol] = {"complete": "o", "pruned": "v", "failed": "X"}

NOTHING = "No trial has ended yet."

_ENOUGH = 5
"""Values from which a few far away ones can be told."""

_TICKS = 5
"""Ticks on an axis at most: in a narrow panel more would touch each other."""


def shade(share: float) -> str:
    """The colour of the best (0), of the worst (1), and between: without the yellow that is the star's."""
    return to_hex(mpl.colormaps["viridis"](0.82 * share))


@dataclass(frozen=True)
class Scale:
    """A scale holds most values; `outside`: how many lie beyond, and are drawn at its edge."""

    low: float
    high: float
    outside: int = 0

    @classmethod
    def of(cls, values: Sequence[float]) -> "Scale":
        """A scale around `values`, without what lies more than three interquartile ranges away."""
        array = np.array(values, float)
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
        """A scale around the complete trials where there are enough: pruned ones may lie anywhere."""
        values = [entry.value or 0.0 for entry in facts.valued]
        complete = [entry.value or 0.0 for entry in facts.ranked]
        found = cls.of((complete if len(complete) >= _ENOUGH else values) or [0.0, 1.0])
        outside = sum(not found.low <= value <= found.high for value in values)
        return cls(found.low, found.high, outside)

    def clip(self, entry: Entry) -> float:
        """Where the value of `entry` is drawn; at the lower edge if it has none."""
        return self.within(self.low if entry.value is None else entry.value)

    def within(self, value: float) -> float:
        """Where `value` is drawn: at the edge if it lies beyond."""
        return min(max(value, self.low), self.high)

    @property
    def remark(self) -> str:
        """How many marks stand at the edge although their values lie beyond it; empty for none."""
        trials = "trial lies" if self.outside == 1 else "trials lie"
        return f"{self.outside} {trials} outside, drawn at the edge" if self.outside else ""

    def side(self, facts: Facts) -> Side:
        """The axis of the objective."""
        better = "higher" if facts.objective.maximizes else "lower"
        return Side(f"{facts.metric} ({better} is better)", self.limits)

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of an axis, with room for the marks at its lower edge."""
        return self.low - 0.04 * (self.high - self.low), self.high

    def colours(self, facts: Facts, bar: bool = False) -> Colours:
        """Colours for objective values: the darker the better. `bar`: with a bar that explains them."""
        steps = [shade(share) for share in np.linspace(0, 1, 9)]
        if facts.objective.maximizes:
            steps.reverse()
        return Colours(steps, self.low, self.high, self.side(facts).label if bar else "")


def sentences(*parts: str) -> str:
    """Those of `parts` that say something, one after the other, without the last full stop."""
    return ". ".join(part.rstrip(".") for part in parts if part)


def beside(axis: Axis, entry: Entry) -> float:
    """Where a trial stands on `axis`; trials with one choice stand side by side."""
    aside = ((entry.number * 0.618) % 1 - 0.5) * 0.4 if axis.labels else 0.0
    return axis.at(entry.params[axis.path]) + aside


def parameter_side(axis: Axis) -> Side:
    """The axis of a parameter: its choices by name, or its range."""
    if axis.labels:
        return Side(axis.path, (axis.low, axis.high), ticks=dict(enumerate(axis.labels)))
    label = axis.path + (" (log scale)" if axis.log else "")
    return number_side(label, axis.low, axis.high, axis.log, axis.integer)


def number_side(
    label: str, low: float, high: float, log: bool = False, whole: bool = False
) -> Side:
    """An axis of numbers, with a margin."""
    if log:
        ratio = (high / low) ** 0.03
        return Side(label, (low / ratio, high * ratio), log, ticks=ticks(low, high, log))
    margin = 0.03 * (high - low) or 0.5
    return Side(label, (low - margin, high + margin), whole=whole)


def ticks(low: float, high: float, log: bool = False, whole: bool = False) -> dict[float, str]:
    """Up to five round numbers from `low` to `high`, and their texts.

    On a logarithmic axis the finest that fit of: 1, 2 and 5 of each power of ten; 1 and 3; 1 alone; every
    second power, and so on. Where that leaves less than two, as within a factor of two, even steps.
    """
    values: list[float] = []
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        powers = range(first, last + 1)
        choices = [(powers, (1, 2, 5)), (powers, (1, 3))]
        choices += [(powers[-first % step :: step], (1,)) for step in range(1, len(powers) + 1)]
        for exponents, digits in choices:
            # As text: 10.0**-4 * 3 is not 0.0003.
            found = [float(f"{digit}e{power}") for power in exponents for digit in digits]
            values = [at for at in found if low * (1 - 1e-9) <= at <= high * (1 + 1e-9)]
            if len(values) <= _TICKS:
                break
    if len(values) < 2:
        found = [*map(float, MaxNLocator(_TICKS - 1, integer=whole).tick_values(low, high))]
        margin = 1e-9 * (high - low)
        values = [at for at in found if low - margin <= at <= high + margin] or [low]
    return {at: number(at) for at in values}


def number(value: float) -> str:
    """`value` as a tick has it: 0.001, 1e-5, 10k, 2M."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.6g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.6g}k"
    return f"{round(value, 12):.6g}".replace("e-0", "e-")


def trials(
    facts: Facts,
    entries: Sequence[Entry],
    place: Callable[[Entry], tuple[float, float]],
    shaded: Callable[[Entry], float] | None = None,
) -> list[Dots]:
    """The dots of `entries` stand each at its `place`, with a symbol for how they ended.

    `shaded`: the number of each on the plot's colours; without it they have the colour of their end.
    """
    dots = []
    for state, symbol in SYMBOLS.items():
        if chosen := [entry for entry in entries if entry.state == state]:
            colour = [shaded(entry) for entry in chosen] if shaded else COLOURS[state]
            tips = [tip(entry, facts) for entry in chosen]
            name = "" if shaded else state
            size = 8.0 if symbol == "v" else 6.5  # a triangle looks smaller
            dots.append(Dots([*map(place, chosen)], colour, symbol, name, tips, size))
    return dots


def star(facts: Facts, at: tuple[float, float], name: str = "") -> Dots:
    """A star stands over the best trial."""
    tips = [tip(facts.ranked[0], facts)]
    return Dots([at], YELLOW, "*", name, tips, size=13.5, edge=INK)


def tip(entry: Entry, facts: Facts) -> str:
    """What the mouse shows of a trial, line by line."""
    lines = [f"trial {entry.number} ({entry.state})"]
    if entry.continues is not None:
        lines.append(f"goes on from trial {entry.continues}")
    if entry.extends is not None:
        lines.append(f"begins as trial {entry.extends}")
    if entry.same_as is not None:
        lines.append(f"the same as trial {entry.same_as}")
    if entry.prefix_of is not None:
        lines.append(f"read off trial {entry.prefix_of}")
    if entry.value is not None:
        lines.append(f"{facts.objective.metric} {entry.value:.4f}")
    return "\n".join([*lines, *(f"{path} = {shown(v)}" for path, v in entry.params.items())])


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which `seconds` reads best, and its length in seconds."""
    if seconds < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)
