"""A forecast of a study: what is known of this machine, what must be measured, and what follows."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from pipeline.command.errors import PlumblineError
from pipeline.command.section import validated
from pipeline.data import load
from pipeline.run.config import DataConfig, RunConfig
from pipeline.tracking.record import dataset_info
from search.coordination.prefixes import epochs_in, key_of
from search.forecasting.advice import advice
from search.forecasting.corners import corners
from search.forecasting.cost import Size
from search.forecasting.estimator import Estimator, curves_of, drawn
from search.forecasting.fit import CostModel
from search.forecasting.forecast import Means, forecast
from search.forecasting.kept import Measured, digest_of
from search.forecasting.measuring import Measuring
from search.forecasting.plays import Asked
from search.forecasting.samples import Sample, machine_of, samples
from search.forecasting.words import duration, words, wrapped
from search.machine.cpus import usable_cpus
from search.machine.gpus import Gpu, visible_gpus
from search.machine.memory import peak_of
from search.scheduling.request import ScheduleConfig
from search.setup.means import (
    check_lanes,
    kept,
    launcher_for,
    looked_at,
    machine,
    number_of_workers,
    trained_so,
)
from search.setup.preflight import check_network
from search.setup.read import Setup
from search.study.vocabulary import Engine, Entry, Study
from search.trial_table.storage import errors_named, find_storage, studies_in
from search.trial_table.trials import TrialTable
from search.workers.local import LocalLauncher
from search.workers.messages import RayConfig
from search.workers.pool import Pool
from search.workers.stopping import Stopper

_SECONDS = 20.0
"""What measuring may take, the start of the workers included."""

_START_SECONDS = 3.0
"""What workers take to start, on the reference's machine, where it was not measured."""

_RUNS = 300
_MOST_ROWS = 500
_BEFORE, _AFTER, _REPORT = 3.0, 2.0, 4.0
"""What a launch takes before its workers start, after its last trial, and there for its report."""


@dataclass(frozen=True)
class _Ground:
    """What a forecast begins with. `entries`: of the study; `others`: of studies of the same data."""

    data: DataConfig
    size: Size
    entries: Sequence[Entry]
    others: Sequence[Entry]
    gpus: Sequence[Gpu]
    workers: int


def foretold(setup: Setup, values: Mapping[str, Any]) -> list[str]:
    """The forecast of a study, line by line. Nothing is created but the file of what was measured."""
    check_lanes(setup, forecasts=True)
    with errors_named(setup.storage.url):
        return _foretold(setup, values)


def _foretold(setup: Setup, values: Mapping[str, Any]) -> list[str]:
    table = TrialTable.find(setup.storage.url, setup.study.name)
    again = setup.study.retry == "failed"
    if table is not None and table.is_finished(setup.study.trials, setup.suggests, again):
        return [
            f"{setup.study.name}: nothing left to do, it has its {len(table.entries())} trials."
        ]
    ground = _look(setup, table)
    runs = drawn(setup.run, setup.space, _RUNS, ground.entries)
    measured, rows = _known(setup, ground, runs)
    costs = CostModel.fit(
        [each for sample in (*measured.samples, *rows) for each in sample.observations()]
    )
    entries = ground.entries
    if again:
        entries = [replace(e, state="running") if e.state == "failed" else e for e in entries]
    asked = Asked(
        setup.run,
        setup.space,
        setup.study.trials,
        len(entries),
        [entry for entry in entries if entry.state == "running"],
        curves_of(entries),
        {entry.number: entry.history[-1].epoch for entry in entries if entry.history},
    )

    quick = setup.quick_to_ask()

    def make_engine() -> Engine:
        trained = setup.training_rows_of(ground.size.rows)
        return quick.make_engine(entries, ground.workers, trained)

    continues = make_engine().continues
    alone = setup.prunes or continues or len(epochs_in(setup.space)) < 2

    def alike(run: RunConfig) -> str | None:
        return None if alone else key_of(run)

    means = _means(setup, values, ground, measured, costs, continues or not alone)
    found = forecast(asked, make_engine, setup.prunes, means, ground.size, costs, runs, alike)
    if not found.trials:
        return [f"{setup.study.name}: nothing left to try."]
    lines = words(
        setup.study.name, found, setup.run, len(measured.samples), len(rows), setup.prunes
    )
    said = advice(setup.study.trials, setup.space, setup.search)
    return lines if said is None else [*lines, wrapped(f"Method: {said}", 0)]


def told_to_schedule(setup: Setup, launch_seconds: float) -> str | None:
    """What launches of so many seconds mean for a study from its start; None: nothing was measured here.

    Only what is kept is looked at: neither its data nor its trial table need to be there yet.
    """
    gpus = visible_gpus()
    workers = number_of_workers(setup.launcher, gpus)
    known = kept(setup.forecast).of(machine(setup.launcher, workers, gpus)).samples
    alike = [sample for sample in known if sample.run.data.name == setup.run.data.name]
    if not alike:
        return None
    size, trials = alike[-1].work.size, setup.study.trials
    runs = drawn(setup.run, setup.space, _RUNS)
    estimator = Estimator(size, lambda _: runs, (), alike, setup.prunes)
    whole, usual = estimator.left(trials, (), workers), estimator.usual
    assert whole is not None and usual is not None  # noqa: PT018  # something is known
    if usual > launch_seconds:
        return (
            f"warning: a trial takes {duration(usual)} on this machine, and a launch has "
            f"{duration(launch_seconds)} for it (raise schedule.hours)"
        )
    launches = math.ceil(whole / launch_seconds)
    return (
        f"On this machine its {trials} trials take {duration(whole)}: {launches} "
        f"launch{'es' if launches > 1 else ''} (python -m search.forecast says more)."
    )


