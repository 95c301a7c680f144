"""The least time that a trial could take here, from below in three steps.

    python -m benchmarks.limit

First its floating-point operations over the measured matrix rate. A kernel of a x b weights costs 2ab
operations a row forward, 2ab for its gradient, and 2ab for that of its input, which the first layer does not
need. Counted are the matrices alone: 48,000 rows trained and 12,000 validated an epoch, 10,000 tested at the
end. The rate is that of square float32 products in TensorFlow, on one thread in each of as many processes as
there are cores, all at once, as workers run.

Then the products in the shapes that a batch has, measured: those of 128 rows don't reach that rate. Then
Adam's update on top, measured too: it reads and writes three copies of the weights.
"""

import multiprocessing
import os
import statistics
import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.machine import EPOCHS, machine

TRAINED, VALIDATED, TESTED = 48_000, 12_000, 10_000
BATCH = 128
SIZE = 2048
SECONDS = 5.0


def shapes(width: int) -> list[tuple[int, int]]:
    """Of the kernels of 784-width-width-10."""
    return list(pairwise((784, width, width, 10)))


def operations(width: int, trained: int = TRAINED) -> float:
    """Of a trial of 784-width-width-10 on `trained` rows."""
    kernels = [inputs * outputs for inputs, outputs in shapes(width)]
    forward = 2 * sum(kernels)
    backward = 4 * sum(kernels) - 2 * kernels[0]
    return EPOCHS * (trained * (forward + backward) + VALIDATED * forward) + TESTED * forward


def rate(_: int = 0) -> float:
    """Operations a second of one thread."""
    from pipeline.network.backend import limit_threads

    limit_threads(1)
    import tensorflow as tf

    matrix = tf.random.uniform((SIZE, SIZE))
    tf.matmul(matrix, matrix)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        tf.matmul(matrix, matrix).numpy()
        done += 1
    return done * 2 * SIZE**3 / (time.perf_counter() - began)


def steps(width: int) -> tuple[float, float]:
    """Seconds that one thread takes for all training steps of a trial: the products, and Adam's updates."""
    from pipeline.network.backend import limit_threads

    limit_threads(1)
    import keras
    import tensorflow as tf

    from pipeline.network.kernels import use_kernel

    kernels = [keras.random.normal(shape) for shape in shapes(width)]
    images = tf.random.uniform((BATCH, shapes(width)[0][0]))
    variables = [keras.Variable(kernel) for kernel in kernels]
    adam = keras.optimizers.Adam()
    adam.build(variables)
    use_kernel(adam)

    @tf.function
    def products(count: tf.Tensor) -> tf.Tensor:
        total = tf.zeros(())
        for step in tf.range(count):
            # Another batch, lest it is done only once.
            layers = [images + tf.cast(step, tf.float32)]
            for kernel in kernels:
                layers.append(layers[-1] @ kernel)
            back = layers[-1]
            for kernel, layer in zip(reversed(kernels), reversed(layers[:-1]), strict=True):
                total += tf.matmul(layer, back, transpose_a=True)[0, 0]
                if layer is not layers[0]:
                    back = tf.matmul(back, kernel, transpose_b=True)
        return total

    @tf.function
    def updates(count: tf.Tensor) -> None:
        for _ in tf.range(count):
            adam.apply([variable.value for variable in variables], variables)

    count = TRAINED // BATCH
    found = []
    for work in (products, updates):
        work(tf.constant(1))
        seconds = []
        for _ in range(EPOCHS):
            began = time.perf_counter()
            work(tf.constant(count))
            seconds.append(time.perf_counter() - began)
        found.append(EPOCHS * statistics.median(seconds))
    return found[0], found[1]


@dataclass(frozen=True)
class Limit:
    """The least seconds a trial of 2 x `width` on all cores: see the head of this file.

    `rate`: operations a second of one core; `at_that_rate`, `in_its_shapes`, `with_updates`: the three steps.
    """

    width: int
    rate: float
    at_that_rate: float
    in_its_shapes: float
    with_updates: float


def limits(*widths: int) -> list[Limit]:
    """Measure now, on all cores at once."""
    cores = os.cpu_count() or 1
    found = []
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        each = statistics.mean(pool.map(rate, range(cores), chunksize=1))
        for width in widths:
            measured = pool.map(steps, [width] * cores, chunksize=1)
            products, updates = (statistics.mean(column) for column in zip(*measured, strict=True))
            scored = operations(width, trained=0) / each
            seconds = (operations(width) / each, products + scored, products + updates + scored)
            found.append(Limit(width, each, *(one / cores for one in seconds)))
    return found


def main() -> None:
    """Print the rate, and the limits for both networks of the comparison."""
    cores = os.cpu_count() or 1
    for limit in limits(128, 512):
        print(
            f"{machine()}, {limit.rate / 1e9:.0f} GFLOP/s a core: 2 x {limit.width}, {EPOCHS} epochs, "
            f"{operations(limit.width) / 1e9:.0f} GFLOP, seconds a trial on {cores} cores: "
            f"{limit.at_that_rate:.2f} at that rate, {limit.in_its_shapes:.2f} in its own shapes, "
            f"{limit.with_updates:.2f} with Adam's updates"
        )


if __name__ == "__main__":
    main()
