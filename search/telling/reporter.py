"""Has a study's report made anew while the study runs, by a process that takes only idle time."""

import contextlib
import importlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from pipeline.command.collector import imports_only
from pipeline.command.deadline import bounded
from pipeline.command.redact import redact
from pipeline.command.signals import signals_held
from search.analysis.facts import Source
from search.rendering.publication import UNPUBLISHED, Rendered, publish

_NICENESS = 19
_LOGGED_SECONDS = 5.0  # what a server gets for a report that took all the time there was
_IDLE_SECONDS = 15.0  # what the last report may take of idle time before it gets its share
_MAKER = "search.rendering.report"
"""The module whose `Maker` makes a report: named, as it takes seconds to import."""


class Reporter:
    """Asks a process of its own for the report: every `every` seconds if trials ended, and at the end.

    None of its troubles reaches the study: `note` is told of them. With `every` None it is asked at
    the end only.
    """

    def __init__(self, source: Source, every: float | None, note: Callable[[str], None]) -> None:
        self._source = source
        self._every = every
        self._note = note
        self._folder = tempfile.TemporaryDirectory(prefix="plumbline-report-")
        self._process: BaseProcess | None = None
        self._pipe: connection.Connection[Any, Any] | None = None
        self.owed = False  # a last report, once a trial ended
        self._stale = False  # whether trials ended since a report was asked for
        self._prepared = False  # as far as the last report can be, before the last trials end
        self._drawing = False  # whether the last report was asked for
        self._drawn: Rendered | None = None  # the last report
        self._asked = 0  # how many answers are still to come
        self._problem = ""
        self._last = time.monotonic()

    def trial_ended(self) -> None:
        """The report is out of date. The first time its process starts, to be ready when it is asked."""
        self.owed = self._stale = True
        self._prepared = False
        if self._process is None:
            self._start()

    def tick(self, spare: bool = False) -> None:
        """Ask for a report when it is time; returns at once.

        `spare`: whether a CPU has nothing to do until the study ends. Then it is drawn as far as it can be.
        """
        if self._asked:
            self._hear(0)
        if self._asked:
            return
        due = self._every is not None and time.monotonic() - self._last >= self._every
        if due and self._stale:
            self._last = time.monotonic()
            self._stale = False
            self._ask("report")
        elif spare and self.owed and not self._prepared:
            self._prepared = True
            self._ask("prepare")

    def draw(self) -> None:
        """Have the last report drawn, while its runs are still being published; returns at once."""
        if self.owed and not self._drawing:
            self._ask("draw")
            self._drawing = True

    def close(self, patience: float) -> None:
        """Have the last report drawn, waiting at most `patience` seconds for it, and publish it."""
        until = time.monotonic() + patience
        self._problem = ""  # from here on it is worth saying again
        try:
            if self.owed and patience > 0:
                self._hear(0)
                self.draw()
                self._hear(min(patience, _IDLE_SECONDS))
                if self._asked and time.monotonic() + 1 < until:
                    # Others keep this machine busy, and the study no longer does.
                    self._stop()
                    self._start(niceness=0)
                    self.draw()
                    self._hear(until - time.monotonic())
            if self._drawn is not None and patience > 0:
                self._publish(self._drawn, max(until - time.monotonic(), _LOGGED_SECONDS))
            elif self.owed and (self._asked or patience <= 0):
                self._say(f"not ready within {patience:g} s" if patience else "not published")
        finally:
            self._stop()
            self._folder.cleanup()

    def _publish(self, drawn: Rendered, seconds: float) -> None:
        """Publish it here, where MLflow is imported and open; a server has `seconds` for it."""
        try:
            published = bounded(seconds)(publish)(self._source, drawn)
            problem = drawn.problem if published else UNPUBLISHED
        except Exception as error:  # noqa: BLE001  # whatever it is, the study has ended well
            problem = _words(error)
        if problem:
            self._say(problem)

    def _stop(self) -> None:
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._asked = 0
        self._drawing = False

    def _start(self, niceness: int = _NICENESS) -> None:
        try:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=_main,
                args=(theirs, self._source, Path(self._folder.name), niceness),
                name="plumbline-report",
                daemon=True,
            )
            with signals_held():
                self._process.start()
            theirs.close()
        except OSError as error:
            self._process = None
            self._say(f"{type(error).__name__}: {error}")

    def _ask(self, step: str) -> None:
        for _ in range(2):  # another, where it died
            if self._process is None or not self._process.is_alive():
                self._hear(0)  # that it died, if it owed an answer
                self._stop()
                self._start()
            if self._process is None or self._pipe is None:
                return
            try:
                self._pipe.send(step)
            except OSError:  # it is about to be seen dead
                self._process.join(1.0)
            else:
                self._asked += 1
                return
        self._say(f"the process that makes it can't be asked for {step}")

    def _hear(self, patience: float) -> None:
        """Hear the answers that are still to come, for at most `patience` seconds."""
        until = time.monotonic() + patience
        while self._asked and self._pipe is not None:
            if not self._pipe.poll(max(until - time.monotonic(), 0)):
                return
            self._asked -= 1
            try:
                answer = self._pipe.recv()
            except (EOFError, OSError):
                self._asked = 0
                answer = "the process that makes it died"
            if isinstance(answer, Rendered):
                self._drawn = answer
            elif answer:
                self._say(answer)
        if not self._asked and self._drawn is None:
            self._drawing = False  # it failed, or was not asked for

    def _say(self, problem: str) -> None:
        if problem != self._problem:  # once, not every minute
            self._problem = problem
            self._note(
                f"report: {redact(problem)} (the study is not affected; "
                f"python -m search.report study.name={self._source.name} makes it)"
            )


def _main(
    pipe: "connection.Connection[Any, Any]", source: Source, folder: Path, niceness: int
) -> None:
    """Take the steps of the report that are asked for, until the study's process ends.

    Each is answered with what it made, or else with what went wrong.
    """
    os.nice(niceness)
    for number in (signal.SIGINT, signal.SIGTERM):  # the coordinator's to handle
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # Takes seconds; what fails here is told of below.
    with imports_only(), contextlib.suppress(Exception):
        importlib.import_module(_MAKER).warm()
    maker = None
    while True:
        try:
            step = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            maker = maker or importlib.import_module(_MAKER).Maker(source, folder)
            answer = getattr(maker, step)()
        except Exception as error:  # noqa: BLE001  # whatever it is, the study goes on
            answer = _words(error)
        pipe.send(answer)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
