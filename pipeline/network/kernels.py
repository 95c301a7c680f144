"""TensorFlow's own kernels for the step of an optimizer: one pass over the weights instead of several."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def use_kernel(optimizer: keras.optimizers.Optimizer) -> bool:
    """Have `optimizer` move each weight on by one kernel; false where TensorFlow has none for it.

    A kernel computes what Keras's `update_step` does, to the rounding of float32, and on Keras's own
    variables. What is around it stays Keras's: the schedule, weight decay, the count of steps, and the
    update of an embedding, whose gradient is of single rows. RMSprop's kernel is left out: it always has
    a momentum to remember, where Keras's has one only if it is set.
    """
    kernel, formula = KERNELS.get(type(optimizer)), optimizer.update_step
    if kernel is None:
        return False

    def update_step(gradient: Any, weight: tf.Variable, rate: Any) -> None:
        if isinstance(gradient, tf.IndexedSlices):
            formula(gradient, weight, rate)
        else:
            gradient, rate = (tf.cast(each, weight.dtype) for each in (gradient, rate))
            kernel(optimizer, gradient, weight, rate)

    optimizer.update_step = update_step
    return True


def _adam(optimizer: Any, gradient: tf.Tensor, weight: tf.Variable, rate: tf.Tensor) -> None:
    index = optimizer._get_variable_index(weight)
    step = tf.cast(optimizer.iterations.value + 1, weight.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=optimizer._momentums[index].value.handle,
        v=optimizer._velocities[index].value.handle,
        beta1_power=optimizer.beta_1**step,
        beta2_power=optimizer.beta_2**step,
        lr=rate,
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        epsilon=optimizer.epsilon,
        grad=gradient,
    )


def _sgd(optimizer: Any, gradient: tf.Tensor, weight: tf.Variable, rate: tf.Tensor) -> None:
    if not optimizer.momentum:
        tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=gradient)
        return
    momentum = optimizer.momentums[optimizer._get_variable_index(weight)]
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=momentum.value.handle,
        lr=rate,
        grad=gradient,
        momentum=optimizer.momentum,
        use_nesterov=optimizer.nesterov,
    )


KERNELS: dict[type[keras.optimizers.Optimizer], Callable[..., None]] = {
    keras.optimizers.Adam: _adam,
    keras.optimizers.AdamW: _adam,
    keras.optimizers.SGD: _sgd,
}
