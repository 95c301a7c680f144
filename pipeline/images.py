"""Pictures of digits as a network wants them: drawn bright on black, in the size and place of MNIST's.

MNIST's own images were "size normalized to fit in a 20x20 pixel box while preserving their aspect
ratio", in grey levels that come from anti-aliasing, then "centered in a 28x28 image by computing the
center of mass of the pixels" (http://yann.lecun.com/exdb/mnist). The same is done here.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import UnavailableError

_FORMATS = ("PNG", "JPEG")
_BOX = 20 / 28
_CONTRAST = 24
"""Out of 255: below it there is nothing drawn, but noise."""

_INK = 0.25
"""Of the strongest stroke: what is weaker does not count when the drawing's edges are looked for."""


def read_digit(file: Path, shape: tuple[int, int], low: float, high: float) -> NDArray[np.float32]:
    """The digit drawn in `file`, bright on black: `shape` pixels from `low` (paper) to `high` (ink).

    What the border is made of is taken for paper, so that dark on light and light on dark are alike.
    Raises UnavailableError where `file` is no PNG or JPEG, or nothing is drawn in it.
    """
    grey = _grey(file)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    if ink.max() < _CONTRAST:
        raise UnavailableError(f"{file}: nothing is drawn in it, all of it is about the same grey")
    ink /= ink.max()
    rows, columns = np.nonzero(ink.max(1) > _INK)[0], np.nonzero(ink.max(0) > _INK)[0]
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_resized(cropped, shape), shape) * np.float32(high - low) + np.float32(low)


def _grey(file: Path) -> NDArray[np.float64]:
    """The picture as H x W numbers from 0 (black) to 255 (white), upright."""
    try:
        with Image.open(file, formats=_FORMATS) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith(("I", "F")):  # 16 bits, which Pillow would cut off at 255
                return np.asarray(image, np.float64) / 257
            if image.has_transparency_data:
                image = _on_paper(image.convert("RGBA"))
            return np.asarray(image.convert("L"), np.float64)
    except FileNotFoundError:
        raise UnavailableError(f"{file}: there is no such file") from None
    except UnidentifiedImageError:
        raise UnavailableError(f"{file}: this is no PNG or JPEG image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnavailableError(f"{file}: the image can't be read: {error}") from None


def _on_paper(image: Image.Image) -> Image.Image:
    """A drawing with a transparent ground on white, or on black if it was drawn bright."""
    pixels = np.asarray(image, np.float64)
    opaque = pixels[..., 3:] / 255
    brightness = (pixels[..., :3] * opaque).sum() / max(1.0, 3 * opaque.sum())
    paper = Image.new("RGBA", image.size, "black" if brightness > 127 else "white")
    return Image.alpha_composite(paper, image)


def _resized(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """`ink` as large as fits, its proportions kept, into the box that MNIST leaves in 28 x 28.

    Smaller networks, as on the bundled 8 x 8 digits, were trained on drawings that fill the picture.
    """
    share = _BOX if min(shape) >= 28 else 1.0
    scale = min(side * share / length for side, length in zip(shape, ink.shape, strict=True))
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    image = Image.fromarray(ink.astype(np.float32))
    resized = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(resized, np.float64), 0, 1)


def _centred(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float32]:
    """`ink` on black, its centre of mass in the middle, as far as it stays inside.

    The middle is pixel 14 of 28, counted from 0: that is where all of MNIST's centres are.
    """
    canvas = np.zeros(shape, np.float32)
    corner = []
    for axis in (0, 1):
        length, side = ink.shape[axis], shape[axis]
        mass = ink.sum(1 - axis)
        centre = float((mass * (np.arange(length) + 0.5)).sum() / mass.sum())
        corner.append(int(np.clip(round((side + 1) / 2 - centre), 0, side - length)))
    top, left = corner
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas
