"""What signals ask of a study: to drain, then to stop."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Literal

from pipeline.command.errors import PlumblineError
from pipeline.command.signals import heard, ignore_signals

Wish = Literal["finish", "now"]
"""What somebody elsewhere asks of a launch: to finish what runs, or to stop at once."""

_LOOK_SECONDS = 0.45  # between two looks for one; a pool steps every half second
_LOOK_SHARE = 50  # at least so many times as long as the last look took


class Stopper:
    """Whether new trials may start (`draining`), and whether running ones are given up (`expired`).

    `told`: a signal asked for it, or somebody elsewhere, whose wish `asked` tells. `deadline`: when the time
    of the launch is up, by `clock`, in seconds; `budget`: the seconds that there were until then.
    """

    def __init__(
        self,
        grace_seconds: float,
        note: Callable[[str], None],
        deadline: float = float("inf"),
        asked: Callable[[], Wish | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._grace_seconds = grace_seconds
        self.note = note
        self._deadline = deadline
        self._asked = asked
        self._look_at = 0.0
        self.budget = self.seconds_left
        self.draining = False
        self.told = False

    @property
    def seconds_left(self) -> float:
        """Until running trials are given up; infinite while nothing says so, never negative."""
        return max(0.0, self._deadline - self.clock())

    def allow(self, seconds: float) -> bool:
        """Whether a trial that takes so long may still begin; if not, none begins any more."""
        left = self.seconds_left
        if not self.draining and seconds >= left:
            self.note(
                f"study.max_seconds: {left:.0f} s are left, a trial takes {seconds:.0f} s: "
                "no more trials."
            )
            self.drain(float("inf"))
        return not self.draining

    @property
    def expired(self) -> bool:
        """Running trials are not waited for any longer."""
        return self.seconds_left == 0

    def look(self) -> None:
        """Hear now and then what somebody elsewhere asks; to be called again and again."""
        began = self.clock()
        if began < self._look_at or self.expired:
            return
        wish = self._asked()
        ended = self.clock()
        self._look_at = ended + max(_LOOK_SECONDS, _LOOK_SHARE * (ended - began))
        if wish == "now":
            self._stop()
        elif wish == "finish" and not self.told:
            self._finish("Told to stop (search.studies): finishing the running trials.")

    def drain(self, seconds: float) -> None:
        """Start no more trials, and wait for the running ones at most `seconds`."""
        self.draining = True
        self._deadline = min(self._deadline, self.clock() + seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C, SIGTERM and SIGHUP within the block.

        Ctrl-C once drains, twice stops. SIGTERM, a scheduler's, and SIGHUP, a closed terminal's, drain
        for the grace period. After a block that was stopped they are ignored.
        """
        before = {number: signal.getsignal(number) for number in heard()}
        for number in before:
            ours = self._interrupted if number == signal.SIGINT else self._terminated
            signal.signal(number, ours)
        try:
            yield
        finally:
            if self.expired:
                ignore_signals()
            else:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _interrupted(self, _: int, __: FrameType | None) -> None:
        if self.expired:
            return  # it stops already
        if self.draining:
            self._stop()
        else:
            self._finish("Finishing the running trials; Ctrl-C again stops at once.")

    def _terminated(self, _: int, __: FrameType | None) -> None:
        if self.expired:
            return
        self.told = True
        self.drain(self._grace_seconds)
        self._say(f"Told to end: running trials have {self._grace_seconds:g} s to finish.")

    def _finish(self, words: str) -> None:
        self.told = True
        self.drain(float("inf"))
        self._say(words)

    def _stop(self) -> None:
        self.told = True
        self.drain(0)
        self._say("Stopping at once.")

    def _say(self, text: str) -> None:
        # The signal came in the middle of a write to the same stream, or nobody reads it any more.
        with suppress(RuntimeError, PlumblineError):
            self.note(text)
