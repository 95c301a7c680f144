"""How a study's finalists did over fresh seeds: a row for each of them, every seed and every interval."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from search.analysis.estimates import Estimate
from search.analysis.facts import in_words
from search.analysis.finalists import Finalists
from search.analysis.race import Standing
from search.analysis.wording import shown
from search.plots.marks import Dots, Line, Mark, Panel, Plot, Side, Words
from search.plots.style import BLUE, GREEN, INK, MUTED, YELLOW, Scale, sentences

Part = Literal["race", "fresh seeds"]

_FAINT: Mapping[Part, str] = {"race": "#9cc4df", "fresh seeds": "#8fd1ba"}
_ASIDE: Mapping[Part, float] = {"race": -0.12, "fresh seeds": 0.14}  # of a lane: the race is above
_STEP = 0.05  # of a lane, between seeds that gave about the same


@dataclass(frozen=True)
class _Row:
    """The values of a configuration in one part of the comparison, on a lane of their own."""

    name: str
    part: Part
    values: tuple[float | None, ...]
    mean: Estimate | None
    colour: str
    at: float

    def tip(self) -> str:
        assert self.mean is not None
        return f"{self.name}\n{self.part}: {shown(self.mean)}, {self.mean.seeds} seeds"


def verdict(finalists: Finalists) -> Plot:
    """The finalists, the best on top; for each the race above, and below it the seeds that chose nothing."""
    title, found = "The finalists over fresh seeds", finalists.verdict
    about = "Dots are seeds. Green: those that chose nothing; blue and, behind, grey: the race"
    if found is None:
        return Plot(title, about, empty="The comparison is not finished.")
    lanes = {each.name: float(lane) for lane, each in enumerate(found.standings)}
    rows = [row for each in found.standings for row in _rows(each, lanes[each.name])]
    values = [value for row in rows for value in row.values if value is not None]
    if not values:
        return Plot(title, about, empty="Every configuration diverged.")
    scale = Scale.of(values)
    marks: list[Mark] = []
    if found.default is not None:
        marks += _default(_told_by(_rows(found.default, 0)), scale, len(lanes))
    marks += [_seeds(row, scale) for row in rows if any(v is not None for v in row.values)]
    for row in rows:
        marks += _interval(row, scale)
    if found.answer is not None:
        told = _told_by(_rows(found.of(found.answer), lanes[found.answer]))
        marks += _answer(told, scale, finalists.words_for(found.answer), len(found.tie))
    gone = [each.name for each in found.standings if each.state == "diverged"]
    if gone:
        places = [(scale.low, lanes[name]) for name in gone]
        marks.append(Words(places, ["diverged"] * len(gone), "right", MUTED))
    better = "higher" if found.plan.sign > 0 else "lower"
    across = f"{in_words(found.plan.metric)} ({better} is better)"
    seeds = "seed lies" if scale.outside == 1 else "seeds lie"
    outside = f"{scale.outside} {seeds} outside, drawn at the edge" if scale.outside else ""
    level = f"Bars are {1 - found.plan.alpha:.0%} intervals"
    names = {lane: name for name, lane in lanes.items()}
    return Plot(
        title,
        sentences(about, level, outside),
        [
            Panel(
                Side(across, (scale.low, scale.high)),
                Side("", (len(lanes) - 0.5, -0.5), ticks=names),
                marks,
            )
        ],
        height=2.0 + 0.6 * len(lanes),
        hint="Hover over a dot to see what it is of.",
    )


def _rows(standing: Standing, lane: float) -> list[_Row]:
    race = MUTED if standing.state == "dropped" else BLUE
    parts: list[tuple[Part, tuple[float | None, ...], Estimate | None, str]] = [
        ("race", standing.race, standing.mean, race),
        ("fresh seeds", standing.confirmation, standing.confirmed, GREEN),
    ]
    return [
        _Row(standing.name, part, values, mean, colour, lane + _ASIDE[part])
        for part, values, mean, colour in parts
        if values
    ]


def _told_by(rows: list[_Row]) -> _Row | None:
    """The part that tells most of a configuration: its fresh seeds, or else its race."""
    return next((row for row in reversed(rows) if row.mean is not None), None)


def _seeds(row: _Row, scale: Scale) -> Dots:
    """The seeds, off the interval, where it would hide them."""
    off = row.at + 1.3 * _ASIDE[row.part]
    seeds = [(seed, value) for seed, value in enumerate(row.values) if value is not None]
    return Dots(
        [(scale.within(value), off + (seed % 3 - 1) * _STEP) for seed, value in seeds],
        _FAINT[row.part],
        tips=[f"{row.name}\n{row.part}, seed {seed + 1}: {value:.4f}" for seed, value in seeds],
        size=5,
    )


def _interval(row: _Row, scale: Scale) -> Iterator[Mark]:
    if row.mean is None:
        return
    if row.mean.low is not None and row.mean.high is not None:
        ends = [scale.within(row.mean.low), scale.within(row.mean.high)]
        yield Line([(end, row.at) for end in ends], row.colour, 2.4)
    at = (scale.within(row.mean.value), row.at)
    yield Dots([at], row.colour, tips=[row.tip()], size=7)


def _default(told: _Row | None, scale: Scale, lanes: int) -> Iterator[Mark]:
    """A line through all rows where the study's starting point stands."""
    if told is not None and told.mean is not None:
        at = scale.within(told.mean.value)
        yield Line([(at, -0.5), (at, lanes - 0.5)], INK, 1.0, "default", dash=":")


def _answer(told: _Row | None, scale: Scale, words: str, tied: int) -> Iterator[Mark]:
    """A star over the answer."""
    if told is not None and told.mean is not None:
        name = "the cheapest of the tie" if tied > 1 else "the answer"
        at, tips = (scale.within(told.mean.value), told.at), [f"{told.tip()}\n{words}"]
        yield Dots([at], YELLOW, "*", name, tips, size=12, edge=INK)
