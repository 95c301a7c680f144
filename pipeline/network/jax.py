"""An epoch as one JAX program: a scan over batches gathered from resident data."""

from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from numpy.typing import NDArray

from pipeline.data import Arrays
from pipeline.network.loop import CompiledLoop, Predictions, Scores, on_device
from pipeline.network.model import weights_of
from pipeline.run.config import RunConfig


class JaxLoop(CompiledLoop):
    """Keras's network, loss and optimizer as a function of their variables, compiled by XLA."""

    name = "jax"

    def __init__(self, run: RunConfig, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(run, shape, classes)
        self._epoch = jax.jit(self.run_epoch, donate_argnums=0)
        self._score = jax.jit(self.run_scores)

    def epoch(self, rows: Arrays, order: NDArray[np.int32]) -> Scores:
        variables = self._state_variables()
        state = [variable.value for variable in variables]
        state, scores = self._epoch(
            state, self._knob_values(), *on_device(rows, jnp.asarray), order
        )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        return _scores(scores)

    def evaluate(self, rows: Arrays) -> Scores:
        return self._predict(rows)[0]

    def predict(self, rows: Arrays) -> Predictions:
        scores, probabilities = self._predict(rows)
        return Predictions(scores, np.asarray(probabilities))

    def _predict(self, rows: Arrays) -> tuple[Scores, jax.Array]:
        weights = [variable.value for variable in weights_of(self._model)]
        data = on_device(rows, jnp.asarray)
        *scores, probabilities = self._score(weights, self._knob_values(), *data)
        return _scores(scores), probabilities

    def _knob_values(self) -> list[jax.Array]:
        return [knob.value for knob in self._knobs.variables]

    def run_epoch(self, state: Any, knobs: Any, inputs: Any, targets: Any, order: Any) -> Any:
        """The next state, and the scores on the way: a function of nothing but what it is given."""
        rows, size = inputs.shape[0], self._batch_size
        steps = rows // size

        def step(state: Any, batch: Any) -> Any:
            return self._train_batch(state, knobs, inputs[batch], targets[batch])

        batches = order[: steps * size].reshape(steps, size)
        state, (losses, hits) = jax.lax.scan(step, state, batches)
        loss, hits = losses.sum() * size, hits.sum()
        if rest := rows % size:
            state, (last_loss, last_hits) = step(state, order[rows - rest :])
            loss, hits = loss + last_loss * rest, hits + last_hits
        return state, (loss / rows, hits / rows)

    def _train_batch(self, state: Any, knobs: Any, images: Any, labels: Any) -> Any:
        model, optimizer = self._model, self._optimizer
        trainable, others = model.trainable_variables, model.non_trainable_variables
        first, second = len(trainable), len(trainable) + len(others)
        weights, values, slots = state[:first], state[first:second], state[second:]

        def loss_of(weights: Any) -> Any:
            fixed = [*zip(others, values, strict=True), *self._turned(knobs)]
            mapping = [*zip(trainable, weights, strict=True), *fixed]
            with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
                probabilities = model(images, training=True)
                penalty = self._penalty()  # computed anew at each look, from what is mapped
            loss = self._loss(labels, probabilities) + penalty
            return loss, (probabilities, [scope.get_current_value(each) for each in others])

        (loss, (probabilities, values)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            weights
        )
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return [*weights, *values, *slots], (loss, _hits(labels, probabilities))

    def run_scores(self, weights: Any, knobs: Any, inputs: Any, targets: Any) -> Any:
        """Loss, accuracy and probabilities: a function of nothing but what it is given."""
        mapping = [*zip(weights_of(self._model), weights, strict=True)]
        mapping += self._turned(knobs)
        rows = inputs.shape[0]
        loss, hits, parts = 0.0, 0, []
        for start in range(0, rows, self._rows_at_once):
            labels = targets[start : start + self._rows_at_once]
            with keras.StatelessScope(state_mapping=mapping, collect_losses=True):
                probabilities = self._model(
                    inputs[start : start + self._rows_at_once], training=False
                )
                penalty = self._penalty()
            loss += (self._loss(labels, probabilities) + penalty) * len(labels)
            hits += _hits(labels, probabilities)
            parts.append(probabilities)
        return loss / rows, hits / rows, jnp.concatenate(parts)

    def _turned(self, knobs: Any) -> list[tuple[keras.Variable, Any]]:
        return list(zip(self._knobs.variables, knobs, strict=True))


def _hits(labels: Any, probabilities: Any) -> Any:
    return (labels.argmax(-1) == probabilities.argmax(-1)).sum()


def _scores(values: Any) -> Scores:
    loss, accuracy = values
    return Scores(float(loss), float(accuracy))
