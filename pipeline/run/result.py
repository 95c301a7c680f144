"""What a run leaves behind: the curve of every epoch, which epoch counts, timings, test metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from pipeline.command.errors import PlumblineError
from pipeline.run.config import Cost
from pipeline.run.hits import Hits

Weights = list[NDArray[Any]]
"""The variables of a network, in Keras's order."""

Stop = Literal["completed", "early_stopped", "pruned"]

Confusion = tuple[tuple[int, ...], ...]
"""How many rows of each true class (rows) were taken for each class (columns)."""


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch, counted from 1. `seconds`: training and validation; `finished_at`: Unix time."""

    epoch: int
    metrics: Mapping[str, float]
    seconds: float
    finished_at: float


OnEpoch = Callable[[EpochMetrics], bool]
"""Called after every epoch; returning True ends the training there (pruning)."""


@dataclass(frozen=True)
class Example:
    """A training row, its true class, and the probabilities that a network gives the classes."""

    row: int
    label: int
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class RunResult:
    """A finished run. Everything about the test set was measured after `value` was fixed.

    `value`: the objective, at `best_epoch`, whose weights the test metrics are of. `timings`: seconds
    by phase. `parameters`: trainable weights. `costs`, the same on any machine: `multiply_adds` of one
    prediction, `model_bytes` of the weights in float32 (a file of them has some kilobytes more),
    `training_flops` of the products in all its epochs; what is not known is left out.
    `loop`: the training loop it took. `confusion` and
    `hardest` are of the validation rows, `test_confusion` of the test rows; empty where there are none,
    or too many classes to show. `hits`: which validation rows it is right on; None where there are none, or
    too many. `system`: what its GPU did meanwhile, by metric; empty on a CPU.
    `weights_digest`, `history_digest`: SHA-256 of the network that `value` is of, and of all metrics of
    all epochs (see `pipeline.run.digests`); None in a record of a version that took none.
    `shorter`: what the same run with fewer epochs comes to, by their number, where that was asked for.
    """

    history: tuple[EpochMetrics, ...]
    stop: Stop
    value: float
    best_epoch: int
    test: Mapping[str, float]
    timings: Mapping[str, float]
    examples_per_second: float
    parameters: int
    model_summary: str
    device: str
    loop: str
    costs: Mapping[str, int] = field(default_factory=dict)
    confusion: Confusion = ()
    hardest: tuple[Example, ...] = ()
    test_confusion: Confusion = ()
    system: Mapping[str, float] = field(default_factory=dict)
    hits: Hits | None = None
    weights_digest: str | None = None
    history_digest: str | None = None
    shorter: "Mapping[int, RunResult]" = field(default_factory=dict)

    def cost(self, name: Cost) -> float:
        """One of its costs; the seconds are those of its epochs, whichever run they were trained in.

        Raises PlumblineError where it was not counted.
        """
        if name == "train_seconds":
            return self.seconds
        if name == "parameters":
            return self.parameters
        if name not in self.costs:
            raise PlumblineError(
                f"objective.cost: {name} of this network were not counted (start another study, with "
                "objective.cost=parameters)"
            )
        return self.costs[name]

    @property
    def seconds(self) -> float:
        """Of its epochs, whichever run they were trained in: what is called seconds everywhere."""
        return sum(epoch.seconds for epoch in self.history)

    def final_metrics(self) -> dict[str, float]:
        """What is logged once, at the end of a run."""
        # `train_seconds` is the same again, with what lies between the epochs.
        parts = {name: value for name, value in self.timings.items() if name != "train_seconds"}
        return {
            "objective": self.value,
            "best_epoch": self.best_epoch,
            **self.test,
            "seconds": self.seconds,
            **parts,
            "examples_per_second": self.examples_per_second,
            "parameters": self.parameters,
            **self.costs,
            **self.system,
        }


@dataclass(frozen=True)
class State:
    """All that the epoch after `epoch` depends on: weights, dropout seeds, optimizer.

    `arrays`: empty where they were not kept. A run that goes on from it gives the numbers of the
    epochs after `epoch` in one that was never interrupted. `best`: the weights of the objective's epoch,
    where that is an earlier one. `history`: of the epochs up to there, where they are the run's own
    and count for its objective; empty: they are another trial's.
    """

    epoch: int
    arrays: Weights
    best: Weights | None = None
    history: tuple[EpochMetrics, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A run's result with its arrays: `weights` are the trainable ones of the best epoch."""

    result: RunResult
    weights: Weights
    state: State


class DivergedError(Exception):
    """A loss or a metric became NaN or infinite: the run failed, and running it again won't help."""
