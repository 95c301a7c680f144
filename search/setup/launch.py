"""One launch of a study, from its configuration to its exit code."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.command import public
from pipeline.command.cli import listing
from pipeline.command.compose import conf_folder, to_yaml
from pipeline.command.errors import StorageError
from pipeline.run.config import DataConfig
from pipeline.tracking.config import open_publisher
from pipeline.tracking.database import database_of
from pipeline.tracking.record import DatasetInfo, dataset_info, environment_tags, tell_doubts
from search.analysis.facts import Source
from search.coordination.coordinator import Coordinator
from search.coordination.prefixes import Prefixes, epochs_in
from search.forecasting.estimator import Estimator
from search.machine.gpu_meter import GpuMeter
from search.machine.gpus import Gpu
from search.setup.farewell import farewell, unpublished
from search.setup.means import (
    estimator_of,
    launcher_for,
    looked_at,
    number_of_workers,
    our_turn,
)
from search.setup.preflight import check_network
from search.setup.read import Setup, read
from search.setup.start import warm_start, words
from search.steering.launches import announce
from search.steering.retrying import reopened
from search.study.endings import BUDGET, STOPPED, Ending, of_error
from search.study.ranking import Ranking
from search.study.space import replaced
from search.study.vocabulary import About, Entry, Study
from search.telling.progress import Progress
from search.telling.reporter import Reporter
from search.telling.runs import Records
from search.telling.summary import SummaryFile
from search.telling.watcher import StudyWatcher
from search.trial_table.attributes import WarmStart
from search.trial_table.postgres import LostError
from search.trial_table.storage import check_writable, errors_named
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Launcher, workforce
from search.workers.stopping import Stopper


@dataclass(frozen=True)
class _Ground:
    """The data and the GPUs of a launch, looked at before anything is created."""

    data: DataConfig
    dataset: DatasetInfo
    gpus: Sequence[Gpu] = ()
    warm_start: WarmStart = field(default_factory=WarmStart)


def launch(values: dict[str, Any], command: str) -> int:
    """Bring the study of `values` to its target; the exit code. `command`: what to type to go on."""
    began = time.monotonic()
    setup = read(values, lambda: listing(conf_folder(), "study"))
    setup, ground = _look_at_the_ground(setup)
    study = Study(setup.study, setup.run, setup.space, ground.dataset, setup.search)
    url, lock = setup.storage.url, setup.study.lock
    with errors_named(url), ExitStack() as stack:
        if (storage := our_turn(url, setup.study.name, lock, stack)) is None:
            return 0
        if setup.study.forecast:
            from search.setup.forecast import foretold  # only here: few ask for it

            print(*foretold(setup, values), sep="\n", flush=True)
        table = TrialTable.open(storage, study)
        table.describe(_about(study, values, command))
        table.learn(ground.warm_start)
        if setup.study.retry is not None:
            print(f"study.retry=failed: {reopened(table)}.", flush=True)
        weights = _best_weights(setup, table)
        wanted = number_of_workers(setup.launcher, ground.gpus)
        workers = min(wanted, max(setup.study.trials - len(_ended(table)), 1))
        screen = Console(highlight=False, markup=False)
        estimator = estimator_of(setup, study, table, wanted, ground.gpus)
        progress = _progress(setup, table, workers, screen, estimator)
        deadline = began + (setup.study.max_seconds or float("inf"))
        asked = announce(storage, table.name, workers)
        stopper = Stopper(setup.launcher.grace_seconds, progress.note, deadline, asked)
        with _watcher(setup, table, progress, stopper) as watcher, _kept_on_record(setup, table):
            if _is_finished(setup, table):
                weights.remove_states()
                there = f"Nothing left to do: {_what_there_is(setup, table)}."
                progress.note("\n".join([there, *words(setup, WarmStart(), table.entries())]))
                watcher.ending = table.ending()
            else:
                watcher.begin()
                progress.note(_what_is_to_come(setup, ground, table, workers, wanted))
                progress.waits(f"starting {workforce(setup.launcher, workers)}")
                with (
                    progress,
                    stopper.listening(),
                    closing(_launcher(setup, ground, workers, progress.note)) as launcher,
                ):
                    coordinator = _coordinator(
                        setup, study, table, wanted, launcher, weights, watcher, stopper, estimator
                    )
                    coordinator.run(setup.study.trials)
                    progress.note(coordinator.usage())
                    watcher.over(_ending(setup, table, coordinator, stopper))
        return farewell(setup, table, watcher, screen, command)


def _about(study: Study, values: Mapping[str, Any], command: str) -> About:
    """What people may read of the study: nothing of it is secret."""
    config = public.config(to_yaml(values))
    return study.about(config, public.command(command), environment_tags())


def _look_at_the_ground(setup: Setup) -> tuple[Setup, _Ground]:
    """Look at data, GPUs and folders; for a study that is finished, at what is on record only.

    With the number of its lanes settled.
    """
    table = TrialTable.find(setup.storage.url, setup.study.name)
    if table is not None and _is_finished(setup, table):
        return setup, _Ground(setup.run.data, table.about().dataset)
    setup, data, dataset, gpus = looked_at(setup)
    check_network(setup.run, setup.space, dataset, setup.launcher.start_seconds)
    sizes = setup.space.dimensions.get("train.batch_size")
    largest = {} if sizes is None else {"train.batch_size": max(sizes.probes())}
    info = dataset_info(dataset, replaced(setup.run, largest))
    learnt = warm_start(setup, info, table)
    tell_doubts(info)
    database = None if setup.tracking.name == "none" else database_of(str(setup.tracking.uri))
    files = [Path(setup.study.summary), *([] if database is None else [database])]
    for folder in (Path(setup.storage.weights), *(file.parent for file in files)):
        check_writable(folder)  # the first things that are created
    return setup, _Ground(data, info, gpus, learnt)


def _coordinator(
    setup: Setup,
    study: Study,
    table: TrialTable,
    workers: int,
    launcher: Launcher,
    weights: WeightStore,
    watcher: StudyWatcher,
    stopper: Stopper,
    estimator: Estimator,
) -> Coordinator:
    rows, past = setup.training_rows(study.dataset), table.warm_start.trials
    engine = setup.make_engine(table.entries(), workers, rows, past)
    # Where a trial may end before its own last epoch, nothing is taken from another run.
    whole = not (setup.prunes or engine.continues)
    prefixes = Prefixes(epochs_in(setup.space) if whole else None, table.entries())
    attempts, keep = setup.launcher.attempts, setup.tracking.keep_models
    return Coordinator(
        *(study, table, engine, launcher, weights, attempts, watcher, stopper, keep, prefixes),
        estimator,
    )


def _is_finished(setup: Setup, table: TrialTable) -> bool:
    again = setup.study.retry == "failed"
    return table.is_finished(setup.study.trials, setup.suggests, again)


def _best_weights(setup: Setup, table: TrialTable) -> WeightStore:
    """The arrays of the study, those of its best trials and no others."""
    weights = WeightStore.of(setup.storage.weights, table.name, table.uid)
    ranking = Ranking(setup.run.objective, table.entries())
    weights.keep_only(ranking.numbers(setup.tracking.keep_models))
    return weights


def _ended(table: TrialTable) -> list[Entry]:
    return [entry for entry in table.entries() if entry.state != "running"]


def _progress(
    setup: Setup, table: TrialTable, workers: int, screen: Console, estimator: Estimator
) -> Progress:
    name, target, objective = setup.study.name, setup.study.trials, setup.run.objective
    return Progress(screen, name, target, workers, objective, _ended(table), estimator=estimator)


def _watcher(setup: Setup, table: TrialTable, progress: Progress, stopper: Stopper) -> StudyWatcher:
    """Make the watcher; where nothing is to be done it makes no report and calls no `study.on_end`."""
    study, tracking = setup.study, setup.tracking
    idle = _is_finished(setup, table)
    publisher = None  # it takes seconds to import MLflow and to look what is there
    told = idle and table.is_published(str(tracking.uri), table.ending().status)
    if not (told and not unpublished(setup, table)):
        publisher = open_publisher(tracking, progress.note)
    reporter = None
    if not idle and tracking.name != "none" and tracking.report:
        source = Source(setup.storage.url, study.name, tracking)
        reporter = Reporter(source, tracking.report_seconds, partial(print, file=sys.stderr))
    return StudyWatcher(
        progress,
        Records(table.about(), table.uid, table.retried),
        publisher,
        reporter,
        SummaryFile(Path(study.summary), study.name, study.trials, setup.run.objective),
        _ended(table),
        None if idle else study.on_end,
        lambda: stopper.seconds_left,
    )


@contextmanager
def _kept_on_record(setup: Setup, table: TrialTable) -> Iterator[None]:
    """Have the table keep the error that ends the block, unless it is the table's own."""
    try:
        with errors_named(setup.storage.url):
            yield
    except (StorageError, LostError):
        raise
    except Exception as error:
        table.end(of_error(error))
        raise