def _look(setup: Setup, table: TrialTable | None) -> _Ground:
    """Look at data, GPUs and rows. Raises as a launch would."""
    setup, data, dataset, gpus = looked_at(setup)
    check_lanes(setup, forecasts=True)  # auto may have come to more
    info = dataset_info(dataset, setup.run)
    entries: Sequence[Entry] = ()
    if table is not None:
        table.check(Study(setup.study, setup.run, setup.space, info, setup.search))
        entries = table.entries()
    return _Ground(
        data,
        Size.of(info, dataset.classes),
        entries,
        _rows_of_others(setup, info.digest),
        gpus,
        number_of_workers(setup.launcher, gpus),
    )


def _rows_of_others(setup: Setup, digest: str) -> list[Entry]:
    """The trials of other studies of the same data in the same database, as far as they are quickly read."""
    storage = find_storage(setup.storage.url)
    found: list[Entry] = []
    if storage is None:
        return found
    for name, described in sorted(studies_in(storage).items()):
        if not described or name == setup.study.name:
            continue
        count = storage.get_n_trials(storage.get_study_id_from_name(name))
        if len(found) + count > _MOST_ROWS:
            continue
        other = TrialTable(storage, name)
        if other.about().dataset.digest == digest:
            found += other.entries()
    return found


def _known(
    setup: Setup, ground: _Ground, runs: Sequence[RunConfig]
) -> tuple[Measured, Sequence[Sample]]:
    """What was measured on this machine, now or before, and the rows of its trials."""
    file, key = kept(setup.forecast), machine(setup.launcher, ground.workers, ground.gpus)
    measured = Measured() if setup.forecast.fresh else file.of(key)
    space = digest_of(setup.run, setup.space, ground.size)
    alike = trained_so((*ground.others, *ground.entries), setup.launcher)

    def rows() -> Sequence[Sample]:
        trains = machine_of(measured.worker) if measured.worker else None
        return samples(alike, ground.size, trains)

    if space not in measured.spaces:
        known = () if setup.forecast.fresh else (*measured.samples, *rows())
        wanted = corners(runs, ground.size, known)
        new = _measure(setup, ground, wanted) if wanted else None
        measured = measured.joined(new, space)
        file.put(key, measured)
    if file.problem:
        print(f"forecast.measured: {file.problem}", file=sys.stderr)
    return measured, rows()


def _measure(setup: Setup, ground: _Ground, runs: Sequence[RunConfig]) -> Measured:
    """Train `runs` on all workers at once, for some seconds; they end with that."""
    check_network(setup.run, setup.space, load(ground.data), setup.launcher.start_seconds)
    print(
        f"{setup.study.name}: measuring, for up to {_SECONDS:.0f} s, once ...",
        file=sys.stderr,
    )
    until = time.monotonic() + _SECONDS
    measuring = Measuring(runs, ground.size, ground.workers, until)
    launcher = launcher_for(setup.launcher, ground.data, ground.workers, ground.gpus)
    with closing(launcher):
        measuring.train(Pool(launcher, setup.launcher.attempts, Stopper(0, print)))
        pids = launcher.pids if isinstance(launcher, LocalLauncher) else []
        peaks = [peak for pid in pids if (peak := peak_of(pid)) is not None]
    if not measuring.samples:
        raise PlumblineError(f"nothing could be measured: {measuring.failed or 'no trial ended'}")
    return Measured(
        worker=measuring.worker,
        samples=tuple(measuring.samples),
        start_seconds=measuring.start_seconds,
        memory_mib=max(peaks, default=None),
    )


def _means(
    setup: Setup,
    values: Mapping[str, Any],
    ground: _Ground,
    measured: Measured,
    costs: CostModel,
    keeps_states: bool,
) -> Means:
    schedule = validated(ScheduleConfig, values["schedule"], "schedule")
    budget = setup.study.max_seconds
    tracked = setup.tracking.name != "none"
    reports = tracked and setup.tracking.report
    cores: int | None = usable_cpus() // setup.launcher.threads_per_worker
    if isinstance(setup.launcher, RayConfig):
        cores = None
    elif ground.gpus:
        cores = ground.workers
    return Means(
        workers=ground.workers,
        cores=cores if cores is None else max(1, cores),
        first_seconds=costs.one("first"),
        start_seconds=measured.start_seconds or costs.speed * _START_SECONDS,
        trials_per_worker=setup.launcher.trials_per_worker,
        before=costs.speed * _BEFORE,
        after=costs.speed * (_AFTER + (_REPORT if reports else 0.0)),
        kept=setup.tracking.keep_models,
        keeps_states=keeps_states,
        tracked=tracked,
        launch_seconds=schedule.study_seconds if budget is None else budget,
        limit="schedule.hours" if budget is None else "study.max_seconds",
        memory_mib=measured.memory_mib,
    )
