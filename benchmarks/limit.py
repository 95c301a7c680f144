"""The least time that a trial could take here: its floating-point operations over the measured matrix rate.

    python -m benchmarks.limit

A kernel of a x b weights costs 2ab operations a row forward, 2ab for its gradient, and 2ab for that of its
input, which the first layer does not need. Counted are the matrices alone: 48,000 rows trained and 12,000
validated an epoch, 10,000 tested at the end. The rate is that of square float32 products in TensorFlow, on
one thread in each of as many processes as there are cores, all at once, as workers run.
"""

import multiprocessing
import os
import time
from itertools import pairwise

from benchmarks.compare import EPOCHS, machine

TRAINED, VALIDATED, TESTED = 48_000, 12_000, 10_000
SIZE = 2048
SECONDS = 5.0


def operations(width: int, epochs: int = EPOCHS) -> float:
    """Of a trial of 784-width-width-10."""
    kernels = [inputs * outputs for inputs, outputs in pairwise((784, width, width, 10))]
    forward = 2 * sum(kernels)
    backward = 4 * sum(kernels) - 2 * kernels[0]
    return epochs * (TRAINED * (forward + backward) + VALIDATED * forward) + TESTED * forward


def rate(_: int = 0) -> float:
    """Operations a second of one thread."""
    from pipeline.device import limit_threads

    limit_threads(1)
    import tensorflow as tf

    matrix = tf.random.uniform((SIZE, SIZE))
    tf.matmul(matrix, matrix)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        tf.matmul(matrix, matrix).numpy()
        done += 1
    return done * 2 * SIZE**3 / (time.perf_counter() - began)


def main() -> None:
    """Print the rate, and the limit for both networks of the comparison."""
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        rates = pool.map(rate, range(cores), chunksize=1)
    each = sum(rates) / cores
    print(f"{machine()}: {each / 1e9:.0f} GFLOP/s a core")
    for width in (128, 512):
        seconds = operations(width) / each
        print(
            f"2 x {width}, {EPOCHS} epochs: {operations(width) / 1e9:.0f} GFLOP, "
            f"{seconds:.2f} s on a core, {seconds / cores:.2f} s a trial on {cores}"
        )


if __name__ == "__main__":
    main()
