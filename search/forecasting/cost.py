"""What a run makes a worker do, counted from its configuration, and what each of that takes about."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil, prod

from pipeline.data import validation_start
from pipeline.network.shapes import compiled_with
from pipeline.run.config import ModelConfig, RunConfig
from pipeline.tracking.record import DatasetInfo

_FUSED_FROM = 300_000
"""Weights from which their update is one pass (see `pipeline.network.tensorflow`)."""

KERNELS = ("adam", "adamw", "sgd")
"""Optimizers whose update is one pass at every size, and needs no compiling (`pipeline.network.kernels`)."""

_SLOTS = {"sgd": 0, "rmsprop": 1, "adagrad": 1, "lion": 1, "muon": 1, "adafactor": 1}
"""How many arrays of the weights' size an optimizer keeps beside them; 2 where it is not named."""

Amounts = Mapping[str, float]
"""How much there is to do of each kind."""


@dataclass(frozen=True)
class Size:
    """Of a data set: rows that train and validate, rows that test, numbers in a row, classes."""

    rows: int
    test_rows: int
    inputs: int
    classes: int

    @classmethod
    def of(cls, dataset: DatasetInfo, classes: int = 10) -> "Size":
        """That of `dataset`, which does not say its `classes`: they weigh little."""
        rows, *shape = dataset.train_shape
        return cls(rows, dataset.test_shape[0], prod(shape), classes)


@dataclass(frozen=True)
class Work:
    """What `run` makes a worker do, on data of this `size`."""

    run: RunConfig
    size: Size

    @cached_property
    def shape(self) -> str:
        """Equal for runs that share a compiled loop."""
        return compiled_with(self.run)

    @property
    def layers(self) -> tuple[int, ...]:
        """Units of each hidden layer; what a network of one's own takes is told by its runs alone."""
        return self.run.model.layers if isinstance(self.run.model, ModelConfig) else ()

    @cached_property
    def kernels(self) -> tuple[int, ...]:
        """Weights of each layer, without biases."""
        widths = (self.size.inputs, *self.layers, self.size.classes)
        return tuple(before * after for before, after in pairwise(widths))

    @cached_property
    def parameters(self) -> int:
        """Trainable weights."""
        return sum(self.kernels) + sum(self.layers) + self.size.classes

    @property
    def fused(self) -> bool:
        """Whether its optimizer's update is one pass over the weights."""
        return self.run.train.optimizer in KERNELS or self.parameters >= _FUSED_FROM

    @property
    def state_bytes(self) -> int:
        """Of the weights in float32, and of what their optimizer keeps beside them."""
        return 4 * self.parameters * (1 + _SLOTS.get(self.run.train.optimizer, 2))

    @cached_property
    def epoch(self) -> Amounts:
        """What each epoch takes."""
        model, train = self.run.model, self.run.train
        trained = validation_start(self.size.rows, train.validation_split)
        steps, layers, products = (
            ceil(trained / train.batch_size),
            len(self.kernels),
            sum(self.kernels),
        )
        per_unit = trained * sum(self.layers)
        own, steps_of_weights = train.optimizer, steps * self.parameters
        found = {
            "epoch": 1,
            "row": trained * self.size.inputs,
            "step keras" if train.loop == "keras" else "step": steps,
            "layer": steps * layers,
            f"flops {train.precision}": 6 * products * trained,
            "scoring": 2 * products * (self.size.rows - trained),
            f"update {own}": 0 if self.fused else steps * layers,
            f"fused {own}" if self.fused else f"traffic {own}": steps_of_weights,
        }
        if not isinstance(model, ModelConfig):
            return found
        return {
            **found,
            "dropout": per_unit if model.dropout else 0,
            f"activation {model.activation}": 0 if model.activation == "relu" else per_unit,
            "penalty": steps_of_weights * ((model.l1 > 0) + (model.l2 > 0)),
        }

    @cached_property
    def compiling(self) -> Amounts:
        """What the first run of a shape takes in a worker besides."""
        layers, train = len(self.kernels), self.run.train
        return {
            "compile": 1,
            "compile layer": layers,
            f"compile {train.optimizer}": 0 if self.fused else layers,
            "compile fused": layers if self.fused and train.optimizer not in KERNELS else 0,
        }

    @cached_property
    def once(self) -> Amounts:
        """What every run takes once: its network made, scored, recorded."""
        trained = validation_start(self.size.rows, self.run.train.validation_split)
        scored = self.size.test_rows + self.size.rows - trained
        return {
            "begin": 1,
            "begin layer": len(self.kernels),
            "scoring": 2 * sum(self.kernels) * scored,
            "weight": self.parameters,
        }


REFERENCE = {
    "epoch": 0.02, "row": 2e-10, "step": 8e-5, "step keras": 1e-3, "layer": 4e-5,
    "flops float32": 1 / 120e9, "flops mixed_bfloat16": 1 / 120e9, "scoring": 1 / 150e9,
    "dropout": 2e-9, "penalty": 1e-9, "told": 2e-3,
    "compile": 0.5, "compile layer": 0.1, "compile fused": 0.2, "first": 1.8,
    "begin": 0.25, "begin layer": 0.08, "between": 0.12, "weight": 5e-9,
}  # fmt: skip
"""Seconds that one of each kind takes on the machine where it was measured first (docs/forecast.md)."""

_OF_AN_OPTIMIZER = {"update": 3e-5, "traffic": 1e-9, "fused": 2.5e-10, "compile": 0.03}
"""The same for each pass of an optimizer over the weights or what it keeps beside them."""


def reference(kind: str) -> float:
    """Seconds that one of this kind takes on that machine."""
    if kind in REFERENCE:
        return REFERENCE[kind]
    what, _, which = kind.partition(" ")
    if what == "activation":
        return REFERENCE["dropout"]
    return _OF_AN_OPTIMIZER[what] * (1 + _SLOTS.get(which, 2))
