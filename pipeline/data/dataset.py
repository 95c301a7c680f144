"""A data set as it was read, and as a network sees it: split, scaled, one-hot."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import UnavailableError

ALIGNMENT = 64
"""Bytes: what vector instructions load at once."""

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""What scaling brings to 0, and to 1."""


@dataclass(frozen=True)
class Split:
    """N examples: `features` is N x shape as it was read, `labels` is N integers from 0."""

    features: NDArray[np.generic]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Split":
        """The examples with the numbers `rows`, in that order."""
        return Split(self.features[rows], self.labels[rows])


class Arrays(NamedTuple):
    """N examples as the network sees them: N x shape float32 and N x classes one-hot float32."""

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]

    def part(self, start: int, stop: int) -> "Arrays":
        """Rows `start` to `stop`, as views."""
        return Arrays(self.inputs[start:stop], self.targets[start:stop])


@dataclass(frozen=True)
class Dataset:
    """Training rows, and a test set that only `pipeline.training.score` scores.

    `low`, `high`: what scaling brings to 0 and 1, scalars for images, one number per column for
    feature rows; 0 and 1 when scaling is off. `scaled`: whether they follow the training rows.
    """

    name: str
    source: str
    train: Split
    test: Split
    classes: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    scaled: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example's features."""
        return self.train.features.shape[1:]

    def fitted(self, validation_split: float) -> "Dataset":
        """The data set with its scaling measured on the rows that train, without the last fraction.

        It is this very object where that makes no difference.
        """
        if validation_split not in self._fitted:
            found = self
            if self.scaled:
                stop = validation_start(len(self.train), validation_split)
                low, high = bounds(self.train.features[:stop])
                if np.any(low != self.low) or np.any(high != self.high):
                    found = replace(self, low=low, high=high)
            self._fitted[validation_split] = found
        return self._fitted[validation_split]

    def resplit(self, seed: int) -> "Dataset":
        """The same rows in the order that `seed` draws, each class spread evenly: others validate."""
        return replace(self, train=self.train.take(spread_evenly(self.train.labels, seed)))

    def check(self, recorded: str, whose: str) -> None:
        """Raise UnavailableError where these are not the data of `whose` digest this is `recorded`."""
        if recorded != self.digest:
            raise UnavailableError(
                f"{self.source}: these are not the data of {whose} (SHA-256 {self.digest[:12]}..., recorded "
                f"is {recorded[:12]}...; data.path names others)"
            )

    @cached_property
    def _fitted(self) -> "dict[float, Dataset]":
        return {}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the four arrays, in hexadecimal."""
        return digest(
            [self.train.features, self.train.labels, self.test.features, self.test.labels]
        )

    @cached_property
    def train_arrays(self) -> Arrays:
        """All training rows as the network sees them, computed once."""
        return self._arrays(self.train)

    @cached_property
    def test_arrays(self) -> Arrays:
        """The test set as the network sees it, computed once."""
        return self._arrays(self.test)

    def _arrays(self, split: Split) -> Arrays:
        # Scaled before it is rounded to 32 bits: a column of times or ids differs only in its last digits.
        features = aligned(split.features, np.result_type(split.features.dtype, np.float32))
        if np.any(self.low != 0) or np.any(self.high != 1):
            features -= self.low
            features /= self.high - self.low
        return Arrays(
            features.astype(np.float32, copy=False),
            np.eye(self.classes, dtype=np.float32)[split.labels],
        )


def aligned(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy of `values` as `dtype` that begins at a multiple of 64 bytes: backends take it as it lies."""
    size = values.size * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    copy = room[start : start + size].view(dtype).reshape(values.shape)
    copy[...] = values
    return copy


def validation_start(rows: int, validation_split: float) -> int:
    """Index of the first validation row: the last fraction is held out, counted as Keras counts it."""
    return math.floor(rows * (1.0 - validation_split))


def grey_size(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width where an example of `shape` is one grey image; None where it is not.

    Grey images are H x W, H x W x 1 or 1 x H x W. H x W x 3 is a colour image, and one number per
    column is a feature row.
    """
    if len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    elif len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    return (shape[0], shape[1]) if len(shape) == 2 else None


def bounds(features: NDArray[np.generic]) -> Bounds:
    """Least and largest number: of each column for feature rows, of all pixels for images."""
    axis = 0 if features.ndim == 2 else None
    low = np.asarray(features.min(axis)).astype(np.float64)
    high = np.asarray(features.max(axis)).astype(np.float64)
    # A constant column becomes 0.
    return low, np.where(high > low, high, low + np.maximum(1, abs(low)))


def spread_evenly(labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The row numbers in a random order, the same for each `seed`, in which each class is spread evenly.

    So any last fraction of the rows has each class in its share, and each class has its first row
    among the very first ones.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    sorted_labels = labels[by_class]
    place = (np.arange(len(labels)) - starts[sorted_labels]) / counts[sorted_labels]
    # Classes at the same place come in a random order, too.
    mixed = np.random.default_rng(seed + 1).permutation(len(labels))
    return by_class[mixed][np.argsort(place[mixed], kind="stable")]


def digest(arrays: list[NDArray[np.generic]]) -> str:
    """SHA-256 over dtype, shape and bytes of `arrays`, in hexadecimal."""
    sha = hashlib.sha256()
    for array in arrays:
        # Labels and integer pixels are widened or not by what held them; their values are the data.
        narrow = array.astype(np.uint8) if _fits_a_byte(array) else array
        sha.update(f"{narrow.dtype.str}{narrow.shape}".encode())
        sha.update(np.ascontiguousarray(narrow).data)
    return sha.hexdigest()


def _fits_a_byte(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind in "ui" and array.min() >= 0 and array.max() <= 255
