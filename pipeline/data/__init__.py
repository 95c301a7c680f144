"""A data set is found, read, checked and digested, without Keras."""

from pipeline.data.dataset import Arrays, Dataset, Split, grey_size, validation_start
from pipeline.data.sense import check_rows, check_run, doubts
from pipeline.data.source import MNIST_DIGEST, load, locate

__all__ = [
    "MNIST_DIGEST",
    "Arrays",
    "Dataset",
    "Split",
    "check_rows",
    "check_run",
    "doubts",
    "grey_size",
    "load",
    "locate",
    "validation_start",
]
