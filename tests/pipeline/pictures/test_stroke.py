"""What is found in a picture is the drawing: neither light nor frame nor dust changes what a network sees."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.pictures.images import like_mnist
from pipeline.pictures.stroke import Grey, find_stroke
from tests.pipeline.pictures import drawings

Change = Callable[[Grey, np.random.Generator], Grey]


def five(broken: bool = False) -> Grey:
    """A five on a white sheet of 180 x 180, its bar detached where it is `broken`."""
    image = Image.new("L", (180, 180), 245)
    draw = ImageDraw.Draw(image)
    draw.line([(120, 50), (76, 50)] if broken else [(120, 50), (68, 50)], fill=30, width=11)
    draw.line([(64, 46), (64, 90)], fill=30, width=11)
    draw.arc([(50, 80), (122, 142)], -110, 150, fill=30, width=11)
    return np.asarray(image, np.float64)


def seen(grey: Grey) -> Grey:
    ink = find_stroke(np.clip(np.round(grey), 0, 255))
    assert ink is not None
    return like_mnist(ink, (28, 28)).astype(np.float64)


CHANGES: dict[str, Change] = {
    "inverted": lambda grey, _: 255 - grey,
    "faint": lambda grey, _: 255 - (255 - grey) * 0.3,
    "black frame": lambda grey, _: drawings.framed(grey, 2, 0),
    "wide grey frame": lambda grey, _: drawings.framed(grey, 9, 150),
    "frame in a margin": lambda grey, _: np.pad(
        drawings.framed(grey, 3, 0), 5, constant_values=245
    ),
    "two frames": lambda grey, _: drawings.framed(drawings.framed(grey, 8, 245), 3, 0),
    "box of a form": drawings.boxed,
    "dark edge of a scan": drawings.edged,
    "specks": drawings.specked,
    "light from a side": drawings.slanted_light,
    "vignette": drawings.vignette,
    "lamp": drawings.lamp,
    "shadow": drawings.shadowed,
    "ruled paper": drawings.ruled,
    "squared paper": lambda grey, random: drawings.ruled(grey, random, squared=True),
    "noise": drawings.noisy,
    "light and frame": lambda grey, random: drawings.framed(
        drawings.slanted_light(grey, random), 3, 0
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_drawn_makes_no_difference(change: str) -> None:
    plain = seen(five())
    for seed in range(5):
        changed = seen(CHANGES[change](five(), np.random.default_rng(seed)))
        assert np.corrcoef(changed.ravel(), plain.ravel())[0, 1] > 0.95


def test_a_digit_in_two_parts_is_kept_whole() -> None:
    assert np.corrcoef(seen(five(broken=True)).ravel(), seen(five()).ravel())[0, 1] > 0.9


def test_the_bars_of_a_digit_that_is_cut_close_are_no_frame() -> None:
    """A seven and a one of straight lines fill their pictures."""
    seven = np.full((80, 60), 245.0)
    seven[:10], seven[10:, 40:52] = 30, 30
    widths = (seen(seven) > 0.5).sum(axis=1)
    assert (widths >= 14).sum() >= 2, "the bar"
    assert (widths == 3).sum() >= 15, "the stem"
    one = np.full((80, 20), 245.0)
    one[2:-2, 6:14] = 30
    assert np.ptp(np.flatnonzero((seen(one) > 0.3).any(axis=1))) >= 18


def test_a_line_of_a_fine_pen_is_as_bright_as_a_strokes() -> None:
    image = Image.new("L", (400, 400), 245)
    ImageDraw.Draw(image).line([(100, 60), (300, 60), (180, 340)], fill=30, width=4)
    assert (seen(np.asarray(image, np.float64)) > 0.7).sum() > 30


@pytest.mark.parametrize(
    "blank",
    [
        lambda _: np.full((160, 160), 245.0),
        lambda random: drawings.slanted_light(np.full((160, 160), 245.0), random),
        lambda random: drawings.vignette(np.full((160, 160), 245.0), random),
        lambda random: drawings.noisy(np.full((160, 160), 200.0), random),
    ],
    ids=["even", "light from a side", "vignette", "noise"],
)
def test_on_blank_paper_nothing_is_drawn(blank: Callable[[np.random.Generator], Grey]) -> None:
    assert find_stroke(np.round(blank(np.random.default_rng(0)))) is None
