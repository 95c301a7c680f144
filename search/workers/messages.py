"""What the coordinator and a launcher say to each other."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, field_validator

from pipeline.command.errors import ConfigError
from pipeline.command.section import Section, as_override, validated
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, RunResult, State, Weights
from search.machine.template import KERAS, backend_of_workers
from search.study.vocabulary import Attempts

MOST_LANES = 1024
"""A program has an argument or two for each lane; compiling it takes longer the more there are."""


class LauncherConfig(Section):
    """How trials run, wherever their workers are.

    `threads_per_worker`: CPU threads. `require_gpu`: refuse to train on a CPU. `trials_per_worker`:
    after them a fresh process takes over. `start_seconds`: what a worker may take until it can train.
    `trial_seconds`: deadline of a trial from its start. `attempts`: workers that may die of one trial;
    twice as many launches may end without a word while it runs. `grace_seconds`: what running trials get
    after SIGTERM. `trainer`: dotted path of a function like `search.workers.worker.keras_trainer`.
    """

    require_gpu: bool
    threads_per_worker: Annotated[int, Field(ge=1)]
    trials_per_worker: Annotated[int, Field(ge=1)]
    start_seconds: Annotated[float, Field(gt=0)]
    trial_seconds: Annotated[float, Field(gt=0)] | None
    attempts: Annotated[int, Field(ge=1)]
    grace_seconds: Annotated[float, Field(ge=0)]
    trainer: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]

    @field_validator("trainer")
    @classmethod
    def _lies_in_a_module(cls, trainer: str) -> str:
        if (place := _lacking(trainer)) is not None:
            raise ValueError(
                f"launcher.trainer: there is no {place} here, got {trainer} (a function like "
                "search.workers.worker.keras_trainer; its module must be importable)"
            )
        return trainer


class LocalConfig(LauncherConfig):
    """Workers on this machine.

    `workers`: None is `workers_per_gpu` on each GPU, or one per CPU core where there are none. `lanes`:
    trials that a worker trains at once, those of one shape by one program; auto is as many as there is
    use and memory for.
    """

    name: Literal["local"]
    workers: Annotated[int, Field(ge=1)] | None
    workers_per_gpu: Annotated[int, Field(ge=1)]
    lanes: Annotated[int, Field(ge=1, le=MOST_LANES)] | Literal["auto"]

    @property
    def width(self) -> int:
        """How many lanes a worker has: one as long as it is not settled (`search.coordination.lanes`)."""
        return 1 if self.lanes == "auto" else self.lanes


class RayConfig(LauncherConfig):
    """Workers on a Ray cluster.

    `workers`: None is one per CPU core of this machine, and only for a cluster of the launch's own.
    `address`: `host:port` on a node of the cluster, `ray://host:port` from elsewhere; None is the one
    that RAY_ADDRESS names, or else a cluster on this machine that ends with the launch. `num_cpus`,
    `num_gpus`: what a worker takes of a node. `start_seconds` is also how long the cluster may be
    without any worker before the launch ends.
    """

    name: Literal["ray"]
    workers: Annotated[int, Field(ge=1)] | None
    address: Annotated[str, Field(pattern=r"^(ray://)?[^\s:/]+:\d+$")] | None
    num_cpus: Annotated[float, Field(ge=0)]
    num_gpus: Annotated[float, Field(ge=0)]


def _lacking(name: str) -> str | None:
    """The first part of a dotted `name` that is no module; None where one is, which may hold the rest.

    The module itself is not imported: it may take seconds and hundreds of megabytes.
    """
    words = name.split(".")
    for count in range(1, len(words)):
        place = ".".join(words[:count])
        try:
            found = find_spec(place)
        except (ImportError, ValueError):
            return place
        if found is None:
            parent = sys.modules.get(place.rpartition(".")[0])
            return None if hasattr(parent, words[count - 1]) else place
        if found.submodule_search_locations is None:
            return None
    return None


def launcher_config(values: Mapping[str, Any]) -> LocalConfig | RayConfig:
    """The settings of the launcher that `values` names. Raises ConfigError."""
    name = values.get("name")
    if name == "local":
        return _with_lanes(validated(LocalConfig, values, "launcher"))
    if name == "ray":
        return validated(RayConfig, values, "launcher")
    raise ConfigError(f"launcher.name: expected 'local' or 'ray', got {as_override(name)}")


def _with_lanes(config: LocalConfig) -> LocalConfig:
    """`config`, where its workers can train as many trials at once as it says."""
    if config.width > 1 and (backend := backend_of_workers()) != "jax":
        raise ConfigError(
            f"launcher.lanes: expected 1 with {backend}, got {config.lanes} (lanes are JAX's: set "
            "KERAS_BACKEND=jax in the environment)"
        )
    if config.width > 1 and config.trainer != KERAS:
        raise ConfigError(
            f"launcher.lanes: expected 1 with a trainer of your own, got {config.lanes} (lanes are those of "
            f"launcher.trainer={KERAS})"
        )
    return config


def workforce(config: LocalConfig | RayConfig, trials: int) -> str:
    """The workers that train so many trials at once, in words."""
    lanes = 1 if isinstance(config, RayConfig) else config.width
    workers = math.ceil(trials / lanes)
    words = f"{workers} worker{'s' * (workers != 1)}"
    return words if lanes == 1 else f"{words} of {lanes} lanes"


@dataclass(frozen=True)
class Task:
    """A trial to run, by its number.

    `start`: where it goes on from, if it does. `keep_state`: whether another may go on from it.
    `milestones`: of how many epochs, fewer than its own, the result is wanted too.
    `alone`: no other trial may run on its GPU, as far as the launcher can see to that. `attempts`: those
    that were made at it.
    """

    number: int
    run: RunConfig
    start: State | None = None
    keep_state: bool = False
    milestones: tuple[int, ...] = ()
    alone: bool = False
    attempts: Attempts = field(default_factory=Attempts)


@dataclass(frozen=True)
class Started:
    """A worker took the trial up; `worker` describes it. It goes on when the launcher is next polled."""

    number: int
    worker: dict[str, str]


@dataclass(frozen=True)
class Epoch:
    """The trial finished an epoch; its worker waits for `Launcher.reply`."""

    number: int
    metrics: EpochMetrics


@dataclass(frozen=True)
class Finished:
    """The trial ran to its end, or was pruned. `state` is there if the task asked for it."""

    number: int
    result: RunResult
    weights: Weights
    state: State | None = None


@dataclass(frozen=True)
class Failed:
    """The trial failed for a reason of its own: running it again would not help.

    `diverged`: its numbers did, which is a result; else something is to be mended.
    """

    number: int
    reason: str
    traceback: str | None = None
    diverged: bool = False


@dataclass(frozen=True)
class OutOfMemory:
    """The GPU had no memory left for the trial. Its worker is not used again.

    `alone`: the launcher kept other trials off that GPU.
    """

    number: int
    reason: str
    alone: bool


@dataclass(frozen=True)
class Excused:
    """The trial's worker was ended for what is not the trial's fault: another's deadline, or memory."""

    number: int
    reason: str


