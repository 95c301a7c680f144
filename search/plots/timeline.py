"""Which worker ran which trial, and when."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from search.facts import Facts
from search.plots.style import COLOURS, INK, MUTED, blank, say, styled, time_unit
from search.study import Entry

_ARROWS = 40  # more would hide the trials
_ARROW = {
    "arrowstyle": "-|>,head_width=0.2,head_length=0.3",
    "color": INK,
    "lw": 1.2,
    "shrinkA": 0,
    "shrinkB": 0,
    "connectionstyle": "arc3,rad=-0.2",
    "path_effects": [withStroke(linewidth=3, foreground="white")],
}
_HATCHES = {"complete": None, "pruned": "//", "failed": "xx"}


@styled
def timeline(facts: Facts) -> Figure:
    """Which worker ran which trial, from start to end."""
    ended = [entry for entry in facts.entries if entry.ended_at is not None]
    lanes = lanes_of(ended)
    names = list(dict.fromkeys(sorted(lanes.values(), key=_by_number)))
    height = min(8.0, max(2.6, 1.5 + 0.5 * len(names)))
    about = "Every trial from its start to its end"
    if 0 < len(facts.promoted) <= _ARROWS:
        about += ". A line leads to the trial that went on from it"
    figure = blank("Timeline", about, height=height)
    axes = figure.add_subplot()
    if not ended:
        say(axes, "No trial has ended yet.")
        return figure
    gaps = pauses(ended)
    origin = min(entry.started_at for entry in ended)

    def squeeze(at: float) -> float:
        """Seconds from the first trial to `at`, pauses left out."""
        return at - origin - sum(seconds for begin, seconds in gaps if begin < at)

    unit, length = time_unit(max(squeeze(entry.ended_at or 0.0) for entry in ended))
    whole = max(squeeze(entry.ended_at or 0.0) for entry in ended) / length
    for entry in ended:
        start, stop = squeeze(entry.started_at) / length, squeeze(entry.ended_at or 0.0) / length
        lane = names.index(lanes[entry.number])
        colour, hatch = COLOURS[entry.state], _HATCHES.get(entry.state)
        axes.barh(
            lane, stop - start, 0.72, start, color=colour, hatch=hatch, edgecolor="white", lw=0.8
        )
        if stop - start > 0.009 * len(str(entry.number)) * whole:
            axes.text(
                (start + stop) / 2,
                lane,
                str(entry.number),
                color="white",
                ha="center",
                va="center",
                size=8,
                clip_on=True,
            )
    for entry in facts.promoted if len(facts.promoted) <= _ARROWS else ():
        before = next(each for each in facts.entries if each.number == entry.continues)
        if entry.ended_at is None or before.ended_at is None:
            continue
        axes.annotate(
            "",
            (squeeze(entry.started_at) / length, names.index(lanes[entry.number])),
            (squeeze(before.ended_at) / length, names.index(lanes[before.number])),
            arrowprops=_ARROW,
        )
    for begin, seconds in gaps:
        at, (paused, pause_length) = squeeze(begin) / length, time_unit(seconds)
        axes.axvline(at, color=MUTED, ls=":")
        axes.text(at, -0.5, f" stopped {seconds / pause_length:.0f} {paused}", size=9, color=MUTED)
    axes.set_yticks(range(len(names)), [f"worker {name}" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel(f"{unit} since the first trial began")
    handles = [
        Patch(facecolor=COLOURS[s], label=s, hatch=h, edgecolor="white")
        for s, h in _HATCHES.items()
        if any(entry.state == s for entry in ended)
    ]
    figure.legend(handles=handles, loc="upper right", ncols=3)
    return figure


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


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else len(name) + 10**6, name)


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
