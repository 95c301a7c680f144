"""Publication off the training path: a thread that keeps a tracker up to date with the latest records."""

import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from pipeline.command.redact import redact
from pipeline.tracking.record import RunRecord

_STALLED_SECONDS = 30.0  # a publication that takes longer does not come to an end
_WHOLE_SECONDS = 10.0  # what a record that is on its way gets to arrive


class Change(IntEnum):
    """What a publication changed; false where that was nothing."""

    NOTHING = 0
    PUBLISHED = 1
    RESTORED = 2
    """The run was in the tracker's trash."""


class Tracker(Protocol):
    """Where records are published."""

    def publish(self, record: RunRecord) -> Change:
        """Bring the tracked run to the state of `record`; safe to call again after any error."""


class Publisher:
    """Publishes the latest record of every run, retrying until the tracker takes it.

    A tracker that is slow or down delays what people see, never the trials: `update` only puts the
    record aside. Records wait at most `interval` seconds, so that several epochs travel together.

    What failed at first is told once more at the end, to a tracker made anew: one that is slow may have
    done it after all, long after it was done again, and only a fresh look finds both. What it does
    later still, when this process is gone, stays until somebody publishes again (`search.publish`).
    """

    def __init__(
        self,
        make_tracker: Callable[[], Tracker],
        on_problem: Callable[[str], None],
        interval: float = 1.0,
    ) -> None:
        self._make_tracker = make_tracker
        self._on_problem = on_problem
        self.changed = 0  # how many publications changed something
        self.restored = 0  # how many of them found the run in the tracker's trash
        self._progress_at = time.monotonic()  # when the tracker last took something
        self._interval = interval
        self._pending: dict[str, RunRecord] = {}
        self._doubted: dict[str, RunRecord] = {}  # failed at first: to be told once more at the end
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._enough = threading.Event()  # no more than one record
        self._give_up_at = float("inf")
        # Not the thread's own join: where a signal interrupts that, Python takes the thread for ended.
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="publisher", daemon=True).start()

    def update(self, record: RunRecord) -> None:
        """Have `record` published; it takes the place of an earlier one of the same run."""
        with self._lock:
            self._pending[record.uid] = record

    def close(self, patience: float, hurry: bool = True) -> int:
        """Publish what is left; the number of runs that are still not.

        It gives up at the first problem after `patience` seconds; and half a minute later where a call
        does not end, however busily its peer drips. In a `hurry` then even if all goes well: what is left
        can be published another time. An exception while it waits, a signal's, ends it after the record
        that is on its way, or else the first one.
        """
        self._give_up_at = self._progress_at = time.monotonic() + patience
        self._closing.set()
        try:
            self._wait_for_the_end(patience, hurry)
        except BaseException:  # a signal: whoever waits leaves, and no run may stay half told
            self._enough.set()
            self._ended.wait(_WHOLE_SECONDS)
            raise
        return len(self._pending | self._doubted)

    def _wait_for_the_end(self, patience: float, hurry: bool) -> None:
        self._ended.wait(patience + _STALLED_SECONDS)
        while not hurry and not self._ended.wait(1.0):
            if time.monotonic() - self._progress_at > _STALLED_SECONDS:
                break

    def _run(self) -> None:
        try:
            self._publish_until_the_end()
        finally:
            self._ended.set()

    def _publish_until_the_end(self) -> None:
        tracker: Tracker | None = None
        pause = self._interval
        while True:
            closing = self._closing.is_set()
            try:
                tracker = tracker or self._make_tracker()
                self._publish_pending(tracker)
                pause = self._interval
                if closing and not self._pending:
                    if not self._doubted:
                        return
                    self._pending, self._doubted = self._doubted, {}
                    tracker = None
            except Exception as error:  # noqa: BLE001  # whatever it is, the records are still here
                if pause == self._interval:
                    self._on_problem(f"{type(error).__name__}: {_first_line(error)}")
                pause = min(2 * pause, 30.0)
                if time.monotonic() > self._give_up_at or (closing and not self._pending):
                    return
            if self._enough.is_set():
                return
            if closing:
                time.sleep(min(pause, 1.0) if self._pending else 0)
            else:
                self._closing.wait(pause)

    def _publish_pending(self, tracker: Tracker) -> None:
        with self._lock:
            waiting = sorted(self._pending.values(), key=lambda record: record.parent is not None)
        problem: Exception | None = None
        failed_before = False
        for record in waiting:
            try:
                change = tracker.publish(record)
                self.changed += bool(change)
                self.restored += change == Change.RESTORED
                self._progress_at = time.monotonic()
            except Exception as error:  # noqa: BLE001  # raised below, after the others had their turn
                with self._lock:  # to the end of the line: one bad record must not hold up the rest
                    self._pending[record.uid] = self._pending.pop(record.uid)
                self._doubted[record.uid] = record
                problem = problem or error
                if failed_before:  # two in a row: more likely the tracker than the records
                    break
                failed_before = True
                continue
            failed_before = False
            if record.uid in self._doubted:
                self._doubted[record.uid] = record
            with self._lock:
                if self._pending.get(record.uid) is record:
                    del self._pending[record.uid]
            if self._enough.is_set():
                return
        if problem is not None:
            raise problem


def _first_line(error: Exception) -> str:
    return redact((str(error).splitlines() or [""])[0])
