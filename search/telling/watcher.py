"""Who follows a study while it runs, and tells everybody else."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from types import TracebackType

from pipeline.command.errors import PlumblineError
from pipeline.tracking.publisher import Publisher
from search.study.endings import STOPPED, Ending, of_error
from search.study.vocabulary import Entry
from search.telling.progress import Progress
from search.telling.reporter import Reporter
from search.telling.runs import Records
from search.telling.summary import SummaryFile
from search.workers.worker import sees_no_gpu

_TELL_SECONDS = 1.0  # how often at most the study as a whole is told of, which takes all its trials
_PUBLISH_SECONDS = 10.0  # how long the end of a study waits for a tracker that does not answer
_REPORT_SECONDS = 180.0  # how long it waits for the last report, which takes idle time only
_STOPPED_SECONDS = 10.0  # the same where the study was stopped


class StudyWatcher:
    """Passes on what happens in a study to the screen, the publisher, the report and the summary.

    As a context manager it tells all of them of the end, however the block ends: of `ending`, which the
    block sets, or of the exception that left it. `on_end`: a command that is called then.
    `seconds_left`: what the launch has left for its end.
    """

    def __init__(
        self,
        progress: Progress,
        records: Records,
        publisher: Publisher | None,
        reporter: Reporter | None,
        summary: SummaryFile,
        ended: Sequence[Entry],
        on_end: str | None = None,
        seconds_left: Callable[[], float] = lambda: float("inf"),
    ) -> None:
        self._progress = progress
        self._records = records
        self._publisher = publisher
        self._reporter = reporter
        self._summary = summary
        self._ended = {entry.number: entry for entry in ended}
        self._on_end = on_end
        self._seconds_left = seconds_left
        self._running: dict[int, Entry] = {}
        self._told_of_the_cpu = False
        self._stale = True  # whether anything of the study as a whole is still to be told
        self._told_at = float("-inf")
        self._unshown: PlumblineError | None = None
        self.ending = STOPPED
        self.unpublished = 0  # runs, after the end
        self._publish_study(None)
        for entry in ended:  # what an earlier launch recorded but could not publish
            self._publish(entry)

    def __enter__(self) -> "StudyWatcher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
            return
        self.ending = of_error(error)
        with suppress(PlumblineError):  # the launch's own error is the one to be told
            self._end()

    def begin(self) -> None:
        """Have the summary say that the study runs, before its first trial does."""
        self._write_summary(None)
        self._stale = False
        self._told_at = time.monotonic()

    def running(self, trials: Mapping[int, Entry], last: bool) -> None:
        """Show and publish what is new of the running trials. Raises what `ended` could not show.

        `last`: none will come after them.
        """
        if self._unshown is not None:
            raise self._unshown
        self._progress.update(trials)
        if self._stale and time.monotonic() - self._told_at >= _TELL_SECONDS:
            self._tell_of_the_study()
        if self._reporter is not None:
            self._reporter.tick(spare=last)
        for number, trial in trials.items():
            if trial.worker and self._is_news(self._running.get(number), trial):
                self._running[number] = trial
                self._tell_of_the_cpu(trial.worker)
                self._publish(trial)

    def ended(self, entry: Entry) -> None:
        """Show and publish a trial that ended. Others may have ended with it, so it raises nothing."""
        self._running.pop(entry.number, None)
        self._ended[entry.number] = entry
        self._stale = True
        self._publish(entry)
        try:
            self._progress.ended(entry)
        except PlumblineError as error:  # nobody reads the output any more, or it can't be written
            self._unshown = error
        if self._reporter is not None:
            self._reporter.trial_ended()

    def over(self, ending: Ending) -> None:
        """The study has ended, and its workers end now: its last report can be drawn meanwhile."""
        self.ending = ending
        if self._reporter is not None:
            self._reporter.draw()

    def _end(self) -> None:
        """Take the steps below from the last to the first, each whatever becomes of those before it."""
        with ExitStack() as steps:
            steps.callback(self._call_on_end)
            steps.callback(self._close_reporter)
            steps.callback(self._close_publisher)
            steps.callback(self._close_summary)
            steps.callback(self._say_how)

    def _say_how(self) -> None:
        failed = sum(entry.state == "failed" for entry in self._ended.values())
        count = f"{len(self._ended)} of {self._records.about.trials} trials, {failed} failed"
        self._progress.note(f"{self.ending.words} ({count}).")

    def _close_summary(self) -> None:
        try:
            self._write_summary(self.ending)
        except OSError as error:  # of a full disk, say: how the launch ended does not hang on it
            self._progress.note(f"study.summary: {error}")

    def _close_publisher(self) -> None:
        if self._publisher is None:
            return
        for entry in self._running.values():
            self._publisher.update(self._records.given_up(entry))
        self._publish_study(self.ending)
        self.unpublished = 1  # until it is known: a signal may come meanwhile
        with self._progress.waiting("publishing to MLflow"):
            self.unpublished = self._publisher.close(_PUBLISH_SECONDS)

    def _close_reporter(self) -> None:
        if self._reporter is not None:
            patience = _STOPPED_SECONDS if self.ending.exit_code else _REPORT_SECONDS
            patience = 0 if self.unpublished else min(patience, self._seconds_left())
            drawn = self._reporter.owed and patience > 0
            with self._progress.waiting("drawing the report") if drawn else nullcontext():
                self._reporter.close(patience)

    def _call_on_end(self) -> None:
        if self._on_end is not None:
            self._summary.call(self._on_end, self._progress.note)

    @staticmethod
    def _is_news(before: Entry | None, now: Entry) -> bool:
        """Whether an attempt or an epoch began since."""
        if before is now:  # as most are, of a thousand that run
            return False
        seen = None if before is None else (before.started_at, len(before.history))
        return seen != (now.started_at, len(now.history))

    def _tell_of_the_cpu(self, worker: Mapping[str, str]) -> None:
        if worker.get("device") == "cpu" and "gpu" in worker and not self._told_of_the_cpu:
            self._told_of_the_cpu = True
            self._progress.note(f"GPU {worker['gpu']} is there, but {sees_no_gpu(worker)}")

    def _tell_of_the_study(self) -> None:
        self._write_summary(None)
        self._publish_study(None)
        self._stale = False
        self._told_at = time.monotonic()

    def _write_summary(self, ending: Ending | None) -> None:
        self._summary.write(ending, list(self._ended.values()), self._progress.seconds_left())

    def _publish(self, entry: Entry) -> None:
        if self._publisher is not None:
            self._publisher.update(self._records.of_trial(entry))

    def _publish_study(self, ending: Ending | None) -> None:
        if self._publisher is not None:
            self._publisher.update(self._records.of_study(list(self._ended.values()), ending))
