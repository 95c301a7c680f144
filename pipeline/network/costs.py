"""What a network costs on any machine, as far as its layers are known."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers

_Count = Callable[[Any], int]


def _products(layer: Any, tensor: Any, *kernels: Any) -> int:
    """Each number of `kernels` at each place of `tensor`, an input or output: all but its channels."""
    shape: tuple[int, ...] = tensor.shape[1:]
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    numbers: list[int] = [math.prod(kernel.shape) for kernel in kernels]
    return sum(numbers) * (math.prod(shape) // shape[-1 if last else 0])


def _by_output(layer: Any) -> int:
    return _products(layer, layer.output, layer.kernel)


def _by_input(layer: Any) -> int:
    return _products(layer, layer.input, layer.kernel)


def _separable(layer: Any) -> int:
    return _products(layer, layer.output, layer.depthwise_kernel, layer.pointwise_kernel)


_PRODUCTS: Mapping[type, _Count] = {
    layers.Dense: _by_output,
    layers.Conv1D: _by_output,
    layers.Conv2D: _by_output,
    layers.Conv3D: _by_output,
    layers.DepthwiseConv1D: _by_output,
    layers.DepthwiseConv2D: _by_output,
    layers.SeparableConv1D: _separable,
    layers.SeparableConv2D: _separable,
    layers.Conv1DTranspose: _by_input,
    layers.Conv2DTranspose: _by_input,
    layers.Conv3DTranspose: _by_input,
}
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
