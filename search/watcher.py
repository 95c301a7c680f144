"""Who follows a study while it runs, and tells everybody else."""

import time
from collections.abc import Mapping, Sequence

from pipeline.publisher import Publisher
from pipeline.record import Status
from search.coordinator import Running
from search.progress import Progress
from search.records import Records
from search.reporter import Reporter
from search.study import Entry
from search.summary import SummaryFile
from search.worker import sees_no_gpu

_TELL_SECONDS = 1.0  # how often at most the study as a whole is told of, which takes all its trials
_PUBLISH_SECONDS = 10.0  # how long the end of a study waits for a tracker that does not answer
_STATES: dict[Status, str] = {"FINISHED": "met", "KILLED": "stopped", "FAILED": "failed"}


class StudyWatcher:
    """Passes on what happens in a study to the screen, the publisher, the report and the summary."""

    def __init__(
        self,
        progress: Progress,
        records: Records,
        publisher: Publisher | None,
        reporter: Reporter | None,
        summary: SummaryFile,
        ended: Sequence[Entry],
    ) -> None:
        self._progress = progress
        self._records = records
        self._publisher = publisher
        self._reporter = reporter
        self._summary = summary
        self._ended = {entry.number: entry for entry in ended}
        self._running: dict[int, Entry] = {}
        self._told_of_the_cpu = False
        self._tell_of_the_study()
        for entry in ended:  # what an earlier launch recorded but could not publish
            self._publish(entry)

    def running(self, trials: Mapping[int, Running]) -> None:
        """Show and publish what is new of the running trials."""
        self._progress.update(trials)
        if self._stale and time.monotonic() - self._told_at >= _TELL_SECONDS:
            self._tell_of_the_study()
        if self._reporter is not None:
            self._reporter.tick()
        for number, trial in trials.items():
            if trial.worker and self._is_news(self._running.get(number), trial):
                now = self._running[number] = trial.entry
                self._tell_of_the_cpu(now.worker)
                self._publish(now)

    def ended(self, entry: Entry) -> None:
        """Show and publish a trial that ended."""
        self._running.pop(entry.number, None)
        self._ended[entry.number] = entry
        self._stale = True
        self._progress.ended(entry)
        self._publish(entry)
        if self._reporter is not None:
            self._reporter.trial_ended()

    def close(self, status: Status) -> int:
        """End the study's own run, and those of trials given up; how many runs are not published."""
        try:
            self._write_summary(_STATES[status])
        except (
            OSError
        ) as error:  # of a full disk, say: the launch's own error is the one to be told
            self._progress.note(f"study.summary: {error}")
        if self._publisher is None:
            return 0
        for entry in self._running.values():
            self._publisher.update(self._records.given_up(entry))
        self._publish_study(status)
        return self._publisher.close(_PUBLISH_SECONDS)

    @staticmethod
    def _is_news(before: Entry | None, now: Running) -> bool:
        """Whether an attempt or an epoch began since. Asked of all at each step, so it makes no entry."""
        seen = None if before is None else (before.started_at, len(before.history))
        return seen != (now.started_at, len(now.history))

    def _tell_of_the_cpu(self, worker: Mapping[str, str]) -> None:
        if worker.get("device") == "cpu" and "gpu" in worker and not self._told_of_the_cpu:
            self._told_of_the_cpu = True
            self._progress.note(f"GPU {worker['gpu']} is there, but {sees_no_gpu(worker)}")

    def _tell_of_the_study(self) -> None:
        self._write_summary("running")
        self._publish_study("RUNNING")
        self._stale = False  # whether a trial ended since
        self._told_at = time.monotonic()

    def _write_summary(self, state: str) -> None:
        self._summary.write(state, list(self._ended.values()), self._progress.seconds_left())

    def _publish(self, entry: Entry) -> None:
        if self._publisher is not None:
            self._publisher.update(self._records.of_trial(entry))

    def _publish_study(self, status: Status) -> None:
        if self._publisher is not None:
            self._publisher.update(self._records.of_study(list(self._ended.values()), status))
