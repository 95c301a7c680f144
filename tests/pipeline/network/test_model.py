"""The network: what is in it, where, and what its penalties amount to."""

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.network.model import build, seed_of, summary
from pipeline.run.config import ModelConfig
from pipeline.run.custom import CustomConfig


def network(shape: tuple[int, ...] = (4, 3), classes: int = 5, **changes: Any) -> keras.Model:
    values = {
        "hidden_units": 8,
        "depth": 2,
        "dropout": 0.0,
        "activation": "relu",
        "l1": 0.0,
        "l2": 0.0,
    }
    return build(ModelConfig.model_validate({**values, **changes}), shape, classes)


MLP = ModelConfig(hidden_units=8, depth=2, dropout=0.2, activation="relu", l1=0, l2=0)


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def test_depth_is_the_number_of_hidden_layers_and_hidden_units_their_width() -> None:
    model = network(hidden_units=7, depth=3)
    assert names(model) == ["flatten", "hidden_1", "hidden_2", "hidden_3", "probabilities"]
    assert [model.get_layer(f"hidden_{n}").units for n in (1, 2, 3)] == [7, 7, 7]
    assert model.output_shape == (None, 5)
    assert model.input_shape == (None, 4, 3)


def test_a_list_gives_each_layer_its_own_width() -> None:
    model = network(hidden_units=[9, 4], depth=2)
    assert [model.get_layer(f"hidden_{n}").units for n in (1, 2)] == [9, 4]


def test_depth_zero_is_softmax_regression() -> None:
    model = network(depth=0, dropout=0.5)
    assert names(model) == ["flatten", "probabilities"]
    assert model.count_params() == 12 * 5 + 5


@pytest.mark.parametrize(
    ("units", "depth", "parameters"),
    [
        (8, 1, 12 * 8 + 8 + 8 * 5 + 5),
        (8, 2, 12 * 8 + 8 + 8 * 8 + 8 + 8 * 5 + 5),
        ([9, 4], 2, 12 * 9 + 9 + 9 * 4 + 4 + 4 * 5 + 5),
    ],
)
def test_every_layer_has_a_kernel_and_a_bias(
    units: int | list[int], depth: int, parameters: int
) -> None:
    assert network(hidden_units=units, depth=depth).count_params() == parameters


def test_dropout_follows_each_hidden_layer_and_never_the_output() -> None:
    model = network(dropout=0.25)
    assert names(model) == [
        "flatten",
        "hidden_1",
        "dropout_1",
        "hidden_2",
        "dropout_2",
        "probabilities",
    ]
    assert [model.get_layer(f"dropout_{n}").rate for n in (1, 2)] == [0.25, 0.25]


def test_dropout_drops_its_fraction_in_training_only() -> None:
    keras.utils.set_random_seed(0)
    model = network(hidden_units=2000, depth=1, dropout=0.25, activation="sigmoid")
    hidden = keras.Model(model.inputs[0], model.get_layer("dropout_1").output)
    ones = np.ones((1, 4, 3), np.float32)
    assert np.mean(np.asarray(hidden(ones, training=True)) == 0) == pytest.approx(0.25, abs=0.04)
    assert np.mean(np.asarray(hidden(ones, training=False)) == 0) == 0


@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.0, 0.02), (0.01, 0.02)])
def test_the_penalty_is_of_every_kernel_and_no_bias(l1: float, l2: float) -> None:
    keras.utils.set_random_seed(0)
    model = network(l1=l1, l2=l2)
    for layer in model.layers[1:]:
        layer.bias.assign(np.full(layer.bias.shape, 100.0))
    kernels = [np.asarray(layer.kernel, np.float64) for layer in model.layers[1:]]
    assert len(kernels) == 3
    expected = sum(l1 * np.abs(kernel).sum() + l2 * (kernel**2).sum() for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)


def test_without_penalties_there_is_no_penalty() -> None:
    assert network().losses == []


FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "elu": lambda x: x if x > 0 else np.exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (np.exp(x) - 1)),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("activation", FORMULAS)
def test_hidden_layers_compute_their_activation(activation: str) -> None:
    model = network(shape=(1,), hidden_units=1, depth=1, activation=activation)
    layer = model.get_layer("hidden_1")
    layer.set_weights([np.ones((1, 1)), np.zeros(1)])
    for x in (-1.5, 0.7):
        found = float(np.asarray(layer(np.full((1, 1), x, np.float32)))[0, 0])
        assert found == pytest.approx(float(FORMULAS[activation](x)), rel=1e-5)


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu"])
def test_every_other_activation_of_the_configuration_builds(activation: str) -> None:
    model = network(activation=activation)
    assert keras.activations.serialize(model.get_layer("hidden_2").activation) == activation


def test_outputs_are_probabilities() -> None:
    keras.utils.set_random_seed(0)
    outputs = np.asarray(network()(np.random.default_rng(0).normal(size=(6, 4, 3))))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)
    assert (outputs > 0).all()


def test_initial_weights_come_from_the_global_seed() -> None:
    def weights(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        return network().get_layer("hidden_1").get_weights()[0]

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))


def test_a_seed_gives_the_network_that_keras_gives_by_it() -> None:
    def made(seeded: Callable[[], None]) -> list[Any]:
        for used in (random.random, np.random.random):
            used()
        keras.random.normal((2,))
        seeded()
        return [np.asarray(each) for each in build(MLP, (4, 3), 5).variables]

    ours = made(lambda: seed_of(MLP, 7))
    theirs = made(lambda: keras.utils.set_random_seed(7))
    assert len(ours) == 8, "kernels, biases, and the state of each dropout"
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_mlp_leaves_the_compiled_graphs_of_tensorflow_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To set TensorFlow's seed drops their kernels; a network of one's own may draw from it."""
    seeds: list[int] = []
    monkeypatch.setattr(keras.utils, "set_random_seed", seeds.append)
    seed_of(MLP, 7)
    assert seeds == []
    seed_of(CustomConfig(build="networks:small", settings={}), 8)
    assert seeds == [8]


def test_the_summary_lists_layers_and_their_parameters() -> None:
    text = summary(network())
    for word in ("hidden_1", "hidden_2", "probabilities", "104", "221"):
        assert word in text
