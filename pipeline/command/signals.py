"""Ctrl-C, SIGTERM and a closed terminal, as every command takes them: once, with an exit code of its own."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

from pipeline.command.errors import StoppedError

SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()),  # Windows has none
)

_AGAIN_SECONDS = 0.02  # after which a signal comes again that Python has dropped


class _Interrupt(KeyboardInterrupt):
    """Raised by signal `number`, to end what it interrupted."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """End the block at the first Ctrl-C, SIGTERM or SIGHUP, with a StoppedError.

    Within the block it is a KeyboardInterrupt, which no library takes for a failure of its own. From
    then on, and after the block, they are ignored: the process ends already, with the exit code that
    it has. A SIGHUP that is ignored from the start, as under nohup, stays so.
    """
    drop = sys.unraisablehook

    def stop(number: int, _: FrameType | None) -> None:
        ignore_signals()
        raise _Interrupt(number)

    def again(dropped: "sys.UnraisableHookArgs") -> None:
        """Have a signal come again: Python drops what is raised in a finaliser."""
        if not isinstance(dropped.exc_value, _Interrupt):
            drop(dropped)
            return
        number = dropped.exc_value.number
        signal.signal(number, stop)
        main = threading.main_thread().ident
        timer = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main, number))
        timer.daemon = True
        timer.start()

    try:
        sys.unraisablehook = again
        for number in heard():
            signal.signal(number, stop)
        yield
    except KeyboardInterrupt as error:
        reason = str(error) or "stopped"
        raise StoppedError(f"{reason}; the same command goes on") from None
    finally:
        ignore_signals()
        sys.unraisablehook = drop


def heard() -> tuple[signal.Signals, ...]:
    """The signals that this process answers: all but a SIGHUP that whoever started it has it ignore."""
    ignored = signal.SIG_IGN
    return tuple(n for n in SIGNALS if n in SIGNALS[:2] or signal.getsignal(n) is not ignored)


def ignore_signals() -> None:
    """Let none of them end this process any more: it ends by itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM from this process, and for good from those that it starts here.

    A terminal and most schedulers send them to all processes at once. They are the coordinator's to
    handle: its workers, which may still be starting, have trials to finish.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # it lets them through again while it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
