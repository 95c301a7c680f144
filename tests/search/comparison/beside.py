"""Studies made by hand, to be put beside each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search.analysis.finalists import Finalists
from search.comparison.compared import COLOURS, Compared
from search.steering.standing import Standing
from search.study.endings import MET
from search.study.space import Space
from search.study.vocabulary import Entry
from tests.search import made
from tests.search.verdicts import compared as with_verdict


def study(
    name: str, entries: Sequence[Entry] = (), space: Space = made.DROPOUT, **changes: Any
) -> Compared:
    """A study of that name. `changes`: of what is said of it; `finalists`, `held` are how it stands."""
    stands: dict[str, Any] = {"finalists": None, "held": False, "half": None, "launch": None}
    stands |= {key: changes.pop(key) for key in stands.keys() & changes.keys()}
    facts = made.facts(entries, space, name=name, **changes)
    standing = Standing(about=facts.about, entries=facts.entries, ending=MET, **stands)
    return Compared(standing, facts, COLOURS[0])


def beside(*studies: Compared) -> list[Compared]:
    """The same with a colour each."""
    return [replace(each, colour=colour) for each, colour in zip(studies, COLOURS, strict=False)]


def judged(name: str) -> Compared:
    """A study with a verdict."""
    finalists: Finalists = with_verdict()
    facts = finalists.facts
    found = study(name, facts.entries, config=facts.about.config)
    return replace(found, standing=replace(found.standing, finalists=finalists))
