"""Where a trial stands in a bracket of successive halving, as the algorithm noted it."""

from typing import NamedTuple

from search.study.vocabulary import Entry

_COMPLETED = "completed_rung_"  # of Optuna's pruners, with the rung's number


class Place(NamedTuple):
    """`bracket`: its number; None where there is one alone, or none was noted. `rung`: counted from 0."""

    bracket: int | None
    rung: int | None


def place_of(entry: Entry) -> Place:
    """The bracket and the last rung of a trial; a trial of another algorithm has neither."""
    notes, pruner = entry.notes, entry.notes.get("pruner", {})
    rungs = [int(key.removeprefix(_COMPLETED)) for key in pruner if key.startswith(_COMPLETED)]
    return Place(notes.get("tuner/bracket"), notes.get("tuner/round", max(rungs, default=None)))


def descent_of(entry: Entry, noun: str = "trial") -> str:
    """The trial that it went on from, and its place: `after trial 3, bracket 1, rung 2`, or nothing."""
    place = place_of(entry)
    said = [] if entry.continues is None else [f"after {noun} {entry.continues}"]
    said += [] if place.bracket is None else [f"bracket {place.bracket}"]
    said += [] if place.rung is None else [f"rung {place.rung}"]
    return ", ".join(said)
