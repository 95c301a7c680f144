"""Threads that each train a run take turns at one device: what several ask for alike is done at once."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

Round = Callable[[Sequence[Any]], Sequence[Any]]
"""Does what several lanes ask for; an answer for each, in their order."""

_PATIENCE = 0.2
"""Seconds that lanes wait for others where no round has shown yet how long one takes."""

_LEAST_PATIENCE = 0.02
"""Seconds that others have for what lies between two rounds, however short these are."""


@dataclass(eq=False)
class Wish:
    """What `lane` asks for since `since`, in seconds: `what`, to be done by `round`.

    Wishes of the same `group` and `kind` can be done in one round.
    """

    group: Hashable
    kind: Hashable
    lane: object
    what: Any
    round: Round
    since: float
    done: bool = False
    answer: Any = None
    error: BaseException | None = None


@dataclass
class Timetable:
    """Which wishes are due: those of a group whose lanes all wait, or whose first has waited long enough.

    Long enough is as long as such a round takes: waiting then costs at most as much again as it can save.
    Among those that are due the oldest comes first, and with it what is of its kind. So no group starves.
    `width`: lanes of a round, at most.
    """

    width: int
    waiting: list[Wish] = field(default_factory=list)
    lanes: dict[Hashable, set[object]] = field(default_factory=lambda: defaultdict(set))
    _seconds: dict[Hashable, dict[Hashable, float]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def due(self, now: float) -> list[Wish]:
        """The wishes of the next round; none where all wait for company."""
        for first in self.waiting:  # in the order of their arrival
            if now >= self._until(first):
                alike = [
                    each
                    for each in self.waiting
                    if (each.group, each.kind) == (first.group, first.kind)
                ]
                return alike[: self.width]
        return []

    def seconds_left(self, now: float) -> float | None:
        """Until a wish is due if nobody comes; None where there is none."""
        times = [self._until(each) - now for each in self.waiting]
        return max(0.0, min(times)) if times else None

    def took(self, wishes: Sequence[Wish], seconds: float) -> None:
        """A round is over. The first one of a kind compiled its program, which says nothing of the others."""
        known, kind = self._seconds[wishes[0].group], wishes[0].kind
        known[kind] = min(known[kind], seconds) if kind in known else float("inf")

    def leave(self, group: Hashable, lane: object) -> None:
        """`lane` is not waited for any more; a group without lanes is forgotten."""
        self.lanes[group].discard(lane)
        if not self.lanes[group]:
            del self.lanes[group]
            self._seconds.pop(group, None)

    def _until(self, wish: Wish) -> float:
        waits = {each.lane for each in self.waiting if each.group == wish.group}
        if self.lanes[wish.group] <= waits:
            return wish.since
        seconds = self._seconds[wish.group].get(wish.kind, float("inf"))
        patience = _PATIENCE if seconds == float("inf") else max(_LEAST_PATIENCE, seconds)
        return wish.since + patience


class Conductor:
    """Runs rounds, one at a time, in the threads of those who asked: one of them does it for all.

    A round that fails has failed for each lane in it.
    """

    def __init__(self, width: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = Timetable(width)
        self._clock = clock
        self._changed = threading.Condition()
        self._busy = False

    def join(self, group: Hashable, lane: object) -> None:
        """Others of `group` wait for `lane` from now on, for a while."""
        with self._changed:
            self._table.lanes[group].add(lane)

    def leave(self, group: Hashable, lane: object) -> None:
        """Nobody waits for `lane` until it asks for something again."""
        with self._changed:
            self._table.leave(group, lane)
            self._changed.notify_all()

    def ask(self, group: Hashable, kind: Hashable, lane: object, what: Any, round_of: Round) -> Any:
        """What the round gives for `what`, once it is done. Raises what the round raised."""
        with self._changed:
            self._table.lanes[group].add(lane)
            wish = Wish(group, kind, lane, what, round_of, self._clock())
            self._table.waiting.append(wish)
            self._changed.notify_all()  # whoever waits for company may have it now
            while not wish.done:
                wishes = [] if self._busy else self._table.due(self._clock())
                if wishes:
                    self._do(wishes)
                else:
                    left = None if self._busy else self._table.seconds_left(self._clock())
                    self._changed.wait(left)
        if wish.error is not None:
            raise wish.error
        return wish.answer

    def _do(self, wishes: Sequence[Wish]) -> None:
        """Do a round, with the lock released meanwhile."""
        self._busy = True
        for each in wishes:
            self._table.waiting.remove(each)
        self._changed.release()
        began = self._clock()
        answers: Sequence[Any] = [None] * len(wishes)
        error: BaseException | None = None
        try:
            answers = wishes[0].round([each.what for each in wishes])
        except BaseException as raised:  # noqa: BLE001  # it is raised in each of the threads
            error = raised
        finally:
            seconds = self._clock() - began
            self._changed.acquire()
            self._busy = False
            self._table.took(wishes, seconds)
            for each, answer in zip(wishes, answers, strict=True):
                each.done, each.answer, each.error = True, answer, error
            self._changed.notify_all()
