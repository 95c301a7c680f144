"""A network of one's own: every loop trains it as `model.fit` does; what is none is refused in one line."""

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from pipeline.command.errors import ConfigError
from pipeline.data import Arrays, Dataset
from pipeline.lanes.choice import loop_for
from pipeline.network import custom
from pipeline.network.costs import multiply_adds, trainable
from pipeline.network.model import build, summary
from pipeline.run.config import RunConfig
from pipeline.run.custom import SOURCE, CustomConfig
from pipeline.run.digests import weights_digest
from pipeline.training.execute import execute
from pipeline.training.fit import train
from tests.conftest import MakeRunConfig

BACKEND = keras.backend.backend()
SMALL = (
    *("model=custom", "model.build=tests.pipeline.network.test_custom:normalized"),
    *("model.settings={units: 8, dropout: 0.25, l2: 0.001}", "train.batch_size=32"),
    *("train.epochs=4", "train.learning_rate=0.03", "train.validation_split=0.25"),
    *("objective.metric=val_loss", "objective.direction=minimize"),
)


def normalized(settings: dict[str, Any], shape: tuple[int, ...], classes: int) -> keras.Model:
    """All that an MLP has not: statistics, a convolution, penalties on weights and on outputs, a branch."""
    inputs = keras.Input(shape)
    pixels = layers.Reshape((*shape, 1))(inputs)
    penalty = keras.regularizers.L2(settings["l2"])
    features = layers.Conv2D(
        settings["units"],
        3,
        activation="tanh",
        kernel_regularizer=penalty,
        activity_regularizer=penalty if settings["l2"] else None,
    )(pixels)
    features = layers.BatchNormalization(momentum=0.6)(features)
    features = layers.Dropout(settings["dropout"])(layers.Flatten()(features))
    side = layers.Dense(4, activation="tanh")(layers.Flatten()(inputs))
    joined = layers.Concatenate()([features, side])
    return keras.Model(inputs, layers.Dense(classes, "softmax", dtype="float32")(joined))  # fmt: skip


@pytest.fixture(scope="module")
def rows(digits: Dataset) -> Arrays:
    return digits.train_arrays.part(0, 200)


def numbers(run: RunConfig, rows: Arrays, *more: Any) -> tuple[list[dict[str, float]], list[Any]]:
    *_, done = train(run, rows, lambda _: False, *more)
    return [dict(epoch.metrics) for epoch in done.history], done.state.arrays


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [(), ("train.precision=mixed_bfloat16", "model.settings.l2=0.0")], ids=str
)
def test_a_compiled_loop_trains_it_as_model_fit_does(
    run_config: MakeRunConfig, rows: Arrays, more: tuple[str, ...]
) -> None:
    """Its statistics too. On TensorFlow even the units that are dropped are the same."""
    calm = () if BACKEND == "tensorflow" else ("model.settings.dropout=0.0",)
    words = (*SMALL, *more, *calm)
    compiled, plain = (
        numbers(run_config(*words, f"train.loop={loop}"), rows) for loop in ("auto", "keras")
    )
    close = 1e-4 if not more else 0.05
    for one, other in zip(compiled[0], plain[0], strict=True):
        assert one == pytest.approx(other, rel=close)
    assert len(compiled[1]) == len(plain[1])
    if not more:
        for first, second in zip(compiled[1], plain[1], strict=True):
            np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["auto", "keras"])
def test_weights_come_with_the_statistics_of_their_epoch(
    run_config: MakeRunConfig, rows: Arrays, loop: str
) -> None:
    """Put back they give that epoch's scores, which the statistics of a later one would not."""
    *_, done = train(
        run_config(*SMALL, f"train.loop={loop}", "train.epochs=2"), rows, lambda _: False
    )
    validation = rows.part(done.examples, len(rows.inputs))
    then, kept = done.loop.evaluate(validation), done.loop.weights()
    statistics = [weight for weight in kept if weight.shape == (8,)][-2:]
    done.loop.epoch(rows.part(0, done.examples), np.arange(done.examples, dtype=np.int32))
    assert done.loop.evaluate(validation) != then
    assert all(
        (one != now).any() for one, now in zip(statistics, done.loop.weights()[-2:], strict=True)
    )
    done.loop.load_weights(kept)
    assert done.loop.evaluate(validation) == then


