"""The network as it is shipped: raw pixels or feature rows go in, probabilities come out."""

from typing import Any

import keras
import numpy as np

from pipeline.data import Dataset
from pipeline.network.loop import assign
from pipeline.network.model import build, weights_of
from pipeline.run.config import RunConfig
from pipeline.run.result import Weights

_CLOSE = 1e-6
"""How far scaled features may be from what exact arithmetic gives."""

_SAMPLE = 10_000


def network(
    run: RunConfig, dataset: Dataset, weights: Weights, portable: bool = False
) -> keras.Model:
    """The network of `run` with trained `weights`. It takes scaled features, as in training.

    `portable`: the same function in 32 bits and in operations that LiteRT and ONNX know; it can't be
    saved as `.keras`.
    """
    precision = "float32" if portable else run.train.precision
    model = build(run.model, dataset.shape, dataset.classes, precision)
    assign(weights_of(model), weights)
    if portable:
        for layer in model.layers:
            if getattr(layer, "activation", None) is keras.activations.gelu:
                layer.activation = _gelu
    return model


def with_scaling(model: keras.Model, dataset: Dataset) -> keras.Model:
    """`model` with the scaling of `dataset` before it, in layers of Keras's own."""
    dtype = input_dtype(dataset)
    layers: list[keras.layers.Layer] = []
    low, span = dataset.low, dataset.high - dataset.low
    # Two steps, as in training: subtracting first keeps the digits of a column far from 0.
    # Given as arrays, for Keras rounds lists to 32 bits.
    if np.any(low != 0):
        layers.append(keras.layers.Rescaling(1.0, -low, dtype=dtype, name="shift"))
    if np.any(span != 1):
        layers.append(keras.layers.Rescaling(1 / span, dtype=dtype, name="scale"))
    # Not as Sequential, which would round its inputs to 32 bits before the first layer.
    outputs = inputs = keras.Input(dataset.shape, dtype=dtype, name="inputs")
    sequence = model.layers if isinstance(model, keras.Sequential) else [model]
    for layer in [*layers, *sequence]:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name=f"raw_{model.name}")


def input_dtype(dataset: Dataset) -> str:
    """`float32`, or `float64` where 32 bits would lose what tells the features apart."""
    features = dataset.train.features[:_SAMPLE]
    low, span = dataset.low, dataset.high - dataset.low
    exact = (features.astype(np.float64) - low) / span
    short = (features.astype(np.float32) - low.astype(np.float32)) / span.astype(np.float32)
    if not np.any(low != 0) and not np.any(span != 1):  # no scaling: training saw 32 bits too
        return "float32"
    return "float32" if np.abs(short - exact).max() <= _CLOSE else "float64"


def _gelu(x: Any) -> Any:
    """Keras's exact gelu by erf: its own, by erfc, is known neither to LiteRT nor to tf2onnx."""
    return 0.5 * x * (1.0 + keras.ops.erf(x * float(np.sqrt(0.5))))