def _what_there_is(setup: Setup, table: TrialTable) -> str:
    there = len(table.entries())
    trials = f"{setup.study.name} has its {there} trials"
    return trials if there >= setup.study.trials else f"{trials}, and there are no others to try"


def _what_is_to_come(
    setup: Setup, ground: _Ground, table: TrialTable, workers: int, wanted: int
) -> str:
    """What a launch says before its first trial. `wanted`: workers, were there trials for all."""
    study, done = setup.study, len(_ended(table))
    there = f"{done} of {study.trials} trials done, {workforce(setup.launcher, workers)}."
    lines = [*map(str, ground.gpus), f"{study.name}: {study.question or ''} {there}"]
    order = setup.words_on_order(table.entries(), wanted)
    said = (setup.words_on_engine(), order, setup.words_on_cost())
    start = words(setup, table.warm_start, table.entries())
    return "\n".join([*lines, *filter(None, said), *start])


def _launcher(setup: Setup, ground: _Ground, workers: int, note: Callable[[str], None]) -> Launcher:
    meter = GpuMeter(note) if ground.gpus and setup.tracking.system_metrics else None
    return launcher_for(setup.launcher, ground.data, workers, ground.gpus, meter)


def _ending(setup: Setup, table: TrialTable, coordinator: Coordinator, stopper: Stopper) -> Ending:
    """How a launch ended that no error ended; the table knows it from here on."""
    if coordinator.used_up:
        table.use_up(setup.suggests)
    if not table.is_finished(setup.study.trials):
        table.end(STOPPED if stopper.told else BUDGET)
    return table.ending()
