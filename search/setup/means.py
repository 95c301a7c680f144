"""What a command trains with: its turn at a study, its data, and workers."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.command.errors import ConfigError, StoppedError
from pipeline.data import Dataset, check_run, load, locate
from pipeline.run.config import DataConfig
from pipeline.tracking.record import dataset_info
from search.coordination.lanes import settled
from search.forecasting.cost import Size
from search.forecasting.estimator import Estimator, drawn
from search.forecasting.kept import Kept, key_of_machine
from search.machine.gpu_meter import GpuMeter
from search.machine.gpus import Gpu, visible_gpus
from search.machine.template import backend_of_workers
from search.setup.read import ForecastConfig, Setup
from search.study.vocabulary import About, Entry, Lock, Study
from search.trial_table.lock import LockedError, study_lock
from search.trial_table.trials import TrialTable
from search.trial_table.writing import Storage
from search.workers.driver import cluster_address
from search.workers.local import LocalLauncher, default_workers
from search.workers.messages import Launcher, LocalConfig, RayConfig
from search.workers.ray import RayLauncher, check

_GENERATIONS = 4
"""A sampler that learns needs results before the last trials: so often, at least, all lanes end."""

_DRAWN = 64
"""Networks of a space that stand for all, where it is asked how many shapes it has."""


def our_turn(url: str, name: str, lock: Lock, stack: ExitStack) -> Storage | None:
    """Lock the study until `stack` closes, and open its storage; None: this launch is skipped.

    What happens where another launch has it, `lock` says. Raises StoppedError.
    """
    try:
        return stack.enter_context(study_lock(url, name, wait=False))
    except LockedError:
        if lock == "skip":
            print(f"{name}: another launch is running; skipped (study.lock=skip).")
            return None
        if lock == "fail":
            raise StoppedError(
                f"{name}: another launch of this study is running "
                "(wait for it, or choose study.lock=wait or study.lock=skip)"
            ) from None
    print(f"{name}: another launch is running; waiting for its end.", flush=True)
    return stack.enter_context(study_lock(url, name, wait=True))


def data_of(about: About, recorded: DataConfig, path: str | None) -> DataConfig:
    """Where the data of a study lie, at `path` if that was said.

    Raises UnavailableError where they are others by now.
    """
    data = locate(recorded.at(path))
    load(data).check(about.dataset.digest, about.name)
    return data


def gpus_of(config: LocalConfig | RayConfig) -> Sequence[Gpu]:
    """The GPUs of this machine that the workers may take; a cluster has its own.

    Raises UnavailableError where one is required and there is none.
    """
    return [] if isinstance(config, RayConfig) else visible_gpus(config.require_gpu)


def looked_at(setup: Setup) -> tuple[Setup, DataConfig, Dataset, Sequence[Gpu]]:
    """The data and the GPUs that a launch of a study takes, looked at before anything is created.

    With the number of its lanes settled.
    """
    setup.check_oracle()
    check_lanes(setup, setup.study.forecast)
    if isinstance(setup.launcher, RayConfig):
        check(setup.launcher)
    gpus = gpus_of(setup.launcher)
    data = locate(setup.run.data)
    dataset = load(data)  # to be checked: workers load their own
    check_run(dataset, setup.run)
    at_once = setup.study.trials // _GENERATIONS
    runs = partial(drawn, setup.run, setup.space, _DRAWN)
    size = Size.of(dataset_info(dataset), dataset.classes)
    launcher = settled(setup.launcher, gpus, size, runs, at_once)
    setup = replace(setup, launcher=launcher)
    check_lanes(setup, setup.study.forecast)
    return setup, data, dataset, gpus


def check_lanes(setup: Setup, forecasts: bool) -> None:
    """Raise ConfigError where trials can't run in the lanes asked for. `forecasts`: one is asked for."""
    if isinstance(setup.launcher, RayConfig) or setup.launcher.width == 1:
        return
    if forecasts:
        raise ConfigError(
            f"launcher.lanes: expected 1 for a forecast, got {setup.launcher.lanes} (it knows workers that "
            "train one trial at a time: ask it with launcher.lanes=1)"
        )
    if setup.run.objective.cost == "train_seconds":
        raise ConfigError(
            f"launcher.lanes: expected 1 with objective.cost=train_seconds, got {setup.launcher.lanes} (the "
            "seconds of a lane are those of its neighbours, too: set objective.cost=multiply_adds)"
        )
    dimension = setup.space.dimensions.get("train.loop")
    check_loops(setup.launcher, [setup.run.train.loop] if dimension is None else dimension.probes())


def check_loops(launcher: LocalConfig | RayConfig, loops: Iterable[object]) -> None:
    """Raise ConfigError where one of these settings of train.loop can't train in lanes."""
    if isinstance(launcher, LocalConfig) and launcher.width > 1 and "keras" in loops:
        raise ConfigError(
            f"launcher.lanes: expected 1 with train.loop=keras, got {launcher.lanes} (Keras's own loop "
            "trains one network at a time: set train.loop=auto)"
        )


def number_of_workers(config: LocalConfig | RayConfig, gpus: Sequence[Gpu]) -> int:
    """How many trials run at once: on the workers asked for, or that the machine has room for."""
    if isinstance(config, RayConfig):
        return config.workers or default_workers(gpus, 1)
    return (config.workers or default_workers(gpus, config.workers_per_gpu)) * config.width


def kept(config: ForecastConfig) -> Kept:
    """What was measured on machines for forecasts."""
    return Kept(Path(config.measured))


def machine(config: LocalConfig | RayConfig, workers: int, gpus: Sequence[Gpu]) -> str:
    """Text that is equal where the same machine trains with as many workers, and so as fast."""
    place = [config.name, config.trainer, *(gpu.name for gpu in gpus)]
    if isinstance(config, RayConfig):
        place += [str(cluster_address(config)), f"{config.num_cpus} {config.num_gpus}"]
    elif config.width > 1:
        place.append(f"{config.width} lanes")
    return key_of_machine(" ".join(place), workers, config.threads_per_worker)


def trained_so(entries: Iterable[Entry], config: LocalConfig | RayConfig) -> list[Entry]:
    """Those of `entries` that ran on such workers as `config` starts: the times of others say nothing."""
    lanes = config.width if isinstance(config, LocalConfig) else 1
    threads = str(config.threads_per_worker)
    ours = {"backend": backend_of_workers(), "threads": threads, "lanes": str(lanes)}
    usual = {**ours, "lanes": "1"}  # where nothing is on record
    return [entry for entry in entries if ours.items() <= {**usual, **entry.worker}.items()]


def estimator_of(
    setup: Setup, study: Study, table: TrialTable, workers: int, gpus: Sequence[Gpu]
) -> Estimator:
    """Of the times of a study, by what was measured on this machine and its trials that ended."""
    measured = kept(setup.forecast).of(machine(setup.launcher, workers, gpus))
    return Estimator.of(
        study.base, study.space, study.dataset, table.entries(), measured.samples, setup.prunes
    )


def launcher_for(
    config: LocalConfig | RayConfig,
    data: DataConfig,
    workers: int,
    gpus: Sequence[Gpu],
    meter: GpuMeter | None = None,
) -> Launcher:
    """What runs as many tasks as `workers` at once. `meter`: tells how busy their GPUs are."""
    if isinstance(config, RayConfig):
        return RayLauncher(config, data, workers)
    return LocalLauncher(config, data, workers, gpus, meter)
