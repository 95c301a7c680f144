"""A page as one HTML file that opens offline: its frame, and figures that answer to the mouse."""

from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from search.plots import interactive
from search.plots.marks import Plot
from search.plots.style import sentences

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def document(title: str, parts: list[str], drawn: bool) -> str:
    """The whole page of `parts`, which are HTML. `title`: text; `drawn`: whether there are figures in it."""
    script = f"<script>{get_plotlyjs()}</script>" if drawn else ""
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
    drawn = interactive.draw(plot).to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displayModeBar": False, "responsive": True},  # its buttons lead outside
    )
    return f"<p>{escape(sentences(plot.about, plot.hint))}.</p>{drawn}"
