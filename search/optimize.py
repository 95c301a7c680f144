"""Run a study, or go on with it, until it has its target number of trials.

python -m search.optimize +study=dropout
"""

import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import DataConfig
    from pipeline.record import DatasetInfo, Status
    from search.config import Setup
    from search.devices import Gpu
    from search.launchers.base import Launcher
    from search.reporter import Reporter
    from search.server import Storage
    from search.study import Study

# What is slow to import is imported where it is used: --help and a typo answer at once, and the
# worker processes, which import this module again, stay light.

_REPORT_SECONDS = 180.0  # how long the end waits for the last report: it takes idle time only
_STOPPED_SECONDS = 10.0  # the same where the study was stopped


def main(values: dict[str, Any]) -> int:
    """Bring the study to its target. 0: met; 75: stopped before, the same command goes on."""
    from search.stopping import stopping_at_once

    with stopping_at_once():
        return _main(values)


def _main(values: dict[str, Any]) -> int:
    from pipeline.cli import listing
    from pipeline.compose import CONF
    from pipeline.data import locate
    from pipeline.errors import StoppedError
    from search.config import read
    from search.lock import LockedError, study_lock
    from search.storage import check_writable
    from search.study import Study

    began = time.monotonic()
    setup = read(values, lambda: listing(CONF, "study"))
    name, lock = setup.study.name, setup.study.lock
    url = setup.storage.url
    # All checks before the folders and the lock, which are the first things that are created.
    data = setup.run.data
    gpus: Sequence[Gpu] = ()
    dataset = _data_of_a_met_study(setup)
    if dataset is None:
        setup.check_oracle()
        gpus = _gpus(setup)
        data = locate(data)
        dataset = _checked(setup, data)
        for folder in (Path(setup.storage.weights), Path(setup.study.summary).parent):
            check_writable(folder)
    study = Study(setup.study, setup.run, setup.space, dataset, setup.search)
    try:
        with study_lock(url, name, wait=False) as storage:
            return _run(setup, data, study, storage, gpus, began)
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
    with study_lock(url, name, wait=True) as storage:
        return _run(setup, data, study, storage, gpus, began)


def _data_of_a_met_study(setup: "Setup") -> "DatasetInfo | None":
    """What is on record of the data where no trial is missing; None where they must be looked at."""
    from search.trials import TrialTable

    table = TrialTable.find(setup.storage.url, setup.study.name)
    if table is None or table.interrupted() or len(table.entries()) < _target(setup):
        return None
    return table.about().dataset


def _checked(setup: "Setup", data: "DataConfig") -> "DatasetInfo":
    from pipeline.data import check_run, load
    from pipeline.train import dataset_info, tell_doubts
    from search.space import replaced

    dataset = load(data)  # to be checked: workers load their own
    check_run(dataset, setup.run)
    sizes = setup.space.dimensions.get("train.batch_size")
    largest = {} if sizes is None else {"train.batch_size": max(sizes.probes())}
    info = dataset_info(dataset, replaced(setup.run, largest))
    tell_doubts(info)
    return info


def _target(setup: "Setup") -> int:
    return min(setup.study.trials, setup.grid_size or setup.study.trials)


