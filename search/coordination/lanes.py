"""How many lanes a worker gets that is to find out itself: as many as there is use and memory for."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.network.shapes import compiled_with, rows_at_once
from pipeline.run.config import ModelConfig, RunConfig
from search.forecasting.cost import Size, Work
from search.machine.gpus import Gpu
from search.machine.template import KERAS, backend_of_workers
from search.workers.local import default_workers
from search.workers.messages import LocalConfig, RayConfig

_MOST = 128
"""More than that were never tried."""

_SHARE = 0.5
"""Of the free memory of a GPU; the rows, XLA's own buffers and whoever comes later have the rest."""

_STATES = 3
"""Copies of a state that a program holds: what goes in, all lanes' side by side, and what comes out."""

Config = TypeVar("Config", bound=LocalConfig | RayConfig)


def settled(
    config: Config,
    gpus: Sequence[Gpu],
    size: Size,
    runs: Callable[[], Sequence[RunConfig]],
    at_once: int,
) -> Config:
    """`config` with a number for launcher.lanes=auto: a power of two, and one without JAX and a GPU.

    `runs`: what is to be trained, or a sample of it. A worker's share of the trials that there may be
    `at_once` goes to so many shapes as these have; each shape has a program of the full width. All lanes
    of the largest network fit into a share of the memory that is free on the GPU. Says why it is one.
    """
    if not isinstance(config, LocalConfig) or config.lanes != "auto":
        return config
    lanes, why = _lanes(config, gpus, size, runs, at_once)
    if lanes == 1:
        print(f"launcher.lanes=auto is 1: {why}.", file=sys.stderr)
    return config.model_copy(update={"lanes": lanes})


def _lanes(
    config: LocalConfig,
    gpus: Sequence[Gpu],
    size: Size,
    runs: Callable[[], Sequence[RunConfig]],
    at_once: int,
) -> tuple[int, str]:
    """The number, and what keeps it from being more."""
    if (backend := backend_of_workers()) != "jax":
        return 1, f"lanes are JAX's, and KERAS_BACKEND is {backend}"
    if not gpus:
        return 1, "there is no GPU, and on a CPU lanes gain nothing"
    if config.trainer != KERAS:
        return 1, "a trainer of your own trains one run at a time"
    drawn = runs()
    for run in drawn:
        if not isinstance(run.model, ModelConfig):
            return 1, "what a network of your own takes of a GPU is not known"
        if run.train.loop == "keras":
            return 1, "train.loop=keras trains one network at a time"
        if run.objective.cost == "train_seconds":
            return 1, "objective.cost=train_seconds is of a network alone"
    workers = config.workers or default_workers(gpus, config.workers_per_gpu)
    shapes = len({compiled_with(run) for run in drawn})
    use = at_once / workers / shapes
    free = [gpu.free_mib * 2**20 for gpu in gpus if gpu.free_mib is not None]
    room = _SHARE * min(free, default=math.inf) / math.ceil(workers / len(gpus))
    fitting = room / max(lane_bytes(run, size) for run in drawn)
    lanes = 2 ** int(math.log2(max(1, min(use, fitting, _MOST))))
    if fitting < use:
        return lanes, "the GPU has not the memory for two"
    share = f"at once {at_once}, shapes {shapes}, workers {workers}"
    return lanes, f"a worker has less than two runs of a shape ({share})"


def lane_bytes(run: RunConfig, size: Size) -> int:
    """Bytes that a lane takes of a GPU besides the rows: states, and outputs of the rows scored at once."""
    work = Work(run, size)
    outputs = rows_at_once(run) * 4 * (sum(work.layers) + size.classes)
    return _STATES * work.state_bytes + 2 * outputs
