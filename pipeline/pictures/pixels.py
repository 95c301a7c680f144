"""A picture's file as grey numbers, read with care: whoever made it may have meant no good."""

import stat
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.command.errors import UnavailableError

_FORMATS = ("PNG", "JPEG")
_MOST_BYTES = 50_000_000
_MOST_PIXELS = 25_000_000  # twice what a telephone takes; decoding needs up to 8 bytes for each
_MOST_SIDE = 50_000  # Pillow keeps an address for each row
_SIDE = 800
"""Pixels a side that are looked at: a digit needs 20 of them."""


def read_grey(file: Path) -> NDArray[np.float64]:
    """The picture in `file`: H x W numbers from 0 (black) to 255 (white), upright, at most 800 a side.

    Its kind, its bytes and its pixels are checked before it is decoded. Raises UnavailableError where
    it is no PNG or JPEG, is larger than 50 MB, 25 million pixels or 50,000 a side, or is damaged.
    """
    _check_file(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's: the limit here is below its own
            with Image.open(file, formats=_FORMATS) as opened:
                width, height = opened.size
                if width * height > _MOST_PIXELS:
                    raise UnavailableError(
                        f"{file}: expected at most {_MOST_PIXELS // 1_000_000} million pixels, got "
                        f"{width} x {height} (make it smaller)"
                    )
                if max(width, height) > _MOST_SIDE:
                    raise UnavailableError(
                        f"{file}: expected at most {_MOST_SIDE:,} pixels a side, got {width} x {height}"
                    )
                return _grey(opened)
    except UnavailableError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, seven times as high
        raise UnavailableError(
            f"{file}: expected at most {_MOST_PIXELS // 1_000_000} million pixels, got far more "
            "(make it smaller)"
        ) from None
    except UnidentifiedImageError:
        raise UnavailableError(f"{file}: this is no PNG or JPEG image") from None
    except Exception as error:  # Pillow's parsers raise whatever they stumble over
        reason = str(error) or type(error).__name__
        raise UnavailableError(f"{file}: the image can't be read: {reason}") from error


def _check_file(file: Path) -> None:
    """Raise UnavailableError where `file` is not an ordinary file of a picture's size."""
    try:
        found = file.stat()
    except FileNotFoundError:
        raise UnavailableError(f"{file}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnavailableError(f"{file}: can't be read: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnavailableError(f"{file}: this is no file but a folder, a device or a pipe")
    if found.st_size > _MOST_BYTES:
        raise UnavailableError(
            f"{file}: expected at most {_MOST_BYTES // 1_000_000} MB, got "
            f"{found.st_size / 1e6:.0f} MB"
        )


def _grey(opened: Image.Image) -> NDArray[np.float64]:
    opened.draft("L", (_SIDE, _SIDE))  # a large JPEG is decoded at a part of its size
    image = _upright(opened)
    if image.mode.startswith(("I", "F")):  # 16 bits, which Pillow would cut off at 255
        numbers = np.asarray(image, np.float32)
        scale = 1 if numbers.max() <= 255 else 257  # 8 bits in a file for 16
        grey = np.asarray(_small(Image.fromarray(numbers)), np.float64) / scale
    else:
        if image.has_transparency_data:
            image = _on_paper(_small(image.convert("RGBA")))
        grey = np.asarray(_small(image.convert("L")), np.float64)
    # Zeros and ones: a mask, or pixels that somebody had scaled. They are black and white.
    return grey * 255 if grey.max() <= 1 else grey


def _upright(image: Image.Image) -> Image.Image:
    """`image` as its EXIF data say that it was held, as it is where they can't be read."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # Pillow's parser of EXIF raises whatever it stumbles over
        return image


def _small(image: Image.Image) -> Image.Image:
    factor = -(-max(image.size) // _SIDE)
    return image.reduce(factor) if factor > 1 else image


def _on_paper(image: Image.Image) -> Image.Image:
    """A drawing with a transparent ground on white, or on black if it was drawn bright."""
    pixels = np.asarray(image, np.float64)
    opaque = pixels[..., 3:] / 255
    brightness = (pixels[..., :3] * opaque).sum() / max(1.0, 3 * opaque.sum())
    paper = Image.new("RGBA", image.size, "black" if brightness > 127 else "white")
    return Image.alpha_composite(paper, image)
