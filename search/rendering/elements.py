"""Parts of the page as HTML. What they are given is HTML already, but for what is said to be text."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path


def section(title: str, inside: str) -> str:
    """A section under its title; nothing where there is nothing inside."""
    return f"<section><h2>{title}</h2>{inside}</section>" if inside else ""


def tiles(tiles: Iterable[tuple[str, str]]) -> str:
    """Numbers that stand out, each with the text that says what it is. Both are texts."""
    inside = (
        f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in tiles
    )
    return f"<div class=tiles>{''.join(inside)}</div>"


def listed(items: Iterable[str]) -> str:
    """A list; nothing without items."""
    inside = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{inside}</ul>" if inside else ""


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    kind: str = "",
    answer: int | None = None,
) -> str:
    """A table. `kind`: its classes in `page.css`; `answer`: the row that stands out."""
    head = "".join(f"<th>{head}</th>" for head in heads)
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    body = ""
    for index, cells in enumerate(rows):
        inside = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f"<tr{' class=answer' if index == answer else ''}>{inside}</tr>"
    return f'<div class=wide><table class="{kind}">{top}<tbody>{body}</tbody></table></div>'


def link(text: str, address: str | None) -> str:
    """`text`, which is HTML, as a link; as it is where there is no address."""
    return text if address is None else f'<a href="{escape(address)}">{text}</a>'


def command(text: str) -> str:
    """A command to be pasted, from its text."""
    return f"<pre>{escape(text)}</pre>"


def parameters(text: str) -> str:
    """Parameters as they are pasted, from their text, so that each can be told from the next."""
    return " ".join(f"<code>{escape(part)}</code>" for part in text.split())


def picture(file: Path, name: str) -> str:
    """The PNG in `file`, within the page. `name` is text."""
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<div class=wide><img alt="{escape(name)}" src="data:image/png;base64,{data}"></div>'
