"""Drawings as people make, scan and photograph them: digits that can be read, and what is none."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Grey = NDArray[np.float64]  # H x W from 0 (black) to 255 (white)
Random = np.random.Generator
Drawn = Callable[[Grey, Random], Grey]  # from 28 x 28 pixels of MNIST, ink bright on black
Made = Callable[[Grey, Grey, Random], Grey]  # the same, of two digits

_FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FACES = ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "STIXGeneralItalic.ttf", "DejaVuSansMono.ttf")
LETTERS = "abcdefhkmnpqrtuvwxyABCDEFGHJKLMNPQRTUVWXY&#?%@"
"""Without those that are drawn as digits are: g, i, j, l, o, s, z, I, O, S, Z."""


def on_sheet(ink: Grey, random: Random, size: int = 180, digit: int = 96) -> Grey:
    """Dark on white paper, the digit `digit` pixels high somewhere on a sheet of `size`."""
    scaled = np.asarray(
        Image.fromarray(ink.astype(np.uint8)).resize((digit, digit), Image.Resampling.BICUBIC)
    )
    sheet = np.zeros((size, size))
    top, left = random.integers(size // 12, size - digit - size // 12, 2)
    sheet[top : top + digit, left : left + digit] = scaled
    return 245.0 - sheet * (215 / 255)


def framed(grey: Grey, width: int, level: float) -> Grey:
    """With a frame at its edge, as scanners and screenshots leave it."""
    out = np.full_like(grey, level)
    inside = np.s_[width:-width, width:-width]
    out[inside] = grey[inside]
    return out


def boxed(grey: Grey, random: Random) -> Grey:
    """In the printed box of a form, which does not touch the picture's edge."""
    out = np.pad(grey, 14, constant_values=245.0)
    edge, width = int(random.integers(3, 9)), int(random.integers(1, 4))
    for line in (np.s_[edge : edge + width], np.s_[-edge - width : -edge]):
        out[line, edge:-edge] = 60
        out[edge:-edge, line] = 60
    return out


def edged(grey: Grey, random: Random) -> Grey:
    """With the dark edge of the scanner's lid on one or two sides."""
    out, width = grey.copy(), int(random.integers(1, 6))
    out[:, :width] = 40
    if random.random() < 0.5:
        out[-width:] = 40
    return out


def specked(grey: Grey, random: Random) -> Grey:
    """With five specks of dust."""
    out = grey.copy()
    for _ in range(5):
        side = int(random.integers(1, 5))
        top, left = random.integers(0, len(out) - side, 2)
        out[top : top + side, left : left + side] = 30
    return out


def slanted_light(grey: Grey, random: Random) -> Grey:
    """Lit from one side: the far side has 35 % of the light."""
    angle = random.uniform(0, 2 * np.pi)
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in grey.shape), indexing="ij")
    across = rows * np.sin(angle) + columns * np.cos(angle)
    across = (across - across.min()) / np.ptp(across)
    return grey * (0.35 + 0.65 * across)


def vignette(grey: Grey, _: Random) -> Grey:
    """Lit in the middle: the corners have 35 % of the light."""
    rows, columns = np.indices(grey.shape) / (len(grey) - 1) * 2 - 1
    return grey * (1 - 0.65 * (rows**2 + columns**2) / 2)


def lamp(grey: Grey, random: Random) -> Grey:
    """Under a lamp that stands aside: the spot is somewhere, what is far from it has 25 % of the light."""
    rows, columns = np.indices(grey.shape) / (len(grey) - 1)
    top, left = random.uniform(0.2, 0.8, 2)
    away = (rows - top) ** 2 + (columns - left) ** 2
    return grey * (0.25 + 0.75 * np.exp(-away / (2 * 0.33**2)))


def shadowed(grey: Grey, random: Random) -> Grey:
    """With the shadow of a hand, whose edge is rather sharp, over a corner."""
    rows, columns = np.indices(grey.shape) / (len(grey) - 1)
    edge = rows * random.uniform(0.5, 1.5) + columns * random.uniform(0.5, 1.5)
    return grey * (0.6 + 0.4 / (1 + np.exp(-(edge - random.uniform(0.6, 1.4)) * 40)))