@pytest.mark.slow
def test_a_run_that_goes_on_is_one_that_was_never_interrupted(
    run_config: MakeRunConfig, rows: Arrays
) -> None:
    run, other = run_config(*SMALL), run_config(*SMALL, "train.seed=3", "train.learning_rate=0.1")
    whole = numbers(run, rows)
    *_, half = train(run_config(*SMALL, "train.epochs=2"), rows, lambda _: False)
    between = numbers(other, rows)
    rest = numbers(run, rows, half.state)
    assert [dict(epoch.metrics) for epoch in half.history] + rest[0] == whole[0]
    for one, again in zip(rest[1], whole[1], strict=True):
        np.testing.assert_array_equal(one, again)
    assert numbers(other, rows)[0] == between[0] != whole[0]
    if BACKEND in ("tensorflow", "jax"):
        assert loop_for(run, (8, 8), 10) is loop_for(other, (8, 8), 10)


@pytest.mark.slow
def test_a_run_of_it_has_exact_costs_and_the_digest_of_all_its_weights(
    run_config: MakeRunConfig, digits: Dataset
) -> None:
    outcome = execute(run_config(*SMALL, "train.epochs=1"), digits, lambda _: False)
    products = 3 * 3 * 8 * 36 + 64 * 4 + (8 * 36 + 4) * 10
    assert outcome.result.costs["multiply_adds"] == products
    assert outcome.result.parameters == 3 * 3 * 8 + 8 + 2 * 8 + 64 * 4 + 4 + 292 * 10 + 10
    assert outcome.result.costs["model_bytes"] == 4 * (outcome.result.parameters + 2 * 8)
    assert outcome.result.weights_digest == weights_digest(outcome.weights)
    assert len(outcome.weights) == 10, "four pairs, and two statistics"


def sequence(*stack: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 6, 2)), *stack])


COSTS: dict[str, tuple[Callable[[], keras.Model], int | None]] = {
    "dense at every place": (lambda: sequence(layers.Dense(5)), 8 * 6 * 2 * 5),
    "convolution": (lambda: sequence(layers.Conv2D(5, 3, padding="same")), 8 * 6 * 9 * 2 * 5),
    "strides": (lambda: sequence(layers.Conv2D(5, 3, strides=2)), 3 * 2 * 9 * 2 * 5),
    "groups": (lambda: sequence(layers.Conv2D(6, 3, groups=2)), 6 * 4 * 9 * 1 * 6),
    "depthwise": (lambda: sequence(layers.DepthwiseConv2D(3)), 6 * 4 * 9 * 2),
    "separable": (lambda: sequence(layers.SeparableConv2D(5, 3)), 6 * 4 * (9 * 2 + 2 * 5)),
    "transposed": (lambda: sequence(layers.Conv2DTranspose(5, 3, strides=2)), 8 * 6 * 9 * 2 * 5),
    "without a kernel": (
        lambda: sequence(layers.BatchNormalization(), layers.MaxPooling2D(), layers.ReLU()),
        0,
    ),
    "recurrent": (lambda: sequence(layers.Reshape((8, 12)), layers.LSTM(4)), None),
    "attention": (lambda: attention(), None),
    "within another": (lambda: sequence(keras.Sequential([layers.Dense(3)])), None),
    "used twice": (lambda: twice(), None),
    "one's own": (lambda: sequence(Own()), None),
}


class Own(layers.Dense):  # type: ignore[misc]  # keras ships no types
    def __init__(self) -> None:
        super().__init__(3)


def attention() -> keras.Model:
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, layers.MultiHeadAttention(2, 3)(inputs, inputs))


def twice() -> keras.Model:
    inputs, dense = keras.Input((4,)), layers.Dense(4)
    return keras.Model(inputs, dense(dense(inputs)))


@pytest.mark.parametrize("name", COSTS)
def test_products_are_counted_where_that_is_known_and_else_not_guessed(name: str) -> None:
    make, expected = COSTS[name]
    model = make()
    assert multiply_adds(model) == expected
    assert ("multiply-adds are not known" in summary(model)) == (expected is None)
    assert trainable(model) == sum(int(np.prod(v.shape)) for v in model.trainable_weights)


