"""Trials that went on from others: where a network that was promoted began."""

from collections.abc import Mapping, Sequence

from search.study.vocabulary import Entry


def lineage(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """The trials that trained the network of `entry`, one after the other; it is the last of them."""
    line = [entry]
    while (number := line[0].continues) is not None:
        line.insert(0, next(each for each in entries if each.number == number))
    return line


def whole_run(entry: Entry) -> Mapping[str, str]:
    """Settings of one run, from the first epoch, that ends with the network and the numbers of `entry`.

    They are its own, unless it was pruned or went on from another: then it is the last epoch of a
    run up to its best one, as a whole run could stop or choose earlier.
    """
    if entry.result is None or (entry.continues is None and entry.result.stop != "pruned"):
        return entry.settings
    length = None if entry.run is None else entry.run.train.schedule_length
    return {
        **entry.settings,
        **({} if length is None else {"train.schedule_epochs": str(length)}),
        "train.epochs": str(entry.result.best_epoch),
        "train.patience": "null",
        "objective.select": "last",
    }
