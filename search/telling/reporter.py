"""Has a study's report made anew while the study runs, by a process that takes only idle time."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from pipeline.command.collector import imports_only
from pipeline.command.redact import redact
from search.analysis.facts import Source
from search.workers.stopping import signals_held

_NICENESS = 19
_IDLE_SECONDS = 15.0  # what the last report may take of idle time before it gets its share
_MAKER = "search.rendering.report"
"""The module whose `render_and_publish` makes a report: named, as it takes seconds to import."""


class Reporter:
    """Asks a process of its own for the report: every `every` seconds if trials ended, and at the end.

    None of its troubles reaches the study: `note` is told of them. With `every` None it is asked at
    the end only.
    """

    def __init__(self, source: Source, every: float | None, note: Callable[[str], None]) -> None:
        self._source = source
        self._every = every
        self._note = note
        self._process: BaseProcess | None = None
        self._pipe: connection.Connection[Any, Any] | None = None
        self._owed = False  # a last report, once a trial ended
        self._stale = False  # whether trials ended since a report was asked for
        self._asked = False  # whether an answer is still to come
        self._problem = ""
        self._last = time.monotonic()

    def trial_ended(self) -> None:
        """The report is out of date. The first time its process starts, to be ready when it is asked."""
        self._owed = self._stale = True
        if self._process is None:
            self._start()

    def tick(self) -> None:
        """Ask for a report when it is time; returns at once."""
        if self._asked:
            self._hear(0)
        due = self._every is not None and time.monotonic() - self._last >= self._every
        if due and self._stale and not self._asked:
            self._ask(last=False)

    def close(self, patience: float) -> None:
        """Have the last report made, waiting at most `patience` seconds for it."""
        until = time.monotonic() + patience
        self._problem = ""  # from here on it is worth saying again
        try:
            if self._owed and self._asked:
                self._hear(min(patience, _IDLE_SECONDS))
            if self._owed and not self._asked and patience > 0:
                self._ask(last=True)
                self._hear(min(until - time.monotonic(), _IDLE_SECONDS))
            if self._asked and time.monotonic() + 1 < until:
                # Others keep this machine busy, and the study no longer does.
                self._stop()
                self._start(niceness=0)
                self._ask(last=True)
                self._hear(until - time.monotonic())
            if self._asked or (self._owed and patience <= 0):
                self._say(f"not ready within {patience:g} s" if patience else "not published")
        finally:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._asked = False

    def _start(self, niceness: int = _NICENESS) -> None:
        try:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_main,
                args=(theirs, self._source, niceness),
                name="plumbline-report",
                daemon=True,
            )
            with signals_held():
                self._process.start()
            theirs.close()
        except OSError as error:
            self._process = None
            self._say(f"{type(error).__name__}: {error}")

    def _ask(self, last: bool) -> None:
        self._last = time.monotonic()
        if self._process is None or not self._process.is_alive():
            self._start()
        if self._process is None or self._pipe is None:
            return
        try:
            self._pipe.send(last)
        except OSError as error:
            self._say(f"{type(error).__name__}: {error}")
        else:
            self._asked, self._stale = True, False

    def _hear(self, patience: float) -> None:
        if self._pipe is None or not self._pipe.poll(max(patience, 0)):
            return
        self._asked = False
        try:
            problem = self._pipe.recv()
        except (EOFError, OSError):
            problem = "the process that makes it died"
        if problem:
            self._say(problem)

    def _say(self, problem: str) -> None:
        if problem != self._problem:  # once, not every minute
            self._problem = problem
            self._note(
                f"report: {redact(problem)} (the study is not affected; "
                f"python -m search.report study.name={self._source.name} makes it)"
            )


def _main(pipe: "connection.Connection[Any, Any]", source: Source, niceness: int) -> None:
    """Answer every request with what went wrong, or an empty text, until the study's process ends."""
    os.nice(niceness)
    for number in (signal.SIGINT, signal.SIGTERM):  # the coordinator's to handle
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # Takes seconds; what fails here is told of below.
    with imports_only(), contextlib.suppress(Exception):
        for name in (_MAKER, "pipeline.tracking.mlflow"):
            importlib.import_module(name)
    while True:
        try:
            last = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            problem = importlib.import_module(_MAKER).render_and_publish(source, last)
        except Exception as error:  # noqa: BLE001  # whatever it is, the study goes on
            problem = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        pipe.send(problem)
