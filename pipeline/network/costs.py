"""What a network costs on any machine, as far as its layers are known."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

_Count = Callable[[Any], int]


def _outputs(layer: Any) -> int:
    """Places at which a kernel is used: all of the output but its channels."""
    shape: tuple[int, ...] = layer.output.shape[1:]
    return math.prod(shape) // shape[-1 if _channels_last(layer) else 0]


def _inputs(layer: Any) -> int:
    """The same of the input, for a layer that spreads each of its places."""
    shape: tuple[int, ...] = layer.input.shape[1:]
    return math.prod(shape) // shape[-1 if _channels_last(layer) else 0]


def _channels_last(layer: Any) -> bool:
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def _kernel(layer: Any) -> int:
    return math.prod(layer.kernel.shape)


_PRODUCTS: Mapping[type, _Count] = {
    layers.Dense: lambda layer: _kernel(layer) * _outputs(layer),
    **{
        kind: lambda layer: _kernel(layer) * _outputs(layer)
        for kind in (layers.Conv1D, layers.Conv2D, layers.Conv3D)
    },
    **{
        kind: lambda layer: _kernel(layer) * _outputs(layer)
        for kind in (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    },
    **{
        kind: lambda layer: (
            math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        ) * _outputs(layer)
        for kind in (layers.SeparableConv1D, layers.SeparableConv2D)
    },
    **{
        kind: lambda layer: _kernel(layer) * _inputs(layer)
        for kind in (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
    },
}  # fmt: skip
"""Products that one row adds up in a layer: each number of its kernel at each place, biases apart."""

_NONE = frozenset(
    kind
    for name, kind in vars(layers).items()
    if isinstance(kind, type)
    and name.startswith((
        "Activation", "ActivityReg", "Add", "AlphaDropout", "Average", "BatchNorm", "Concatenate",
        "Cropping", "Dropout", "ELU", "Flatten", "Gaussian", "Global", "GroupNorm", "Identity", "InputLayer",
        "LayerNorm", "LeakyReLU", "MaxPool", "Maximum", "Minimum", "Multiply", "PReLU", "Permute", "RMSNorm",
        "ReLU", "RepeatVector", "Rescaling", "Reshape", "Softmax", "SpatialDropout", "Subtract",
        "UnitNorm", "UpSampling", "ZeroPadding",
    ))
    and name not in ("AdditiveAttention",)
)  # fmt: skip
"""Layers that take each number by itself, or its neighbours, and have no kernel."""


def trainable(model: keras.Model) -> int:
    """How many weights are trained."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def multiply_adds(model: keras.Model) -> int | None:
    """How many products with a weight of a kernel one prediction adds up; None where that is not known."""
    if uncounted(model) is not None:
        return None
    return sum(_PRODUCTS[type(each)](each) for each in model.layers if type(each) in _PRODUCTS)


def uncounted(model: keras.Model) -> str | None:
    """What keeps `multiply_adds` from being known, in words; None: nothing."""
    for layer in model.layers:
        if type(layer) not in _PRODUCTS and type(layer) not in _NONE:
            return f"nothing here counts what a {type(layer).__name__} computes"
    nodes = () if isinstance(model, keras.Sequential) else model.get_config()["layers"]
    for node in nodes:
        if len(node["inbound_nodes"]) > 1:
            return f"the layer {node['name']} is used more than once"
    return None