@dataclass(frozen=True)
class Lost:
    """The trial's worker died under it. `shared`: under others, too, and any of them may be to blame."""

    number: int
    reason: str
    shared: bool = False


@dataclass(frozen=True)
class Broken:
    """A worker can't train at all: its data or its libraries fail. No worker would fare better.

    `unavailable`: nothing is wrong with it, but there is no GPU, or no machine for it.
    """

    reason: str
    unavailable: bool = False


Event = Started | Epoch | Finished | Failed | OutOfMemory | Excused | Lost | Broken


class Launcher(Protocol):
    """Runs tasks on workers. Not thread-safe: one coordinator calls it."""

    def free(self) -> int:
        """How many tasks can be submitted now."""

    def submit(self, task: Task) -> None:
        """Start `task` on a free worker; one that must be alone as soon as its GPU has no other trial.

        If the worker dies before it takes the task up, another one gets it, and nothing is Lost.
        """

    def poll(self, timeout: float) -> list[Event]:
        """What happened, waiting at most `timeout` seconds for something to happen.

        No worker, whatever it does or leaves undone, makes it wait longer.
        """

    def reply(self, number: int, prune: bool) -> None:
        """Answer an Epoch event: the trial goes on, or is pruned."""

    def close(self) -> None:
        """Stop all workers; running trials are given up. Nothing is left running."""
