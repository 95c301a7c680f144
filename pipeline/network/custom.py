"""A network of one's own, made by a function and held to what a run needs of it.

`python -m pipeline.network.custom < networks.json` makes several in a process of its own, and says what is
wrong with the first that is: a launch looks before it leaps, and never imports Keras itself.
"""

import importlib
import json
import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np

from pipeline.command.errors import ConfigError
from pipeline.run.custom import SOURCE, CustomConfig, source_of

_TOLERANCE = 1e-3
"""How far probabilities of one row may be from a sum of 1."""


class _Made(NamedTuple):
    """A function, and the SHA-256 of the source that it was read from."""

    function: Callable[..., Any]
    source: str


def imported_source(model: object) -> dict[str, str]:
    """The SHA-256 of the source as this process has it in use, by name; empty for a network of the house.

    It does not follow the file, which may have changed since. Raises ConfigError where it can't be
    imported.
    """
    return {SOURCE: _made(model.build).source} if isinstance(model, CustomConfig) else {}


def build(
    config: CustomConfig, shape: tuple[int, ...], classes: int, dtype: str = "float32"
) -> keras.Model:
    """The network that the function makes, from rows of `shape` to `classes` probabilities.

    It is made under Keras's dtype policy `dtype`. Raises ConfigError where it can't be made, or is none
    that a run can train.
    """
    function = _made(config.build).function
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = function(deepcopy(dict(config.settings)), shape, classes)
    except Exception as error:  # it is anybody's
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise ConfigError(
            f"model.build: {config.build} raised {type(error).__name__}: {reason}"
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    _check(config.build, model, shape, classes)
    settings = json.dumps([config.settings, dtype], sort_keys=True)
    _check_probabilities(config.build, model, shape, classes, settings)
    return model


@cache
def _made(build: str) -> _Made:
    config = CustomConfig(build=build, settings={})
    source = source_of(config)[SOURCE]
    try:
        module = importlib.import_module(config.module)
        function = getattr(module, config.function)
    except Exception as error:  # whatever stands in it
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"model.build: {config.module} can't be imported: {type(error).__name__}: {reason}"
        ) from error
    if not callable(function):
        raise ConfigError(
            f"model.build: expected a function, {build} is {type(function).__name__} {function!r:.40}"
        )
    return _Made(function, source)


def _check(build: str, model: object, shape: tuple[int, ...], classes: int) -> None:
    """Raise ConfigError where `model` is no network from `shape` to `classes` probabilities."""
    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"model.build: {build}: expected a keras.Model, got {type(model).__name__}"
        )
    if not getattr(model, "inputs", None):
        raise ConfigError(
            f"model.build: {build}: expected a functional or Sequential model that begins with "
            f"keras.Input{shape}, got a {type(model).__name__} without inputs"
        )
    inputs, outputs = model.inputs, model.outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConfigError(
            f"model.build: {build}: expected one input and one output, got {len(inputs)} and {len(outputs)}"
        )
    for what, found, wanted in (
        ("rows of the shape", tuple(inputs[0].shape), shape),
        ("outputs of the shape", tuple(outputs[0].shape), (classes,)),
    ):
        if found != (None, *wanted):
            raise ConfigError(
                f"model.build: {build}: expected {what} {wanted}, got {found[1:]}"
                + (f" (begin with keras.Input{shape}, then Reshape)" if wanted == shape else "")
            )
    for tensor, what in ((inputs[0], "inputs"), (outputs[0], "probabilities")):
        if tensor.dtype != "float32":
            raise ConfigError(
                f"model.build: {build}: expected {what} in float32, got {tensor.dtype}"
                + (" (give the last layer dtype='float32')" if what == "probabilities" else "")
            )
    if not model.trainable_variables:
        raise ConfigError(f"model.build: {build}: expected weights to train, got none")


_probable: set[object] = set()


def _check_probabilities(
    build: str, model: keras.Model, shape: tuple[int, ...], classes: int, settings: str
) -> None:
    """Look at what the untrained network gives, once in a process."""
    if (key := (build, shape, classes, settings)) in _probable:
        return
    rows = np.random.default_rng(0).random((2, *shape), np.float32)
    found = np.asarray(keras.ops.convert_to_numpy(model(rows, training=False)))
    sums = found.sum(axis=1)
    if not (np.abs(sums - 1) <= _TOLERANCE).all() or found.min() < 0:
        raise ConfigError(
            f"model.build: {build}: expected probabilities, which add up to 1, got {found.min():.3g} to "
            f"{found.max():.3g} with the sum {sums[0]:.3g} (end with a softmax)"
        )
    _probable.add(key)


def _main() -> None:
    """Make the networks that are asked for on stdin; the last line of stdout says what is wrong, or null."""
    asked = json.load(sys.stdin)
    wrong: dict[str, Any] | None = None
    for place, tree in enumerate(asked["models"]):
        try:
            build(
                CustomConfig.model_validate(tree),
                tuple(asked["shape"]),
                asked["classes"],
                asked["precision"],
            )
        except ConfigError as error:
            wrong = {"place": place, "reason": str(error)}
            break
    print(f"\n{json.dumps(wrong)}", flush=True)


if __name__ == "__main__":
    _main()
