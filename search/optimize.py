"""Run a study, or go on with it, until it has its target number of trials.

python -m search.optimize +study=dropout
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.publisher import Publisher
    from pipeline.record import Status
    from search.coordinator import Running
    from search.progress import Progress
    from search.records import Records
    from search.study import Entry

# What is slow to import is imported where it is used: --help and a typo answer at once, and the
# worker processes, which import this module again, stay light.


class _Watcher:
    """Passes on what happens in a study to the screen and to the publisher."""

    def __init__(
        self, progress: "Progress", records: "Records", publisher: "Publisher | None"
    ) -> None:
        self._progress = progress
        self._records = records
        self._publisher = publisher
        self._entries: dict[int, Entry] = {}
        self._published: dict[int, tuple[int, int]] = {}

    def begin(self, entries: "list[Entry]") -> None:
        """Publish the study, and what an earlier launch recorded but did not publish."""
        self._entries = {entry.number: entry for entry in entries if entry.state != "running"}
        self._publish_study()
        for entry in self._entries.values():
            self._publish(entry)

    def running(self, trials: "Mapping[int, Running]") -> None:
        self._progress.update(trials)
        for number, trial in trials.items():
            seen = (trial.trial.attempt, len(trial.history))
            if trial.worker and self._published.get(number) != seen:
                self._published[number] = seen
                self._publish(trial.entry)

    def ended(self, entry: "Entry") -> None:
        self._entries[entry.number] = entry
        self._progress.ended(entry)
        self._publish(entry)
        self._publish_study()

    def _publish(self, entry: "Entry") -> None:
        if self._publisher is not None:
            self._publisher.update(self._records.of_trial(entry))

    def _publish_study(self) -> None:
        if self._publisher is not None:
            record = self._records.of_study(list(self._entries.values()), "RUNNING")
            self._publisher.update(record)


def main(values: dict[str, Any]) -> int:
    """Bring the study to its target; 0 when it is met."""
    from pipeline.cli import listing
    from pipeline.compose import CONF
    from search.config import read

    setup = read(values, lambda: listing(CONF, "study"))

    from rich.console import Console

    from pipeline.compose import to_yaml
    from pipeline.data import check_rows, load, locate
    from pipeline.train import dataset_info, open_publisher
    from search.coordinator import Coordinator
    from search.engines.optuna import OptunaEngine
    from search.launchers.local import LocalLauncher, default_workers
    from search.progress import Progress
    from search.records import Records
    from search.report import summary
    from search.study import Study
    from search.trials import TrialTable

    console = Console()
    objective = setup.run.objective
    data = locate(setup.run.data)
    dataset = load(data)
    check_rows(dataset, setup.run.train.validation_split)
    study = Study(setup.study, setup.run, setup.space, dataset.digest, setup.search)
    table = TrialTable.open(setup.storage.url, study)
    records = Records(
        study,
        table.uid,
        dataset_info(dataset),
        to_yaml(setup.values),
        shlex.join(["python", "-m", "search.optimize", *sys.argv[1:]]),
    )
    del dataset  # workers load their own

    engine = OptunaEngine(table, setup.space, setup.make_sampler, setup.sampler_seed, setup.pruner)
    target = min(setup.study.trials, setup.grid_size or setup.study.trials)
    entries = table.entries()
    ended = [entry for entry in entries if entry.state != "running"]
    publisher = open_publisher(setup.tracking)
    if len(ended) >= target:
        console.print(f"Nothing left to do: {setup.study.name} has its {target} trials.")
        workers = 0
    else:
        workers = min(setup.launcher.workers or default_workers(), target - len(ended))
        console.print(
            f"[bold]{setup.study.name}[/]: {setup.study.question or ''} "
            f"{len(ended)} of {target} trials done, {workers} workers.",
            highlight=False,
        )
    progress = Progress(console, setup.study.name, target, max(workers, 1), objective, ended)
    watcher = _Watcher(progress, records, publisher)
    watcher.begin(entries)
    status: Status = "KILLED"
    try:
        if workers:
            launcher = LocalLauncher(setup.launcher, data, workers)
            try:
                with progress:
                    coordinator = Coordinator(
                        study, table, engine, launcher, setup.launcher.attempts, watcher
                    )
                    coordinator.run(target)
            finally:
                launcher.close()
        status = "FINISHED"
    finally:
        entries = table.entries()
        waiting = 0
        if publisher is not None:
            publisher.update(records.of_study(entries, status))
            waiting = publisher.close(patience=10)
    console.print(summary(entries, objective), crop=False)  # to be pasted whole
    if waiting:
        console.print(f"{waiting} runs could not be published to {setup.tracking.uri} yet.")
    elif publisher is not None:
        console.print(f"\nCompare the trials: make ui, then experiment {setup.study.name!r}.")
    return 0


def _help(config_dir: Path) -> str:
    from pipeline.cli import listing

    return f"studies (+study=NAME):\n{listing(config_dir, 'study')}"


if __name__ == "__main__":
    from pipeline.cli import command

    description = "Run a study, or go on with it, until it has its target number of trials."
    sys.exit(command(sys.argv[1:], main, "search.optimize", description, _help))
