"""The network: a multilayer perceptron with a softmax on top."""

import keras

from pipeline.config import ModelConfig


def build(config: ModelConfig, shape: tuple[int, ...], classes: int) -> keras.Model:
    """An untrained MLP from inputs of `shape` to `classes` probabilities.

    Initial weights come from Keras's global seed. The penalties count for every kernel, the output
    layer's too, and never for a bias.
    """

    def dense(units: int, activation: str, name: str) -> keras.layers.Layer:
        penalty = keras.regularizers.L1L2(config.l1, config.l2) if config.l1 or config.l2 else None
        return keras.layers.Dense(units, activation, kernel_regularizer=penalty, name=name)

    layers: list[keras.layers.Layer] = [keras.Input(shape), keras.layers.Flatten(name="flatten")]
    for number, units in enumerate(config.layers, start=1):
        layers.append(dense(units, config.activation, f"hidden_{number}"))
        if config.dropout:
            layers.append(keras.layers.Dropout(config.dropout, name=f"dropout_{number}"))
    layers.append(dense(classes, "softmax", "probabilities"))
    return keras.Sequential(layers, name="mlp")


def summary(model: keras.Model) -> str:
    """Keras's table of layers, shapes and parameter counts."""
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lines.append)
    return "\n".join(lines) + "\n"
