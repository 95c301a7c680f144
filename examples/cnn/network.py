"""A small convolutional network: a network of one's own, from settings to a keras.Model.

python -m pipeline.train model=custom model.build=examples.cnn.network:build model.settings.filters=16
"""

from typing import Any

import keras
from keras import layers


def build(settings: dict[str, Any], shape: tuple[int, ...], classes: int) -> keras.Model:
    """Three times convolution, normalization and pooling, then a softmax; images may have channels."""
    return network(shape, classes, **settings)


def network(
    shape: tuple[int, ...], classes: int, filters: int = 16, dropout: float = 0.0
) -> keras.Model:
    stack = [keras.Input(shape), layers.Reshape((*shape[:2], -1))]
    for width in (filters, 2 * filters, 4 * filters):
        stack.append(layers.Conv2D(width, 3, padding="same", use_bias=False))
        stack += [layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dropout(dropout)]
    return keras.Sequential([*stack, layers.Dense(classes, "softmax", dtype="float32")])
