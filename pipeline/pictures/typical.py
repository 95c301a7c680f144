"""What a network was trained on, in small: so that it is known when a picture is something else.

A class is the mean of its images and the directions that hold 95 % of their variance (Turk & Pentland
1991). What these don't explain of an image is small for one of the class, and large for a letter, two
digits or a scribble. How large it may be is measured on every fifth training image, which is kept out of
means and directions. docs/predict.md has the error rates.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import StorageError

FILE = "typical.npz"

_SIDE = 16
"""Pixels: larger images are averaged down to it, as a stroke's place matters less than its shape."""

_VARIANCE = 0.95
_BEYOND = 0.01
"""The share of the images kept out that is beyond each of the two limits."""

_MOST_BYTES = 100_000_000


@dataclass(frozen=True)
class Typical:
    """C classes of images of D averaged pixels from 0 to 1.

    `means`: C x D. `directions`: K x D, those of each class one after the other; `counts`: C, how many it
    has. `limits`: of what they don't explain, as a sum of squares and as a share of the image's.
    """

    means: NDArray[np.float32]
    directions: NDArray[np.float32]
    counts: NDArray[np.int64]
    limits: NDArray[np.float32]

    @classmethod
    def of(cls, images: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> "Typical":
        """What is typical of N x H x W `images` from 0 to 1 with N `labels`."""
        small = _small(images)
        kept_out = np.arange(len(small)) % 5 == 4
        means, directions = [], []
        for label in range(classes):
            own = small[(labels == label) & ~kept_out]
            mean = own.mean(0) if len(own) else np.zeros(small.shape[1], np.float32)
            _, strength, along = np.linalg.svd(_square_root(own - mean), full_matrices=False)
            share = np.cumsum(strength**2) / max(float((strength**2).sum()), 1e-12)
            enough = int(np.searchsorted(share, _VARIANCE)) + 1
            means.append(mean)
            directions.append(along[:enough][strength[:enough] > 1e-6])
        counts = np.array([len(along) for along in directions])
        start = cls(np.stack(means), np.concatenate(directions), counts, np.zeros(2, np.float32))
        judged = kept_out if kept_out.any() else ~kept_out
        unexplained = start._unexplained(small[judged], labels[judged])
        limits = np.quantile(unexplained, 1 - _BEYOND, axis=0).astype(np.float32)
        return cls(start.means, start.directions, counts, limits)

    def unlike(self, images: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of N x H x W `images` from 0 to 1 are no typical ones of the class in `labels`."""
        beyond = self._unexplained(_small(images), labels) > self.limits
        return np.asarray(beyond.any(axis=1))

    def _unexplained(
        self, small: NDArray[np.float32], labels: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """N x 2: the squares that the class leaves of each image, and their share of the image's own."""
        ends = np.cumsum(self.counts)
        left = np.zeros(len(small), np.float32)
        for label in np.unique(labels):
            along = self.directions[ends[label] - self.counts[label] : ends[label]]
            away = small[labels == label] - self.means[label]
            left[labels == label] = (away**2).sum(1) - ((away @ along.T) ** 2).sum(1)
        return np.stack([left, left / np.maximum((small**2).sum(1), 1e-6)], axis=1)

    def write(self, folder: Path) -> None:
        """Put it into `folder`, in 16 bits."""
        np.savez_compressed(
            folder / FILE,
            means=self.means.astype(np.float16),
            directions=self.directions.astype(np.float16),
            counts=self.counts,
            limits=self.limits,
        )

    @classmethod
    def read(cls, folder: Path, shape: tuple[int, int], classes: int) -> "Typical":
        """What was written into `folder`. Raises StorageError where it is not of images of `shape`."""
        file = folder / FILE
        try:
            with zipfile.ZipFile(file) as archive:
                if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                    raise ValueError(f"it would take more than {_MOST_BYTES // 1_000_000} MB")
            with np.load(file, allow_pickle=False) as arrays:
                means, directions = (
                    arrays[name].astype(np.float32) for name in ("means", "directions")
                )
                counts, limits = arrays["counts"].astype(np.int64), arrays["limits"]
            pixels = _small(np.zeros((1, *shape), np.float32)).shape[1]
            expected = [(classes, pixels), (int(counts.sum()), pixels), (classes,), (2,)]
            found = [part.shape for part in (means, directions, counts, limits)]
            if found != expected or counts.min() < 0:
                raise ValueError(f"expected arrays of shapes {expected}, got {found}")
        except Exception as error:  # NumPy's and zipfile's readers raise whatever they stumble over
            raise StorageError(f"{file}: can't be read: {error}") from error
        return cls(means, directions, counts, limits)


def _square_root(away: NDArray[np.float32]) -> NDArray[np.float64]:
    """D x D with the directions and strengths of N x D `away`, quick where N is large."""
    return np.asarray(np.linalg.qr(away.astype(np.float64), mode="r"))


def _small(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """N x D: blocks of pixels averaged, so that at most 16 a side are left."""
    count, *sides = images.shape
    factor = -(-max(sides) // _SIDE)
    rows, columns = (-(-side // factor) for side in sides)
    missing = [(0, 0), (0, rows * factor - sides[0]), (0, columns * factor - sides[1])]
    padded = np.pad(images, missing) if factor > 1 else images
    blocks = padded.reshape(count, rows, factor, columns, factor)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32).reshape(count, rows * columns)
