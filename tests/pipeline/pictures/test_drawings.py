"""How well drawings are read, and what is none is told: the rates that docs/predict.md states.

`pytest -s -m slow tests/pipeline/pictures/test_drawings.py` prints its table.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.artifact.serving import network, with_scaling
from pipeline.command.errors import UnavailableError
from pipeline.data import Dataset, load
from pipeline.pictures.images import read_digit
from pipeline.pictures.typical import Typical
from pipeline.predict import Model, predict
from pipeline.run.config import DataConfig
from pipeline.training.execute import execute
from tests.conftest import MakeRunConfig
from tests.pipeline.pictures.drawings import GOOD, NEGATIVE

pytestmark = pytest.mark.slow

COUNT = 200
"""Pictures of each kind."""


class Rates(NamedTuple):
    """Shares of the pictures of a kind. `warned`: that are answered with a warning, or not at all."""

    right: float
    refused: float
    warned: float


@pytest.fixture(scope="module")
def mnist(mnist_path: Path) -> Dataset:
    return load(DataConfig(name="mnist", path=str(mnist_path), scale=True))


@pytest.fixture(scope="module")
def model(
    mnist: Dataset, run_config: MakeRunConfig, tmp_path_factory: pytest.TempPathFactory
) -> Model:
    """The README's network, trained for eight epochs on MNIST, with what is typical of that."""
    run = run_config("data.name=mnist", "model.dropout=0.16", "train.epochs=8")
    weights = execute(run, mnist, lambda _: False).weights
    file = tmp_path_factory.mktemp("model") / "digits.keras"
    with_scaling(network(run, mnist, weights), mnist).save(file)
    unit = (mnist.train.features / 255).astype(np.float32)
    known = Typical.of(unit, mnist.train.labels, 10)
    return Model(file, low=0.0, high=255.0, typical=known)


@pytest.fixture(scope="module")
def rates(
    mnist: Dataset, model: Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Rates]:
    file = tmp_path_factory.mktemp("pictures") / "picture.png"
    found = {}
    for name in (*GOOD, *NEGATIVE):
        random = np.random.default_rng(0)
        images, labels = [], []
        for number in range(COUNT):
            one, other = (
                mnist.test.features[7 * number + more].astype(np.float64) for more in (0, 1)
            )
            drawn = GOOD[name](one, random) if name in GOOD else NEGATIVE[name](one, other, random)
            Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8)).save(file)
            try:
                images.append(read_digit(file, (28, 28), 0.0, 1.0))
                labels.append(mnist.test.labels[7 * number])
            except UnavailableError:
                pass
        found[name] = _rates(model, images, labels)
        print(f"{name:30} {found[name]}")
    return found


def _rates(model: Model, images: list[NDArray[np.float32]], labels: list[np.int64]) -> Rates:
    refused = (COUNT - len(images)) / COUNT
    if not images:
        return Rates(0.0, 1.0, 1.0)
    answers = predict(model, np.stack(images))
    right = sum(answers.probabilities.argmax(1) == np.array(labels)) / COUNT
    return Rates(float(right), refused, refused + sum(map(bool, answers.doubts)) / COUNT)


HARD = {"cut close, light from a side": 0.85, "shadow of a hand": 0.85, "lamp": 0.75}
"""Kinds of which fewer are read rightly, and how many are."""


@pytest.mark.parametrize("name", GOOD)
def test_a_digit_is_read_however_it_was_drawn(rates: dict[str, Rates], name: str) -> None:
    assert rates[name].right >= HARD.get(name, 0.94)


def test_few_digits_that_can_be_read_are_warned_of(rates: dict[str, Rates]) -> None:
    easy = [rates[name].warned for name in GOOD if name not in HARD]
    assert sum(easy) / len(easy) < 0.02
    assert max(easy) < 0.05


MOST: dict[str, float] = {
    "letters": 0.4,
    "two digits": 0.85,
    "three digits": 0.8,
    "scribbles": 0.75,
    "shapes": 0.5,
    "like a photograph": 0.8,
    "stripes": 0.6,
    "checkerboard": 0.95,
    "blank, light from a side": 1.0,
    "blank, noise": 1.0,
}


@pytest.mark.parametrize("name", NEGATIVE)
def test_what_is_no_digit_is_warned_of(rates: dict[str, Rates], name: str) -> None:
    assert rates[name].warned >= MOST[name]


def test_digits_of_the_test_set_are_warned_of_where_the_network_errs(
    mnist: Dataset, model: Model
) -> None:
    images = (mnist.test.features / 255).astype(np.float32)
    answers = predict(model, images)
    doubted = np.array([doubt is not None for doubt in answers.doubts])
    right = answers.probabilities.argmax(1) == mnist.test.labels
    print(f"test set: warned {doubted.mean():.4f}, right {right[doubted].mean():.3f} of these, ")
    print(f"right of the others {right[~doubted].mean():.4f}, of all {right.mean():.4f}")
    assert doubted.mean() < 0.02
    assert right[doubted].mean() < 0.8 < 0.98 < right[~doubted].mean()
