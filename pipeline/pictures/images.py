"""Pictures of digits as a network wants them: drawn bright on black, in the size and place of MNIST's.

MNIST's own images were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", in grey levels that come from anti-aliasing, then "centered in a 28x28 image by computing the
center of mass of the pixels" (http://yann.lecun.com/exdb/mnist). The same is done here.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.command.errors import UnavailableError
from pipeline.pictures.pixels import read_grey
from pipeline.pictures.stroke import find_stroke

_MNIST = 28
_BOX = 20 / 28


def read_digit(file: Path, shape: tuple[int, int], low: float, high: float) -> NDArray[np.float32]:
    """The digit drawn in `file`, bright on black: `shape` pixels from `low` (paper) to `high` (ink).

    Dark on light and light on dark are alike; frames, specks and uneven light are left out. Raises
    UnavailableError where `file` is no PNG or JPEG that can be read, or nothing is drawn in it.
    """
    ink = find_stroke(read_grey(file))
    if ink is None:
        raise UnavailableError(f"{file}: nothing is drawn in it that stands out from its ground")
    return like_mnist(ink, shape) * np.float32(high - low) + np.float32(low)


def like_mnist(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A drawing, cut out, from 0 (paper) to 1 (ink), in the size and the place that MNIST's have."""
    return _centred(_resized(ink, shape), shape)


def _resized(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """`ink` as large as fits, its proportions kept, into the box that MNIST leaves in 28 x 28.

    Smaller networks, as on the bundled 8 x 8 digits, were trained on drawings that fill the picture.
    """
    share = _BOX if min(shape) >= _MNIST else 1.0
    scale = min(side * share / length for side, length in zip(shape, ink.shape, strict=True))
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    image = Image.fromarray(ink.astype(np.float32))
    resized = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(resized, np.float64), 0, 1)


def _centred(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """`ink` on black, its centre of mass in the middle, as far as it stays inside.

    In MNIST's size that is the middle of pixel 14 of 28, counted from 0, as MNIST has it.
    """
    canvas = np.zeros(shape, np.float32)
    corner = []
    for axis in (0, 1):
        length, side = ink.shape[axis], shape[axis]
        mass = ink.sum(1 - axis)
        centre = float((mass * (np.arange(length) + 0.5)).sum() / mass.sum())
        middle = side / 2 + (0.5 if min(shape) >= _MNIST else 0)
        corner.append(int(np.clip(round(middle - centre), 0, side - length)))
    top, left = corner
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas
