"""How long a trial takes, by those that ended: the one estimate for whoever asks for the time."""

import statistics
from collections import deque
from collections.abc import Iterable

from search.study.vocabulary import Entry

_RECENT = 100


class Durations:
    """Seconds of the last trials that ended, of any launch, however they ended.

    A mean and no median: what is asked for is how long many of them take together.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take in a trial; one that never began says nothing."""
        if entry.ended_at is not None and entry.run is not None:
            self._seconds.append(entry.ended_at - entry.started_at)

    @property
    def usual(self) -> float | None:
        """Seconds of one trial; None before the first has ended."""
        return statistics.fmean(self._seconds) if self._seconds else None
