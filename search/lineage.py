"""Trials that went on from others: where a network that was promoted began."""

from collections.abc import Sequence

from search.study import Entry


def lineage(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """The trials that trained the network of `entry`, one after the other; it is the last of them.

    One whose predecessor's state was gone trained from its first epoch, and so is the first.
    """
    line = [entry]
    while line[0].continues is not None and all(epoch.epoch > 1 for epoch in line[0].history):
        number = line[0].continues
        line.insert(0, next(each for each in entries if each.number == number))
    return line
