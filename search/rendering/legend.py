"""What the colours of a figure mean, as HTML: it breaks into lines where a page is narrow."""

from html import escape

from search.plots.marks import Bars, Colours, Dots, Line, Mark, Plot, Surface, Words
from search.plots.style import number

_DASHES = {"-": "", "--": "5 3", ":": "1.5 2.5"}
_SHAPES = {
    "v": '<path d="M3 3.5h10l-5 8z" {}/>',
    "X": '<path d="M4.5 4.5l7 7m0-7l-7 7" {} stroke-width="3"/>',
    "*": '<path d="M8 .8l2.1 4.8 5.2.4-4 3.4 1.3 5.1L8 11.7l-4.6 2.8 1.3-5.1-4-3.4 5.2-.4z" {}/>',
    "o": '<circle cx="8" cy="8" r="4.5" {}/>',
}


def legend(plot: Plot) -> str:
    """A button for each mark that has a name, which hides it and shows it again, and the bar of colours."""
    marks = plot.named
    title = f"<b>{escape(plot.legend)}</b>" if plot.legend and marks else ""
    buttons = "".join(
        f"<button type=button aria-pressed=true>{_sample(mark)}<span>{escape(mark.name)}</span></button>"
        for mark in (reversed(marks) if plot.legend else marks)
    )
    bar = _bar(plot.colours) if plot.colours is not None and plot.colours.label else ""
    inside = title + buttons + bar
    return f"<div class=legend>{inside}</div>" if inside else ""


def _sample(mark: Mark) -> str:
    """The mark as it is drawn."""
    match mark:
        case Dots():
            colour = mark.colour if isinstance(mark.colour, str) else "none"
            look = f'stroke="{colour}"' if mark.symbol == "X" else f'fill="{colour}"'
            if mark.symbol == "*":
                look += f' stroke="{mark.edge}" stroke-width=".8"'
            inside = _SHAPES[mark.symbol].format(look)
        case Line():
            inside = (
                f'<path d="M0 8h16" stroke="{mark.colour}" stroke-width="{mark.width}" '
                f'stroke-dasharray="{_DASHES[mark.dash]}"/>'
            )
        case Bars():
            inside = f'<rect x="2" y="2" width="12" height="12" fill="{mark.colour}"/>'
        case Words() | Surface():
            raise AssertionError("they have no names")
    return f'<svg width="16" height="16" aria-hidden=true>{inside}</svg>'


def _bar(colours: Colours) -> str:
    low, high = (number(float(f"{end:.3g}")) for end in (colours.low, colours.high))
    shades = ", ".join(colours.steps)
    return (
        f"<span class=shades>{low}<i style='background: linear-gradient(90deg, {shades})'></i>{high}"
        f" &nbsp;{escape(colours.label)}</span>"
    )
