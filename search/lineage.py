"""Trials that went on from others: where a network that was promoted began."""

from collections.abc import Sequence

from search.study import Entry


def lineage(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """The trials that trained the network of `entry`, one after the other; it is the last of them."""
    line = [entry]
    while (number := line[0].continues) is not None:
        line.insert(0, next(each for each in entries if each.number == number))
    return line
