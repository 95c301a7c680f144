"""A run in a lane: its state goes through a program that moves several networks of one shape on at once."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp
from numpy.typing import NDArray

from pipeline.data import Arrays
from pipeline.lanes.conductor import Conductor
from pipeline.network.jax import JaxLoop
from pipeline.network.loop import Loop, Predictions, Scores, copies, on_device, place_of
from pipeline.network.model import weights_of
from pipeline.network.optimizer import make_optimizer
from pipeline.run.config import ModelConfig, RunConfig
from pipeline.run.result import Weights

Packed = tuple[Any, ...]
"""The variables of a network and its optimizer as one vector for each of their dtypes."""


class Lane(NamedTuple):
    """What a program takes of one lane: its state on the device, its knobs, the order of its rows."""

    state: Packed
    knobs: NDArray[np.float32]
    order: NDArray[np.int32] | None = None


class Layout:
    """Where in the vectors of a state each variable is: a program of 128 lanes takes few arrays so."""

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._dtypes = sorted({str(variable.dtype) for variable in variables})
        self._parts: list[tuple[int, slice, tuple[int, ...]]] = []
        ends = [0] * len(self._dtypes)
        for variable in variables:
            kind, shape = self._dtypes.index(str(variable.dtype)), tuple(variable.shape)
            start, ends[kind] = ends[kind], ends[kind] + math.prod(shape)
            self._parts.append((kind, slice(start, ends[kind]), shape))

    def pack(
        self, values: Sequence[Any], joined: Callable[..., Any] = np.concatenate
    ) -> tuple[Any, ...]:
        """The vectors of `values`, an array for each variable; `joined` puts arrays end to end."""
        pieces: list[list[Any]] = [[] for _ in self._dtypes]
        for (kind, _, _), value in zip(self._parts, values, strict=True):
            pieces[kind].append(value.reshape(-1))
        return tuple(joined(each) for each in pieces)

    def unpack(self, packed: Sequence[Any]) -> list[Any]:
        """The values of the variables."""
        return [packed[kind][part].reshape(shape) for kind, part, shape in self._parts]


class Lanes:
    """The programs of one shape, for `width` lanes each.

    A program has all its lanes whoever sits in them: one that nobody has is given what the first has,
    and its answer is thrown away. So what a lane comes to depends on its own state and on the width,
    and on nothing that its neighbours do. Rows are on the device once for all lanes.
    """

    def __init__(self, run: RunConfig, shape: tuple[int, ...], classes: int, width: int) -> None:
        self._loop = JaxLoop(run, shape, classes)
        self._width = width
        self.layout = Layout(self._loop.variables)
        places = {id(variable): place for place, variable in enumerate(self._loop.variables)}
        self.weights = [places[id(each)] for each in weights_of(self._loop.model)]
        """Where in the list of variables those are that a network has learned."""
        self._epoch = jax.jit(self._run_epoch)
        self._score = jax.jit(self._run_scores)
        self._predict = jax.jit(self._run_prediction)

    def train(self, lanes: Sequence[Lane], rows: Arrays) -> list[tuple[Packed, Scores]]:
        """Move each lane on by an epoch; its new state, and its scores on the way."""
        states, knobs, orders = self._filled(lanes)
        found, *scores = self._epoch(states, knobs, *on_device(rows, jnp.asarray), np.stack(orders))
        return list(zip(found, _scores(scores), strict=True))[: len(lanes)]

    def evaluate(self, lanes: Sequence[Lane], rows: Arrays) -> list[Scores]:
        """The scores of each lane on `rows`."""
        states, knobs, _ = self._filled(lanes)
        scores = self._score(states, knobs, *on_device(rows, jnp.asarray))
        return _scores(scores)[: len(lanes)]

    def predict(self, lanes: Sequence[Lane], rows: Arrays) -> list[Predictions]:
        """What each lane makes of `rows`, one after the other: they seldom end together."""
        found = []
        for lane in lanes:
            loss, accuracy, probabilities = self._predict(
                lane.state, lane.knobs, *on_device(rows, jnp.asarray)
            )
            scores = Scores(float(loss), float(accuracy))
            found.append(Predictions(scores, np.asarray(probabilities)))
        return found

    def _filled(self, lanes: Sequence[Lane]) -> tuple[Any, NDArray[np.float32], Any]:
        filled = [*lanes, *[lanes[0]] * (self._width - len(lanes))]
        states, knobs, orders = zip(*filled, strict=True)
        return states, np.stack(knobs), orders

    def _run_epoch(self, states: Any, knobs: Any, inputs: Any, targets: Any, orders: Any) -> Any:
        def of_one(state: Any, knobs: Any, order: Any) -> Any:
            values, scores = self._loop.run_epoch(
                self.layout.unpack(state), knobs, inputs, targets, order
            )
            return self.layout.pack(values, jnp.concatenate), scores

        found, scores = jax.vmap(of_one)(_stacked(states), knobs, orders)
        return [tuple(each[lane] for each in found) for lane in range(self._width)], *scores

    def _run_scores(self, states: Any, knobs: Any, inputs: Any, targets: Any) -> Any:
        def of_one(state: Any, knobs: Any) -> Any:
            return self._run_prediction(state, knobs, inputs, targets)[:2]

        return jax.vmap(of_one)(_stacked(states), knobs)

    def _run_prediction(self, state: Any, knobs: Any, inputs: Any, targets: Any) -> Any:
        values = self.layout.unpack(state)
        return self._loop.run_scores(
            [values[each] for each in self.weights], knobs, inputs, targets
        )


class Seat(Loop):
    """A lane for one run, in the thread that trains it: an epoch waits for those beside it, for a while.

    Its state stays on the device from epoch to epoch.
    """

    name = "jax"
    _state: Packed

    def __init__(self, lanes: Lanes, conductor: Conductor) -> None:
        self._lanes = lanes
        self._conductor = conductor

    def begin(self, run: RunConfig, model: keras.Model, rows: int) -> None:
        self._model, self._optimizer = model, make_optimizer(run, rows)
        self._optimizer.build(model.trainable_variables)
        self.load_state(copies(self._state_variables()))
        knobs = [0.0, 0.0, 0.0]  # a network of one's own has none
        if isinstance(run.model, ModelConfig):
            knobs = [run.model.dropout, run.model.l1, run.model.l2]
        self._knobs = np.array(knobs, np.float32)
        self._conductor.join(self._lanes, self)

    def epoch(self, rows: Arrays, order: NDArray[np.int32]) -> Scores:
        answer: tuple[Packed, Scores] = self._ask("epoch", self._lanes.train, rows, order)
        self._state, scores = answer
        return scores

    def evaluate(self, rows: Arrays) -> Scores:
        scores: Scores = self._ask("evaluate", self._lanes.evaluate, rows)
        return scores

    def predict(self, rows: Arrays) -> Predictions:
        predictions: Predictions = self._ask("predict", self._lanes.predict, rows)
        self.end()  # unless another epoch follows, nobody has to wait for this lane
        return predictions

    def end(self) -> None:
        self._conductor.leave(self._lanes, self)

    def weights(self) -> Weights:
        values = self.state()
        return [values[place] for place in self._lanes.weights]

    def load_weights(self, weights: Weights) -> None:
        values = self.state()
        for place, value in zip(self._lanes.weights, weights, strict=True):
            values[place] = value
        self.load_state(values)

    def state(self) -> Weights:
        vectors = [np.array(vector) for vector in self._state]
        return [np.array(value) for value in self._lanes.layout.unpack(vectors)]

    def load_state(self, state: Weights) -> None:
        self._state = tuple(jnp.asarray(vector) for vector in self._lanes.layout.pack(state))

    def _ask(
        self,
        what: str,
        do: Callable[..., Any],
        rows: Arrays,
        order: NDArray[np.int32] | None = None,
    ) -> Any:
        lane, kind = Lane(self._state, self._knobs, order), (what, place_of(rows))
        return self._conductor.ask(self._lanes, kind, self, lane, partial(do, rows=rows))


def _stacked(states: Any) -> list[Any]:
    return [jnp.stack(each) for each in zip(*states, strict=True)]


def _scores(values: Any) -> list[Scores]:
    losses, accuracies = (np.asarray(each) for each in values)
    return [Scores(float(loss), float(hit)) for loss, hit in zip(losses, accuracies, strict=True)]
