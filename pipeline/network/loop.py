"""What a training loop is: a network with its optimizer, moved on by whole epochs."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.data import Arrays
from pipeline.network.model import Knobs, build, weights_of
from pipeline.network.optimizer import make_optimizer
from pipeline.network.shapes import rows_at_once
from pipeline.run.config import RunConfig
from pipeline.run.result import Weights

_LOSSES: dict[str, type[keras.losses.Loss]] = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "mse": keras.losses.MeanSquaredError,
}


@dataclass(frozen=True)
class Scores:
    """Means over rows: the loss with its penalties, and the fraction of right classes."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Predictions:
    """What a network makes of N rows: their scores, and N x classes probabilities."""

    scores: Scores
    probabilities: NDArray[np.float32]


class Loop(ABC):
    """Trains one network at a time; `begin` starts the next one.

    `name` says which way it goes, for the record: the backend's, or `keras` for `model.fit`.
    """

    name: str
    _model: keras.Model
    _optimizer: keras.optimizers.Optimizer

    @abstractmethod
    def begin(self, run: RunConfig, model: keras.Model, rows: int) -> None:
        """Take over the initial weights, statistics and dropout seeds of `model`, with a fresh optimizer.

        `rows`: how many an epoch trains on, which says how long the schedule of the learning rate is.
        """

    @abstractmethod
    def epoch(self, rows: Arrays, order: NDArray[np.int32]) -> Scores:
        """Train on `rows` in batches along `order`, a permutation; mean scores on the way."""

    @abstractmethod
    def evaluate(self, rows: Arrays) -> Scores:
        """Scores of the present weights on `rows`."""

    @abstractmethod
    def predict(self, rows: Arrays) -> Predictions:
        """The same scores, with the probabilities that they are of."""

    def end(self) -> None:  # noqa: B027  # one of its own has nothing to do
        """The run is over, however it ended: there are no more epochs of it."""

    def weights(self) -> Weights:
        """A copy of what the network has learned: its weights, those that are not trained too."""
        return copies(weights_of(self._model))

    def load_weights(self, weights: Weights) -> None:
        """Put `weights` in place."""
        assign(weights_of(self._model), weights)

    def state(self) -> Weights:
        """A copy of all that the next epoch depends on: weights, statistics, dropout seeds, optimizer."""
        return copies(self._state_variables())

    def load_state(self, state: Weights) -> None:
        """Go on from `state`."""
        assign(self._state_variables(), state)

    def _state_variables(self) -> list[keras.Variable]:
        return [
            *self._model.trainable_variables,
            *self._model.non_trainable_variables,
            *self._optimizer.variables,
        ]


def make_loss(run: RunConfig) -> keras.losses.Loss:
    """The loss that `run` names, as a mean over a batch."""
    return _LOSSES[run.train.loss]()


class CompiledLoop(Loop):
    """What the compiled loops share: one network whose settings can be turned between runs."""

    def __init__(self, run: RunConfig, shape: tuple[int, ...], classes: int) -> None:
        self._knobs = Knobs.new()
        self._model = build(run.model, shape, classes, run.train.precision, self._knobs)
        self._loss = make_loss(run)
        self._batch_size = run.train.batch_size
        self._rows_at_once = rows_at_once(run)
        self._optimizer = make_optimizer(run, rows=1)  # as many as there are it hears in `begin`
        self._optimizer.build(self._model.trainable_variables)

    def begin(self, run: RunConfig, model: keras.Model, rows: int) -> None:
        self._knobs.turn(run.model)
        assign(self._model.trainable_variables, model.trainable_variables)
        assign(self._model.non_trainable_variables, model.non_trainable_variables)
        # One of the run's own: its learning rate is another, and some begin at the weights.
        fresh = make_optimizer(run, rows)
        fresh.build(model.trainable_variables)
        assign(self._optimizer.variables, fresh.variables)

    @property
    def model(self) -> keras.Model:
        """The network that is compiled."""
        return self._model

    @property
    def variables(self) -> list[keras.Variable]:
        """What a state has, in its order."""
        return self._state_variables()

    def _penalty(self) -> Any:
        """What the network adds to its loss; that on outputs comes in their precision."""
        return sum(keras.ops.cast(each, "float32") for each in self._model.losses)


_KEPT = 4
"""How many parts stay on the device: those that train, validate and test, and one of the next run."""

_on_device: OrderedDict[tuple[int, int, int], tuple[Arrays, Any, Any]] = OrderedDict()


def on_device(rows: Arrays, put: Callable[[NDArray[Any]], Any]) -> tuple[Any, Any]:
    """`rows` as the backend's tensors, copied by `put` once for all loops of this process.

    The last few are kept: runs that split the rows each in their own way don't fill the memory.
    """
    key = place_of(rows)
    if key not in _on_device:
        # With the rows themselves: as long as they live, nothing else has their address.
        _on_device[key] = (rows, put(rows.inputs), put(rows.targets))
        if len(_on_device) > _KEPT:
            _on_device.popitem(last=False)
    _on_device.move_to_end(key)
    return _on_device[key][1:]


def place_of(rows: Arrays) -> tuple[int, int, int]:
    """Equal for the same rows in the same memory, as long as that lives."""
    inputs, targets = (array.__array_interface__["data"][0] for array in rows)
    return inputs, targets, len(rows.inputs)


def assign(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def copies(variables: Sequence[keras.Variable]) -> Weights:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
