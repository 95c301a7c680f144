"""Run a study, or go on with it, until it has its target number of trials.

python -m search.optimize +study=dropout
"""

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import DataConfig
    from pipeline.record import Status
    from search.config import Setup
    from search.reporter import Reporter
    from search.study import Engine, Entry, Study

# What is slow to import is imported where it is used: --help and a typo answer at once, and the
# worker processes, which import this module again, stay light.

_REPORT_SECONDS = 180.0  # how long the end waits for the last report: it takes idle time only
_STOPPED_SECONDS = 10.0  # the same where the study was stopped


def main(values: dict[str, Any]) -> int:
    """Bring the study to its target. 0: met; 75: stopped before, the same command goes on."""
    from pipeline.cli import listing
    from pipeline.compose import CONF
    from pipeline.data import locate
    from pipeline.errors import StoppedError
    from search.config import read
    from search.lock import LockedError, study_lock
    from search.stopping import stopping_at_once

    setup = read(values, lambda: listing(CONF, "study"))
    name, lock = setup.study.name, setup.study.lock
    data = locate(setup.run.data)
    study = _study(setup, data)  # before the lock, which is the first thing that is created
    url = setup.storage.url
    try:
        with stopping_at_once(), study_lock(url, name, wait=False):
            return _run(setup, data, study)
    except LockedError:
        if lock == "skip":
            print(f"{name}: another launch is running; skipped (study.lock=skip).")
            return 0
        if lock == "fail":
            raise StoppedError(
                f"{name}: another launch of this study is running "
                "(wait for it, or choose study.lock=wait or study.lock=skip)"
            ) from None
    print(f"{name}: another launch is running; waiting for its end.", flush=True)
    with stopping_at_once(), study_lock(url, name, wait=True):
        return _run(setup, data, study)


def _study(setup: "Setup", data: "DataConfig") -> "Study":
    from pipeline.data import check_rows, load
    from pipeline.train import dataset_info
    from search.study import Study

    dataset = load(data)  # to be checked: workers load their own
    check_rows(dataset, setup.run.train.validation_split)
    return Study(setup.study, setup.run, setup.space, dataset_info(dataset), setup.search)


def _run(setup: "Setup", data: "DataConfig", study: "Study") -> int:
    from rich.console import Console

    from pipeline.compose import to_yaml
    from pipeline.record import environment_tags
    from pipeline.train import open_publisher
    from search.coordinator import Coordinator
    from search.devices import visible_gpus
    from search.launchers.local import LocalLauncher, default_workers
    from search.leaderboard import summary
    from search.progress import Progress
    from search.records import Records
    from search.stopping import Stopper
    from search.storage import errors_named
    from search.summary import SummaryFile
    from search.trials import TrialTable
    from search.watcher import StudyWatcher
    from search.weights import WeightStore

    console = Console(highlight=False)
    objective = setup.run.objective
    with errors_named(setup.storage.url):
        table = TrialTable.open(setup.storage.url, study)
        about = study.about(to_yaml(setup.values), shlex.join(_command()), environment_tags())
        table.describe(about)
        entries = table.entries()
        engine = _engine(setup, entries)
        target = min(setup.study.trials, setup.grid_size or setup.study.trials)
        ended = [entry for entry in entries if entry.state != "running"]
        missing = target - len(ended)
        gpus = visible_gpus()
        wanted = setup.launcher.workers
        wanted = wanted or default_workers(gpus, setup.launcher.workers_per_gpu)
        workers = min(wanted, max(missing, 1))
        progress = Progress(console, setup.study.name, target, workers, objective, ended)
        publisher = open_publisher(setup.tracking, progress.note)
        reporter = _reporter(setup) if missing > 0 else None
        glance = SummaryFile(Path(setup.study.summary), setup.study.name, target, objective)
        records = Records(table.about(), table.uid)
        watcher = StudyWatcher(progress, records, publisher, reporter, glance, ended)
        stopper = Stopper(setup.launcher.grace_seconds, progress.note, setup.study.max_seconds)
        status: Status = "KILLED"
        try:
            if missing > 0 or table.interrupted():
                progress.note(
                    f"{setup.study.name}: {setup.study.question or ''} "
                    f"{len(ended)} of {target} trials done, {workers} workers."
                )
                with progress, stopper.listening():
                    launcher = LocalLauncher(setup.launcher, data, workers, gpus)
                    try:
                        coordinator = Coordinator(
                            study,
                            table,
                            engine,
                            launcher,
                            WeightStore(Path(setup.storage.weights) / setup.study.name),
                            setup.launcher.attempts,
                            watcher,
                            stopper,
                            setup.tracking.keep_models,
                        )
                        coordinator.run(target)
                        met = coordinator.met
                        if met and len(table.entries()) < target:
                            progress.note("The engine has nothing more to suggest.")
                        progress.note(coordinator.usage())
                    finally:
                        launcher.close()
            else:
                progress.note(f"Nothing left to do: {setup.study.name} has its {target} trials.")
                met = True
            status = "FINISHED" if met else "KILLED"
        finally:
            unpublished = watcher.close(status)
            if reporter is not None:
                wait = _REPORT_SECONDS if status == "FINISHED" else _STOPPED_SECONDS
                reporter.close(0 if unpublished else wait)
        console.print(summary(table.entries(), objective), crop=False)  # to be pasted whole
    if unpublished:
        progress.note(
            f"\n{unpublished} runs are not published yet: python -m search.publish does it later."
        )
    elif publisher is not None:
        progress.note(f"\nCompare the trials: make ui, then experiment {setup.study.name!r}.")
    if setup.study.on_end is not None and (problem := glance.call(setup.study.on_end)):
        progress.note(problem)
    if not met:
        progress.note(f"\nStopped; the same command goes on:\n  {shlex.join(_command())}")
    return 0 if met else 75


def _engine(setup: "Setup", entries: "Sequence[Entry]") -> "Engine":
    objective = setup.run.objective
    if setup.make_oracle is not None:
        from search.engines.keras_tuner import KerasTunerEngine

        return KerasTunerEngine(objective.direction, setup.space, setup.make_oracle, entries)
    from search.engines.optuna import OptunaEngine

    return OptunaEngine(
        setup.study.name,
        objective.direction,
        objective.metric,
        setup.space,
        setup.make_sampler,
        setup.sampler_seed,
        setup.pruner,
        entries,
    )


def _reporter(setup: "Setup") -> "Reporter | None":
    from search.reporter import Reporter, Source

    if setup.tracking.name == "none" or not setup.tracking.report:
        return None
    source = Source(setup.storage.url, setup.study.name, setup.tracking)
    return Reporter(
        source, setup.tracking.report_seconds, lambda text: print(text, file=sys.stderr)
    )


def _command() -> list[str]:
    return ["python", "-m", "search.optimize", *sys.argv[1:]]


def _help(config_dir: Path) -> str:
    from pipeline.cli import listing

    return (
        f"studies (+study=NAME):\n{listing(config_dir, 'study')}\n\n"
        "exit codes: 0 target met, 2 bad configuration, 69 data or a service can't be reached,\n"
        "74 input/output, 75 stopped and resumable, 1 anything else"
    )


if __name__ == "__main__":
    from pipeline.cli import command

    description = "Run a study, or go on with it, until it has its target number of trials."
    code = command(sys.argv[1:], main, "search.optimize", description, _help)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends already: a late Ctrl-C changes nothing
    sys.exit(code)
