"""The network: a multilayer perceptron with a softmax on top, or one of one's own."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from pipeline.network import custom
from pipeline.network.costs import uncounted
from pipeline.run.config import ModelConfig
from pipeline.run.custom import CustomConfig


@dataclass(frozen=True)
class Knobs:
    """Settings of a network that stay adjustable after it was compiled, as scalar variables."""

    dropout: keras.Variable
    l1: keras.Variable
    l2: keras.Variable

    @classmethod
    def new(cls) -> "Knobs":
        """Knobs at zero."""
        return cls(*(keras.Variable(0.0, trainable=False, name=n) for n in ("dropout", "l1", "l2")))

    def turn(self, config: ModelConfig | CustomConfig) -> None:
        """Set them to what `config` says; a network of one's own has none."""
        if isinstance(config, CustomConfig):
            return
        self.dropout.assign(config.dropout)
        self.l1.assign(config.l1)
        self.l2.assign(config.l2)

    @property
    def variables(self) -> list[keras.Variable]:
        return [self.dropout, self.l1, self.l2]


def seed_of(config: ModelConfig | CustomConfig, seed: int) -> None:
    """Let all that the next network draws come from `seed`, as by `keras.utils.set_random_seed`.

    Keras draws an MLP's seeds by Python's generator alone. TensorFlow's is set where a network of one's
    own may use it: with it TensorFlow drops the kernels of its compiled graphs, and the next epoch takes
    0.1 s longer, a tenth of a short run.
    """
    if isinstance(config, CustomConfig):
        keras.utils.set_random_seed(seed)
    else:
        random.seed(seed)


def build(
    config: ModelConfig | CustomConfig,
    shape: tuple[int, ...],
    classes: int,
    dtype: str = "float32",
    knobs: Knobs | None = None,
) -> keras.Model:
    """An untrained network from inputs of `shape` to `classes` probabilities.

    Initial weights come from the seed of `seed_of`. An MLP's penalties count for every kernel, the output
    layer's too, and never for a bias. `dtype`: Keras's dtype policy; the last layer stays float32.
    With `knobs`, an MLP's dropout and penalties that are not zero are read from them. Raises ConfigError
    where a function of one's own makes no such network.
    """
    if isinstance(config, CustomConfig):
        return custom.build(config, shape, classes, dtype)

    def dense(units: int, activation: str, name: str, dtype: str = dtype) -> keras.layers.Layer:
        penalty = None
        if config.l1 or config.l2:
            penalty = (
                keras.regularizers.L1L2(config.l1, config.l2)
                if knobs is None
                else _Penalty(knobs.l1 if config.l1 else None, knobs.l2 if config.l2 else None)
            )
        return keras.layers.Dense(
            units, activation, kernel_regularizer=penalty, name=name, dtype=dtype
        )

    layers: list[Any] = [keras.Input(shape), keras.layers.Flatten(name="flatten", dtype=dtype)]
    for number, units in enumerate(config.layers, start=1):
        layers.append(dense(units, config.activation, f"hidden_{number}"))
        if config.dropout:
            name = f"dropout_{number}"
            layers.append(
                keras.layers.Dropout(config.dropout, name=name, dtype=dtype)
                if knobs is None
                else _Dropout(knobs.dropout, name=name, dtype=dtype)
            )
    layers.append(dense(classes, "softmax", "probabilities", "float32"))
    return keras.Sequential(layers, name="mlp")


def weights_of(model: keras.Model) -> list[keras.Variable]:
    """What a network has learned: its trainable weights, then the statistics of its normalizations."""
    return [*model.trainable_variables, *model.non_trainable_weights]


def summary(model: keras.Model) -> str:
    """Keras's table of layers, shapes and parameter counts, and what can't be counted."""
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)
    if (unknown := uncounted(model)) is not None:
        lines.append(f"Its multiply-adds are not known: {unknown}.")
    return "\n".join(lines) + "\n"


class _Dropout(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """Keras's Dropout with a rate that can change after compilation."""

    def __init__(self, rate: keras.Variable, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A function, as Keras would count a variable as one of the layer's weights.
        self._rate: Callable[[], Any] = lambda: rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        rate = keras.ops.cast(self._rate(), inputs.dtype)
        uniform = keras.random.uniform(
            keras.ops.shape(inputs), dtype="float32", seed=self.seed_generator
        )
        kept = uniform >= keras.ops.cast(rate, "float32")
        return keras.ops.where(kept, inputs / (1 - rate), keras.ops.zeros_like(inputs))


class _Penalty(keras.regularizers.Regularizer):  # type: ignore[misc]  # keras ships no types
    """Keras's L1L2 with factors that can change after compilation; None is zero for good."""

    def __init__(self, l1: keras.Variable | None, l2: keras.Variable | None) -> None:
        self._l1, self._l2 = l1, l2

    def __call__(self, x: Any) -> Any:
        total = keras.ops.zeros((), dtype=x.dtype)
        if self._l1 is not None:
            total += keras.ops.cast(self._l1, x.dtype) * keras.ops.sum(keras.ops.absolute(x))
        if self._l2 is not None:
            total += keras.ops.cast(self._l2, x.dtype) * keras.ops.sum(keras.ops.square(x))
        return total

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError("the networks inside a compiled loop are never saved")
