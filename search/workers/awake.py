"""Deadlines that a stopped process does not miss."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

_LONGEST_STEP = 1.0
"""Seconds between two looks at the clock, at most: a process for which it was longer was asleep."""


class AwakeClock:
    """Counts the seconds that this process was awake, as long as it looks at least once a second.

    What lies between two looks counts as a second at most. So the time of a machine that was suspended,
    or of a process that was stopped (SIGSTOP, Ctrl-Z), is no time in which a worker was slow.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._last = time.monotonic()

    def __call__(self) -> float:
        now = time.monotonic()
        self._seconds += min(now - self._last, _LONGEST_STEP)
        self._last = now
        return self._seconds


async def within(seconds: float | None, what: Awaitable[T]) -> T:
    """What `what` gives. Raises TimeoutError after so many seconds awake; None waits for ever."""
    task = asyncio.ensure_future(what)
    left = float("inf") if seconds is None else seconds
    try:
        while not task.done():
            if left <= 0:
                raise TimeoutError
            # What a step took longer, the process was stopped: it does not count.
            step = min(left, _LONGEST_STEP)
            await asyncio.wait({task}, timeout=step)
            left -= step
        return task.result()
    finally:
        task.cancel()