def ruled(grey: Grey, random: Random, squared: bool = False) -> Grey:
    """On ruled or squared paper."""
    out, apart = grey.copy(), int(random.integers(18, 40))
    begin = int(random.integers(0, apart))
    out[begin::apart] = np.minimum(out[begin::apart], 150)
    if squared:
        out[:, begin::apart] = np.minimum(out[:, begin::apart], 150)
    return out


def fine_pen(ink: Grey, _: Random) -> Grey:
    """The same digit 400 pixels high, by a pen that draws lines of 5."""
    large = np.asarray(
        Image.fromarray(ink.astype(np.uint8)).resize((400, 400), Image.Resampling.BICUBIC), float
    )
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(large > 128), 2)
    ridge = (depth > 2) & (ndimage.gaussian_laplace(depth, 3) < -0.12)
    return np.where(ndimage.binary_dilation(ridge), 30.0, 245.0)


def noisy(grey: Grey, random: Random, sigma: float = 18) -> Grey:
    return np.clip(grey + random.normal(0, sigma, grey.shape), 0, 255)


def compressed(grey: Grey) -> Grey:
    """As a JPEG of low quality leaves it."""
    from io import BytesIO

    file = BytesIO()
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=12)
    return np.asarray(Image.open(file), np.float64)


def cut_close(ink: Grey, _: Random) -> Grey:
    """All of a large picture is the digit."""
    rows, columns = (np.flatnonzero((ink > 60).any(axis)) for axis in (1, 0))
    box = np.pad(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    size = box.shape[1] * 8, box.shape[0] * 8
    return 245 - np.asarray(Image.fromarray(box.astype(np.uint8)).resize(size, 3), float) * 0.84


def turned(ink: Grey, random: Random) -> Grey:
    turn = ndimage.rotate(ink, random.uniform(-12, 12), reshape=False, order=1)
    return np.clip(turn, 0, 255)


def phone(ink: Grey, random: Random) -> Grey:
    """Everything at once: turned, small on its sheet, lit from a side, noisy, compressed."""
    sheet = on_sheet(turned(ink, random), random, 240, 100)
    return compressed(noisy(slanted_light(sheet, random), random, 8))


GOOD: dict[str, Drawn] = {
    "as in MNIST": lambda ink, _: ink,
    "inverted": lambda ink, _: 255 - ink,
    "on a sheet": on_sheet,
    "cut close": cut_close,
    "cut close, light from a side": lambda ink, r: slanted_light(cut_close(ink, r), r),
    "turned up to 12 degrees": lambda ink, r: on_sheet(turned(ink, r), r),
    "thin": lambda ink, r: on_sheet(ndimage.grey_erosion(ink, (2, 2)) * 0.5 + ink * 0.5, r),
    "thick": lambda ink, r: on_sheet(ndimage.grey_dilation(ink, (2, 2)), r),
    "faint": lambda ink, r: 255 - (255 - on_sheet(ink, r)) * 0.3,
    "frame of 1, tight": lambda ink, _: framed(ink, 1, 255),
    "frame of 2, tight": lambda ink, _: framed(255 - ink, 2, 0),
    "frame of 3": lambda ink, _: framed(np.pad(255 - ink, 3, constant_values=255), 3, 40),
    "frame of 4 on a sheet": lambda ink, r: framed(on_sheet(ink, r), 4, 20),
    "frame of 2, turned": lambda ink, r: compressed(
        ndimage.rotate(framed(on_sheet(ink, r, 150, 96), 4, 20), 2, cval=245.0, order=1)
    ),
    "box of a form": lambda ink, r: boxed(on_sheet(ink, r, 130, 96), r),
    "dark edge of a scan": lambda ink, r: edged(on_sheet(ink, r), r),
    "specks": lambda ink, r: specked(on_sheet(ink, r), r),
    "light from a side": lambda ink, r: slanted_light(on_sheet(ink, r), r),
    "vignette": lambda ink, r: vignette(on_sheet(ink, r), r),
    "lamp": lambda ink, r: lamp(on_sheet(ink, r), r),
    "shadow of a hand": lambda ink, r: shadowed(on_sheet(ink, r), r),
    "ruled paper": lambda ink, r: ruled(on_sheet(ink, r), r),
    "squared paper": lambda ink, r: ruled(on_sheet(ink, r), r, squared=True),
    "fine pen": fine_pen,
    "noise": lambda ink, r: noisy(on_sheet(ink, r), r),
    "JPEG of quality 12": lambda ink, r: compressed(on_sheet(ink, r)),
    "phone": phone,
}
"""What can be read: each makes a picture of a digit of MNIST."""


def _letter(_a: Grey, _b: Grey, random: Random) -> Grey:
    image = Image.new("L", (160, 160), 245)
    font = ImageFont.truetype(
        str(_FONTS / str(random.choice(_FACES))), int(random.integers(70, 110))
    )
    letter = LETTERS[random.integers(len(LETTERS))]
    ImageDraw.Draw(image).text((80, 80), letter, fill=25, font=font, anchor="mm")
    return np.asarray(image, np.float64)


def _beside(a: Grey, b: Grey, random: Random) -> Grey:
    gap = int(random.integers(0, 10))
    left, right = (ink[:, ink.max(0) > 60] for ink in (a, b))
    return 245 - np.pad(np.hstack([left, np.zeros((28, gap)), right]), 6) * (215 / 255)


def _three(a: Grey, b: Grey, _: Random) -> Grey:
    return 245 - np.pad(np.hstack([a[:, 5:23], b[:, 5:23], a[:, 5:23]]), 6) * (215 / 255)


def _scribble(_a: Grey, _b: Grey, random: Random) -> Grey:
    image = Image.new("L", (160, 160), 245)
    points = np.cumsum(random.normal(0, 22, (60, 2)), axis=0)
    points = (points - points.min(0)) / np.ptp(points, axis=0) * 110 + 25
    smooth = ndimage.gaussian_filter1d(points, 1, axis=0)
    ImageDraw.Draw(image).line([tuple(p) for p in smooth], fill=25, width=5, joint="curve")
    return np.asarray(image, np.float64)


def _shape(_a: Grey, _b: Grey, random: Random) -> Grey:
    image = Image.new("L", (160, 160), 245)
    draw, kind = ImageDraw.Draw(image), random.integers(4)
    left, top = random.integers(20, 50, 2).tolist()
    right, bottom = random.integers(100, 140, 2).tolist()
    if kind == 0:
        draw.ellipse((left, top, right, bottom), fill=25)
    elif kind == 1:
        draw.rectangle((left, top, right, bottom), fill=25)
    elif kind == 2:
        draw.polygon([(left, bottom), (right, bottom), (80, top)], outline=25, width=8)
    else:  # a cross
        draw.line((left, 80, right, 80), fill=25, width=10)
        draw.line((80, top, 80, bottom), fill=25, width=10)
    return np.asarray(image, np.float64)


def _texture(_a: Grey, _b: Grey, random: Random) -> Grey:
    """Like a photograph: noise whose amplitude falls with its frequency."""
    rows, columns = np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij")
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1
    waves = np.fft.fft2(random.normal(size=(128, 128))) / frequency**1.2
    image = np.fft.ifft2(waves).real
    return 255 * (image - image.min()) / np.ptp(image)


def _board(_a: Grey, _b: Grey, random: Random) -> Grey:
    field = int(random.integers(6, 30))
    rows, columns = np.indices((160, 160)) // field
    return np.where((rows + columns) % 2 == 0, 240.0, 20.0)


def _stripes(_a: Grey, _b: Grey, random: Random) -> Grey:
    rows = np.indices((160, 160))[0] // int(random.integers(6, 20))
    stripes = np.where(rows % 2 == 0, 240.0, 20.0)
    return stripes if random.random() < 0.5 else stripes.T


NEGATIVE: dict[str, Made] = {
    "letters": _letter,
    "two digits": _beside,
    "three digits": _three,
    "scribbles": _scribble,
    "shapes": _shape,
    "blank, light from a side": lambda _a, _b, r: slanted_light(np.full((160, 160), 245.0), r),
    "blank, noise": lambda _a, _b, r: noisy(np.full((160, 160), 220.0), r),
    "like a photograph": _texture,
    "checkerboard": _board,
    "stripes": _stripes,
}
"""What is not one digit. Each is given two digits of MNIST, and need not use them."""
