"""Which worker ran which trial, and when."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

from search.analysis.facts import Facts
from search.plots.marks import Bars, Hatch, Line, Mark, Panel, Plot, Side, Words
from search.plots.style import COLOURS, INK, MUTED, NOTHING, time_unit, tip
from search.study.vocabulary import Entry

_ARROWS = 40  # more would hide the trials
_NAMED = 32  # on the tallest figure names of more would touch
_HATCHES: dict[str, Hatch] = {"complete": "", "pruned": "//", "failed": "xx"}


def timeline(facts: Facts) -> Plot:
    """The timeline shows which worker ran which trial, from start to end."""
    title, about = "Who worked when", "Every trial from its start to its end"
    ended = [entry for entry in facts.entries if entry.ended_at is not None]
    if not ended:
        return Plot(title, about, empty=NOTHING)
    lanes = lanes_of(ended)
    names = list(dict.fromkeys(sorted(lanes.values(), key=_by_number)))
    lane = {number: names.index(name) for number, name in lanes.items()}
    every = math.ceil(len(names) / _NAMED)
    gaps, squeeze = pauses(ended), clock_of(ended)
    whole = max(squeeze(entry.ended_at or 0.0) for entry in ended)
    unit, length = time_unit(whole)
    spans = {
        e.number: (squeeze(e.started_at) / length, squeeze(e.ended_at or 0.0) / length)
        for e in ended
    }
    if any("lanes" in entry.worker for entry in ended):
        about += ". Worker 1.3 is lane 3 of worker 1"
    marks: list[Mark] = []
    for state, hatch in _HATCHES.items():
        if shown := [entry for entry in ended if entry.state == state]:
            places = [lane[entry.number] for entry in shown]
            bars = [spans[entry.number] for entry in shown]
            tips = [tip(entry, facts) for entry in shown]
            numbers = [
                str(entry.number)
                if every == 1 and (stop - start) * length > 0.009 * len(str(entry.number)) * whole
                else ""
                for entry, (start, stop) in zip(shown, bars, strict=True)
            ]
            marks.append(Bars(places, bars, COLOURS[state], hatch, state, tips, numbers))
    if 0 < len(facts.promoted) <= _ARROWS:
        about += ". A line leads to the trial that went on from it"
        for entry in facts.promoted:
            before, after = entry.continues, entry.number
            if before in spans and after in spans:
                ends = [(spans[before][1], lane[before]), (spans[after][0], lane[after])]
                marks.append(Line(ends, INK, 1.2, arrow=True))
    for begin, seconds in gaps:
        at, (paused, pause) = squeeze(begin) / length, time_unit(seconds)
        marks.append(Line([(at, -0.6), (at, len(names) - 0.4)], MUTED, 1.5, dash=":"))
        said = f"stopped {seconds / pause:.0f} {paused}"
        side: Literal["left", "right"] = "left" if at * length > 0.6 * whole else "right"
        marks.append(Words([(at, -0.5)], [said], side, MUTED))
    across = Side(f"{unit} since the first trial began", (0, 1.02 * whole / length or 1.0))
    workers = {float(place): f"worker {names[place]}" for place in range(0, len(names), every)}
    up = Side("", (len(names) - 0.4, -0.6), ticks=workers)
    height = min(8.0, max(2.6, 1.5 + 0.5 * len(names)))
    return Plot(title, about, [Panel(across, up, marks)], height=height)


def lanes_of(ended: Sequence[Entry]) -> dict[int, str]:
    """The worker of every trial, by number; where none was recorded, a lane that was free then."""
    lanes: dict[int, str] = {}
    free_at: dict[str, float] = {}
    for entry in sorted(ended, key=lambda entry: entry.started_at):
        lane = entry.worker.get("worker")
        if lane is None:
            candidates = (str(i) for i in range(len(ended)))
            lane = next(n for n in candidates if free_at.get(n, 0.0) <= entry.started_at)
        lanes[entry.number] = lane
        free_at[lane] = max(free_at.get(lane, 0.0), entry.ended_at or 0.0)
    return lanes


def _by_number(name: str) -> tuple[list[int], str]:
    """Workers by number, each with its lanes; then what has another name."""
    words = name.split(".")
    numbers = [int(word) for word in words] if all(map(str.isdecimal, words)) else [10**6]
    return numbers, name


def clock_of(ended: Sequence[Entry]) -> Callable[[float], float]:
    """Gives the seconds from the first trial to a time, pauses left out. `ended`: one trial at least."""
    origin, gaps = min(entry.started_at for entry in ended), pauses(ended)
    return lambda at: at - origin - sum(seconds for begin, seconds in gaps if begin < at)


def pauses(ended: Sequence[Entry]) -> list[tuple[float, float]]:
    """(begin, seconds) of the times between launches in which nothing ran, if they are long."""
    spans = sorted((entry.started_at, entry.ended_at or entry.started_at) for entry in ended)
    busy_until, busy, gaps = spans[0][0] if spans else 0.0, 0.0, []
    for start, stop in spans:
        if start > busy_until:
            gaps.append((busy_until, start - busy_until))
        busy += max(0.0, stop - max(start, busy_until))
        busy_until = max(busy_until, stop)
    return [(begin, seconds) for begin, seconds in gaps if seconds > max(60.0, 0.1 * busy)]