def _run(
    setup: "Setup",
    data: "DataConfig",
    study: "Study",
    storage: "Storage",
    gpus: "Sequence[Gpu]",
    began: float,
) -> int:
    from rich.console import Console

    from pipeline.compose import to_yaml
    from pipeline.errors import StoppedError
    from pipeline.record import environment_tags
    from pipeline.redact import redact
    from pipeline.train import open_publisher
    from search.coordinator import Coordinator
    from search.launchers.local import default_workers
    from search.leaderboard import summary
    from search.progress import Progress
    from search.ranking import Ranking
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
        table = TrialTable.open(storage, study)
        about = study.about(to_yaml(setup.values), shlex.join(_command()), environment_tags())
        table.describe(about)
        entries = table.entries()
        weights = WeightStore(Path(setup.storage.weights) / setup.study.name)
        keep = setup.tracking.keep_models
        weights.keep_only(Ranking(objective, entries).numbers(keep))
        target = _target(setup)
        ended = [entry for entry in entries if entry.state != "running"]
        missing = target - len(ended)
        idle = missing <= 0 and not table.interrupted()
        tracker = str(setup.tracking.uri)
        per_gpu = setup.launcher.workers_per_gpu if setup.launcher.name == "local" else 1
        wanted = setup.launcher.workers or default_workers(gpus, per_gpu)
        workers = min(wanted, max(missing, 1))
        progress = Progress(console, setup.study.name, target, workers, objective, ended)
        publisher = None  # it takes seconds to import MLflow and to look what is there
        if not (idle and table.is_published(tracker, "FINISHED")):
            publisher = open_publisher(setup.tracking, progress.note)
        reporter = _reporter(setup) if missing > 0 else None
        glance = SummaryFile(Path(setup.study.summary), setup.study.name, target, objective)
        records = Records(table.about(), table.uid)
        watcher = StudyWatcher(progress, records, publisher, reporter, glance, ended)
        deadline = began + (setup.study.max_seconds or float("inf"))
        stopper = Stopper(setup.launcher.grace_seconds, progress.note, deadline)
        status: Status = "FAILED"
        try:
            if idle:
                weights.remove_states()
                progress.note(f"Nothing left to do: {setup.study.name} has its {target} trials.")
                met = True
            else:
                for gpu in gpus:
                    progress.note(str(gpu))
                progress.note(
                    f"{setup.study.name}: {setup.study.question or ''} "
                    f"{len(ended)} of {target} trials done, {workers} workers."
                )
                with (
                    progress,
                    stopper.listening(),
                    closing(_launcher(setup, data, workers, gpus, progress.note)) as launcher,
                ):
                    coordinator = Coordinator(
                        study,
                        table,
                        setup.make_engine(entries),
                        launcher,
                        weights,
                        setup.launcher.attempts,
                        watcher,
                        stopper,
                        keep,
                    )
                    coordinator.run(target)
                    met = coordinator.met
                    if met and len(table.entries()) < target:
                        progress.note("The engine has nothing more to suggest.")
                    progress.note(coordinator.usage())
            status = "FINISHED" if met else "KILLED"
        except StoppedError:
            status = "KILLED"
            raise
        finally:
            unpublished = 1  # until it is known: a signal may come meanwhile
            try:
                unpublished = watcher.close(status)
            finally:
                if reporter is not None:
                    patience = _REPORT_SECONDS if status == "FINISHED" else _STOPPED_SECONDS
                    reporter.close(0 if unpublished else min(patience, stopper.seconds_left))
            if setup.study.on_end is not None and not idle:
                glance.call(setup.study.on_end, progress.note)
        if publisher is not None and not unpublished:
            table.mark_published(tracker, status)
        console.print(summary(table.entries(), objective), crop=False)  # to be pasted whole
    if unpublished:
        progress.note(
            f"\n{unpublished} runs are not published yet: python -m search.publish does it later."
        )
    elif setup.tracking.name != "none":
        progress.note(f"\nCompare the trials: make ui, then experiment {setup.study.name!r}.")
    if not met:
        command = redact(shlex.join(_command()))
        progress.note(f"\nStopped; the same command goes on:\n  {command}")
    return 0 if met else 75


def _gpus(setup: "Setup") -> "Sequence[Gpu]":
    """Those of this machine that workers are to use. Raises where no worker can ever start."""
    if setup.launcher.name == "ray":
        from search.launchers.ray import check

        check(setup.launcher)
        return []
    from search.devices import visible_gpus

    return visible_gpus(setup.launcher.require_gpu)


def _launcher(
    setup: "Setup",
    data: "DataConfig",
    workers: int,
    gpus: "Sequence[Gpu]",
    note: Callable[[str], None],
) -> "Launcher":
    if setup.launcher.name == "ray":
        from search.launchers.ray import RayLauncher

        return RayLauncher(setup.launcher, data, workers)
    from search.launchers.local import LocalLauncher
    from search.system import GpuMeter

    meter = GpuMeter(note) if gpus and setup.tracking.system_metrics else None
    return LocalLauncher(setup.launcher, data, workers, gpus, meter)


def _reporter(setup: "Setup") -> "Reporter | None":
    from search.facts import Source
    from search.reporter import Reporter

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
        "exit codes: 0 target met, 2 bad configuration, 69 data, a GPU or a service can't be\n"
        "had, 74 input/output, 75 stopped and resumable, 1 anything else"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun yet: no traceback of imports

    from pipeline.cli import command

    description = "Run a study, or go on with it, until it has its target number of trials."
    sys.exit(command(sys.argv[1:], main, "search.optimize", description, _help))
