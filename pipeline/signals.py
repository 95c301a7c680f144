"""Ctrl-C and SIGTERM, as every command takes them: once, and with an exit code of its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """End the block at the first Ctrl-C or SIGTERM, with a StoppedError.

    Within the block it is a KeyboardInterrupt, which no library takes for a failure of its own. From
    then on, and after the block, both are ignored: the process ends already, with the exit code that
    it has.
    """

    def stop(number: int, _: FrameType | None) -> None:
        ignore_signals()
        raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")

    try:
        for number in SIGNALS:
            signal.signal(number, stop)
        yield
    except KeyboardInterrupt as error:
        reason = str(error) or "stopped"
        raise StoppedError(f"{reason}; the same command goes on") from None
    finally:
        ignore_signals()


def ignore_signals() -> None:
    """Let neither end this process any more: it ends by itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