# What is no network.


class Subclassed(keras.Model):  # type: ignore[misc]  # keras ships no types
    def call(self, inputs: Any) -> Any:
        return inputs


def dense(*more: Any, shape: Any = (8, 8), dtype: str | None = None, units: int = 10) -> Any:
    stack = [keras.Input(shape, dtype=dtype), layers.Flatten(), *more]
    return keras.Sequential([*stack, layers.Dense(units, "softmax")])


def raises(*_: Any) -> None:
    raise KeyError("filters")


def several() -> keras.Model:
    inputs = keras.Input((8, 8))
    outputs = layers.Dense(10, "softmax")(layers.Flatten()(inputs))
    return keras.Model(inputs, [outputs, outputs])


WRONG: dict[str, tuple[Any, str]] = {
    "raises": (raises, "raised KeyError: 'filters'"),
    "takes no such arguments": (lambda: None, "raised TypeError: "),
    "nothing": (lambda *_: None, "expected a keras.Model, got NoneType"),
    "a layer": (lambda *_: layers.Dense(10), "expected a keras.Model, got Dense"),
    "no function": (7, "expected a function, mine:build is int 7"),
    "a subclass": (lambda *_: Subclassed(), "expected a functional or Sequential model"),
    "no input": (lambda *_: keras.Sequential([layers.Dense(10)]), "begins with keras.Input(8, 8)"),
    "two outputs": (lambda *_: several(), "expected one input and one output, got 1 and 2"),
    "input": (lambda *_: dense(shape=(8, 8, 1)), "rows of the shape (8, 8), got (8, 8, 1)"),
    "any input": (lambda *_: dense(shape=(None, 8)), None),
    "outputs": (lambda *_: dense(units=5), "outputs of the shape (10,), got (5,)"),
    "whole numbers": (lambda *_: dense(dtype="int32"), "expected inputs in float32, got int32"),
    "logits": (
        lambda *_: keras.Sequential([keras.Input((8, 8)), layers.Flatten(), layers.Dense(10)]),
        "expected probabilities, which add up to 1, got ",
    ),
    "nothing to train": (
        lambda *_: keras.Sequential([
            keras.Input((8, 8)), layers.Flatten(), layers.Dense(10, "softmax", trainable=False),
        ]),
        "expected weights to train, got none",
    ),
}  # fmt: skip


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], keras.Model]]:
    """Makes the network of a function that stands in a module `mine`."""
    module = types.ModuleType("mine")
    monkeypatch.setitem(sys.modules, "mine", module)
    monkeypatch.setattr(custom, "source_of", lambda _: {SOURCE: "digest"})
    custom._made.cache_clear()

    def make(function: Any, dtype: str = "float32") -> keras.Model:
        module.build = function  # type: ignore[attr-defined]
        return build(CustomConfig(build="mine:build", settings={}), (8, 8), 10, dtype)

    yield make
    custom._made.cache_clear()


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_network_for_the_data_is_refused_in_one_line(
    made: Callable[..., keras.Model], name: str
) -> None:
    function, rule = WRONG[name]
    with pytest.raises(ConfigError) as raised:
        made(function)
    message = str(raised.value)
    assert message.startswith("model.build: ")
    assert len(message.splitlines()) == 1
    assert rule is None or rule in message


def test_it_is_made_in_the_precision_of_the_run_and_ends_in_float32(
    made: Callable[..., keras.Model],
) -> None:
    def short(*_: Any) -> keras.Model:
        return dense(layers.Dense(3))

    with pytest.raises(ConfigError, match="expected probabilities in float32, got bfloat16"):
        made(short, "mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32", "as it was"
    custom._made.cache_clear()
    assert made(short).layers[1].compute_dtype == "float32"


@pytest.mark.usefixtures("made")
def test_the_function_can_not_change_the_settings() -> None:
    def greedy(settings: dict[str, Any], *_: Any) -> keras.Model:
        settings["deep"].clear()
        return dense()

    sys.modules["mine"].build = greedy  # type: ignore[attr-defined]
    config = CustomConfig(build="mine:build", settings={"deep": {"a": 1}})
    build(config, (8, 8), 10)
    assert config.settings == {"deep": {"a": 1}}
