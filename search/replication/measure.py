"""The published networks and a random forest, measured, tracked and set beside what is published."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rich.console import Console

from pipeline.command.errors import ConfigError, StoppedError
from pipeline.command.redact import redact
from pipeline.command.section import validated
from pipeline.data import Dataset, check_run, load, locate
from pipeline.run.config import DataConfig, run_config
from pipeline.tracking.address import runs_page
from pipeline.tracking.config import TrackingConfig, missing, open_publisher
from pipeline.tracking.publisher import Publisher
from pipeline.tracking.record import DatasetInfo, RunRecord, dataset_info, tell_doubts
from pipeline.training.forest import ForestConfig, fit
from search.coordination.lanes import settled
from search.forecasting.cost import Size
from search.machine.gpus import Gpu, visible_gpus
from search.replication.comparison import Compared, as_text
from search.replication.networks import FOREST, Network, ReplicateConfig, chosen
from search.replication.records import EXPERIMENT, of_forest, of_run, of_table
from search.replication.training import Replication, environment
from search.study.vocabulary import Entry
from search.trial_table.lock import LockedError, study_lock
from search.trial_table.storage import StorageConfig, errors_named
from search.trial_table.writing import Storage
from search.workers.local import LocalLauncher, default_workers
from search.workers.messages import LocalConfig, launcher_config, workforce
from search.workers.pool import Pool
from search.workers.stopping import Stopper


def measure(values: Mapping[str, Any], command: str) -> int:
    """Train every network on workers side by side, then the forest; track each, print one table.

    A run that is on record is not trained again. `command`: what to type to go on. Returns 0; 1 where a
    network failed; 75 where it was stopped.
    """
    networks, with_forest = chosen(values)
    replicate = validated(ReplicateConfig, values["replicate"], "replicate")
    forest = validated(ForestConfig, values["forest"], "forest")
    if values["launcher"].get("name") != "local":
        raise ConfigError("launcher: the published networks run on this machine (launcher=local)")
    config = launcher_config(values["launcher"])
    assert isinstance(config, LocalConfig)
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    storage = validated(StorageConfig, values["storage"], "storage")
    gpus = visible_gpus(config.require_gpu)
    run = run_config(values)
    data = locate(run.data)

    @cache
    def read(config: DataConfig) -> Dataset:
        return load(config.model_copy(update={"path": data.path}))

    @cache
    def about(config: DataConfig) -> DatasetInfo:
        return dataset_info(read(config))

    # Checked before anything is created.
    tell_doubts(dataset_info(read(data), run))
    for network in networks:
        check_run(read(network.run.data), network.run)
    seeds = [run for network in networks for run in network.seeded]
    config = settled(config, gpus, Size.of(about(run.data)), lambda: seeds, len(seeds))
    workers = config.workers or default_workers(gpus, config.workers_per_gpu)
    here = environment(config, gpus[0].name if gpus else "cpu")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    with _alone(storage.url) as table:
        runs = Replication(table, networks, lambda run: about(run.data), here, replicate.fresh)
        results = _Results(open_publisher(tracking, console.print), about, console.print)
        try:
            for network, entry in runs.on_record:
                results.add(network, entry)
            if runs.on_record:
                console.print(
                    f"{len(runs.on_record)} runs are on record, of the same data, threads and versions "
                    "(replicate.fresh=true trains them again)."
                )
            if runs.missing:
                at_once = min(workers * config.width, runs.missing)
                _train(runs, config, data, at_once, gpus, results, console)
            if not runs.missing and with_forest:
                results.add_forest(forest, read(data), workers * config.threads_per_worker)
            compared = results.compared(networks)
            if not runs.missing:
                results.publish(of_table(compared, results.began))
        finally:
            unpublished = results.close(tracking)
    if not runs.missing:
        console.print(f"\n{as_text(compared)}")
        if data.name != "mnist":
            console.print(f"\nMeasured on {data.name}: the published figures are of MNIST.")
    if unpublished:
        console.print(
            f"\n{unpublished} runs could not be published to the tracking server: the same command "
            "does it later."
        )
    elif tracking.name != "none":
        page = runs_page(tracking, EXPERIMENT, "test_accuracy")
        console.print(f"\nTracked:{page}")
    if runs.missing:
        console.print(
            f"\nStopped, {runs.missing} runs are missing; the same command goes on:\n"
            f"  {redact(_going_on(command))}"
        )
        return StoppedError.exit_code
    if results.failed:
        console.print("\n" + "\n".join(results.failed))
    return 1 if results.failed else 0


def _going_on(command: str) -> str:
    """The command that goes on: without `replicate.fresh`, as what is on record now is fresh."""
    words = command.split(" ")
    return " ".join(word for word in words if not word.startswith("replicate.fresh="))


@contextmanager
def _alone(url: str) -> Iterator[Storage]:
    """The storage; no other replication writes there in the block. Raises StoppedError."""
    try:
        with errors_named(url), study_lock(url, EXPERIMENT, wait=False) as storage:
            yield storage
    except LockedError:
        raise StoppedError(
            "replicate: another launch of it is running with this storage (wait for it)"
        ) from None


def _train(
    runs: Replication,
    config: LocalConfig,
    data: DataConfig,
    at_once: int,
    gpus: Sequence[Gpu],
    results: "_Results",
    console: Console,
) -> None:
    console.print(f"{runs.missing} runs, {workforce(config, at_once)}.")

    def ended(network: Network, entry: Entry) -> None:
        results.add(network, entry)
        console.print(_line(network, entry))

    stopper = Stopper(config.grace_seconds, console.print)
    with stopper.listening(), closing(LocalLauncher(config, data, at_once, gpus)) as launcher:
        runs.train(Pool(launcher, config.attempts, stopper), ended)


@dataclass
class _Results:
    """Collects what was measured for each row, and publishes it. `failed`: a line for each run."""

    publisher: Publisher | None
    about: Callable[[DataConfig], DatasetInfo]
    note: Callable[[str], None]
    began: float = field(default_factory=time.time)
    failed: list[str] = field(default_factory=list)
    _measured: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    _seconds: dict[str, list[float]] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)

    def add(self, network: Network, entry: Entry) -> None:
        """Take in a run of a network that has ended."""
        self.publish(of_run(network, entry, self.about(network.run.data)))
        if entry.result is None:
            self.failed.append(_line(network, entry))
            return
        metrics = {**entry.result.history[-1].metrics, **entry.result.test}
        self._count(network.name, metrics, entry.result.seconds)

    def add_forest(self, config: ForestConfig, dataset: Dataset, threads: int) -> None:
        """Fit the forest, and take it in."""
        started = time.time()
        fitted = fit(config, dataset, threads)
        seconds = fitted.train_seconds
        self._count(FOREST, fitted.test.metrics, seconds)
        self.note(f"{FOREST}: {_told(fitted.test.metrics, seconds)}")
        self.publish(of_forest(config, fitted, started, dataset_info(dataset)))

    def compared(self, networks: Sequence[Network]) -> list[Compared]:
        """The rows of the table, in the order of the networks; none for one that has only failed."""
        published = {network.name: network.published for network in networks}
        return [
            Compared(name, published.get(name, {}), self._measured[name], self._seconds[name])
            for name in [*published, FOREST]
            if name in self._measured
        ]

    def publish(self, record: RunRecord) -> None:
        self._attempts[record.uid] = record.attempt
        if self.publisher is not None:
            self.publisher.update(record)

    def close(self, tracking: TrackingConfig) -> int:
        """How many runs could not be published, or are not there any more."""
        if self.publisher is None:
            return 0
        return self.publisher.close(patience=30) or len(
            missing(tracking, EXPERIMENT, self._attempts)
        )

    def _count(self, name: str, metrics: Mapping[str, float], seconds: float) -> None:
        self._measured.setdefault(name, []).append(dict(metrics))
        self._seconds.setdefault(name, []).append(seconds)


def _line(network: Network, entry: Entry) -> str:
    name = f"{network.name}, seed {entry.params['train.seed']}"
    if entry.result is None:
        return f"{name}: failed: {entry.reason}"
    return f"{name}: {_told(entry.result.test, entry.result.seconds)}"


def _told(metrics: Mapping[str, float], seconds: float) -> str:
    return f"test accuracy {metrics['test_accuracy']:.4f}, {seconds:.0f} s"
