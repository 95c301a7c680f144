"""An epoch as one TensorFlow graph: batches gathered from resident data, nothing between them."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pipeline.data import Arrays
from pipeline.data.dataset import ALIGNMENT
from pipeline.network.kernels import use_kernel
from pipeline.network.loop import CompiledLoop, Predictions, Scores, on_device
from pipeline.run.config import RunConfig

FUSED_FROM = 300_000
"""Trainable weights from which XLA's one pass over them beats Keras's several, where no kernel has one."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


def resident(values: NDArray[Any]) -> tf.Tensor:
    """`values` as a tensor: on the CPU the very memory, where it lies as TensorFlow needs it, else a copy.

    Nobody writes to rows once they are there. A copy of MNIST takes half a second, and as much memory again.
    """
    flags = values.flags
    as_it_lies = flags.c_contiguous and flags.writeable and values.ctypes.data % ALIGNMENT == 0
    if as_it_lies and not tf.config.list_physical_devices("GPU"):
        return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
    return tf.constant(values)


def as_it_is(function: _Function) -> _Function:
    """Keep AutoGraph from rewriting `function`, and all that it calls: no loop there is over tensors.

    That takes half a second of each new shape.
    """
    unconverted: _Function = tf.autograph.experimental.do_not_convert(function)
    return unconverted


class TensorFlowLoop(CompiledLoop):
    """Keras's network, loss and optimizer in one `tf.function` over the whole epoch."""

    name = "tensorflow"

    def __init__(self, run: RunConfig, shape: tuple[int, ...], classes: int) -> None:
        super().__init__(run, shape, classes)
        fused = not use_kernel(self._optimizer) and self._model.count_params() >= FUSED_FROM
        self._update = tf.function(self._apply, jit_compile=True) if fused else self._apply
        self._epoch = tf.function(self._run_epoch)
        # One trace for any number of rows: validation and test rows differ in it.
        rows = [tf.TensorSpec([None, *shape]), tf.TensorSpec([None, classes])]
        self._score = tf.function(self._run_scores, input_signature=rows)

    def epoch(self, rows: Arrays, order: NDArray[np.int32]) -> Scores:
        return _scores(self._epoch(*on_device(rows, resident), tf.constant(order)))

    def evaluate(self, rows: Arrays) -> Scores:
        return self._predict(rows)[0]

    def predict(self, rows: Arrays) -> Predictions:
        scores, probabilities = self._predict(rows)
        return Predictions(scores, probabilities.numpy())

    def _predict(self, rows: Arrays) -> tuple[Scores, tf.Tensor]:
        *scores, probabilities = self._score(*on_device(rows, resident))
        return _scores(scores), probabilities

    def _run_epoch(self, inputs: tf.Tensor, targets: tf.Tensor, order: tf.Tensor) -> Any:
        rows, size = inputs.shape[0], self._batch_size
        loss = tf.zeros(())
        hits = tf.zeros((), tf.int32)
        for step in tf.range(rows // size):
            batch = order[step * size : (step + 1) * size]
            batch.set_shape([size])
            batch_loss, batch_hits = self._train_batch(inputs, targets, batch)
            loss += batch_loss * size
            hits += batch_hits
        if rest := rows % size:
            batch = order[rows - rest :]
            batch_loss, batch_hits = self._train_batch(inputs, targets, batch)
            loss += batch_loss * rest
            hits += batch_hits
        return loss / rows, hits / rows

    @as_it_is
    def _train_batch(self, inputs: tf.Tensor, targets: tf.Tensor, batch: tf.Tensor) -> Any:
        images, labels = tf.gather(inputs, batch), tf.gather(targets, batch)
        weights = [variable.value for variable in self._model.trainable_variables]
        with tf.GradientTape() as tape:
            probabilities = self._model(images, training=True)
            loss = self._total_loss(labels, probabilities)
        gradients = tape.gradient(loss, weights)
        self._update(gradients)
        return loss, _hits(labels, probabilities)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        self._optimizer.apply(gradients, self._model.trainable_variables)

    def _run_scores(self, inputs: tf.Tensor, targets: tf.Tensor) -> Any:
        rows = tf.shape(inputs)[0]
        loss = tf.zeros(())
        hits = tf.zeros((), tf.int32)
        parts = tf.TensorArray(tf.float32, size=0, dynamic_size=True, infer_shape=False)
        for start in tf.range(0, rows, self._rows_at_once):
            labels = targets[start : start + self._rows_at_once]
            probabilities = self._model(inputs[start : start + self._rows_at_once], training=False)
            share = tf.cast(tf.shape(labels)[0] / rows, tf.float32)
            loss += self._total_loss(labels, probabilities) * share
            hits += _hits(labels, probabilities)
            parts = parts.write(start // self._rows_at_once, probabilities)
        return loss, hits / rows, parts.concat()

    @as_it_is
    def _total_loss(self, labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
        return self._loss(labels, probabilities) + self._penalty()


@as_it_is
def _hits(labels: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    right = tf.equal(tf.argmax(labels, axis=-1), tf.argmax(probabilities, axis=-1))
    return tf.reduce_sum(tf.cast(right, tf.int32))


def _scores(values: Any) -> Scores:
    loss, accuracy = values
    return Scores(float(loss), float(accuracy))
