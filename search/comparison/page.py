"""The page of several studies: what can be compared, what each found, and how it got there."""

import time
from collections.abc import Iterator, Sequence
from html import escape

from search.comparison import figures, tables
from search.comparison.compared import Compared, groups, of_one_space
from search.plots.marks import Plot
from search.rendering.document import document, figure
from search.rendering.elements import listed, section


def page(studies: Sequence[Compared]) -> str:
    """The whole page; the studies keep their order, which says nothing of them."""
    together = groups(studies)
    drawn = "".join(_figures(together))
    names = ", ".join(each.name for each in studies)
    parts = [
        f"<header><p>{len(studies)} hyperparameter studies compared</p><h1>{escape(names)}</h1>"
        f"<p>As they stood on {time.strftime('%d %B %Y, %H:%M')}</p></header>",
        section("What can be compared", _comparable(together)),
        section("What each found", tables.found(studies)),
        drawn,
        section("The best trials", tables.leaders(studies)),
        section("The verdicts", tables.verdicts(studies)),
        section("What differs between them", tables.differing(studies)),
    ]
    return document(f"Compared: {names}", parts, drawn=bool(drawn))


def _apart(together: Sequence[Sequence[Compared]]) -> list[str]:
    """Why not all of them can be compared, a sentence for two groups each; nothing: they can."""
    said = []
    for number, group in enumerate(together):
        for other in together[:number]:
            why = "; ".join(f"{path} ({rule})" for path, rule in _reasons(other, group).items())
            said.append(f"{_named(group)} and {_named(other)} differ in {why}")
    return said


def _reasons(group: Sequence[Compared], other: Sequence[Compared]) -> dict[str, str]:
    """By what the studies of two groups differ in: why they can't be compared."""
    return {
        path: rule
        for each in group
        for another in other
        for path, rule in each.apart_from(another).items()
    }


def _named(group: Sequence[Compared]) -> str:
    return ", ".join(each.name for each in group)


def _comparable(together: Sequence[Sequence[Compared]]) -> str:
    if len(together) > 1:
        why = listed(map(escape, _apart(together)))
        return f"<p>Not all of them; those that can't be are drawn apart.</p>{why}"
    facts = together[0][0].facts
    data = facts.about.dataset.name
    return f"<p>All of them: by {escape(facts.metric)}, on the same rows of {escape(data)}.</p>"


def _figures(together: Sequence[Sequence[Compared]]) -> Iterator[str]:
    """The sections of figures: in each are studies that can be compared."""
    for number, group in enumerate(together):
        if group[0].facts.apart:
            continue  # not even its own trials can be compared
        whose = f": {_named(group)}" if len(together) > 1 else ""
        costs = [each.facts.objective.cost for each in group]
        yield _drawn(f"best_so_far_{number}", figures.best_so_far(group), whose)
        yield _drawn(f"answers_{number}", figures.answers(group), whose)
        for cost in dict.fromkeys(cost for cost in costs if cost is not None):
            yield _drawn(f"front_{cost}_{number}", figures.fronts(group, cost), whose)
        spaces = of_one_space(group)
        for place, studies in enumerate(spaces):
            if len(studies) > 1:
                of_space = f": {_named(studies)}" if len(spaces) > 1 else whose
                yield _drawn(f"searched_{number}_{place}", figures.searched(studies), of_space)


def _drawn(name: str, plot: Plot, whose: str) -> str:
    """The section of a figure; nothing where there is nothing to draw: the tables say so."""
    return section(escape(plot.title + whose), figure(name, plot)) if plot.panels else ""
