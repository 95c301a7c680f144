"""A page as one HTML file that opens offline: its frame, and figures that answer to the mouse."""

from html import escape
from pathlib import Path

import plotly.io.json  # noqa: F401  # else it comes with the first figure, and takes its time
from plotly.io import to_html
from plotly.offline import get_plotlyjs

from search.plots import interactive
from search.plots.marks import Plot
from search.plots.style import sentences
from search.rendering.legend import legend

_STYLE, _SCRIPT = (
    (Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
)
_WIDTH, _NARROWEST = 900, 300
"""Pixels of the page, and of a panel where there are several: below that they stand one below the other."""


def document(title: str, parts: list[str], drawn: bool) -> str:
    """The whole page of `parts`, which are HTML. `title`: text; `drawn`: whether there are figures in it."""
    script = f"<script>{get_plotlyjs()}</script><script>{_SCRIPT}</script>" if drawn else ""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style>{script}</head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def figure(name: str, plot: Plot) -> str:
    """The figure under the line on how to read it; what it says where it has no panels.

    `name`: the id of its element, which no other on the page has.
    """
    if not plot.panels:
        return f"<p>{escape(plot.empty)}</p>"
    _, columns = plot.grid
    panels = "".join(
        _panel(name if index == 0 else f"{name}-{index + 1}", drawn, interactive.least_width(panel))
        for index, (panel, drawn) in enumerate(
            zip(plot.panels, interactive.draw(plot), strict=True)
        )
    )
    width = "100%" if columns == 1 else f"{max(_NARROWEST, _WIDTH // columns)}px"
    return (
        f"<p>{escape(sentences(plot.about, plot.hint))}.</p>"
        f"<div class=figure>{legend(plot)}<div class=panels style='--panel: {width}'>{panels}</div></div>"
    )


def _panel(name: str, drawn: interactive.Drawn, least: int) -> str:
    """A panel that gets as wide as there is room, and is moved sideways below `least` pixels."""
    inside = to_html(
        drawn,
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},  # its buttons lead outside
        validate=False,
    )
    return f"<div class=wide><div style='min-width: {least}px'>{inside}</div></div>"


def write(html: str, path: Path) -> str:
    """Write the page to `path`; a line that says so. Until it is whole, an old page there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(html, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return f"{path}: {path.stat().st_size / 2**20:.1f} MiB, opens in any browser, offline"
