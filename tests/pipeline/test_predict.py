"""Predicting a drawing: whatever its size, its polarity and its place, it becomes what MNIST is made of."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.artifact.formats import read
from pipeline.artifact.manifest import Inputs, Manifest, Standing, sums
from pipeline.artifact.serving import network, with_scaling
from pipeline.command.errors import UnavailableError
from pipeline.data import Dataset, load
from pipeline.pictures.images import read_digit
from pipeline.predict import main
from pipeline.run.config import DataConfig
from pipeline.training.execute import execute
from tests.conftest import MakeRunConfig

Draw = Callable[[NDArray[np.uint8]], Image.Image]


def stroke() -> NDArray[np.uint8]:
    """A one: 12 x 3 bright pixels in the upper left of 28 x 28."""
    image = np.zeros((28, 28), np.uint8)
    image[2:14, 4:7] = 255
    return image


def digit(file: Path, image: Image.Image) -> NDArray[np.float32]:
    image.save(file)
    return read_digit(file, (28, 28), 0.0, 255.0)


def centre(image: NDArray[np.float32]) -> tuple[float, float]:
    rows, columns = (image.sum(axis) for axis in (1, 0))
    numbers = np.arange(28)
    return float(rows @ numbers / rows.sum()), float(columns @ numbers / columns.sum())


def test_a_drawing_is_brought_to_the_size_and_the_place_of_mnist(tmp_path: Path) -> None:
    image = digit(tmp_path / "one.png", Image.fromarray(stroke()))
    drawn = np.argwhere(image > 25)
    assert np.ptp(drawn[:, 0]) + 1 == 20
    assert 5 <= np.ptp(drawn[:, 1]) + 1 <= 6  # 3 of 12 is 5 of 20
    assert centre(image) == pytest.approx((14, 14), abs=0.5)
    assert (image.min(), image.max()) == (0, 255)


@pytest.mark.parametrize(
    "draw",
    [
        lambda pixels: Image.fromarray(255 - pixels),
        lambda pixels: Image.fromarray(pixels // 4 + 30),
        lambda pixels: Image.fromarray(pixels).convert("RGB"),
        lambda pixels: Image.fromarray(pixels.astype(np.uint16) * 257),
        lambda pixels: Image.fromarray(np.stack([0 * pixels] * 3 + [pixels], axis=-1)),
        lambda pixels: Image.fromarray(np.stack([0 * pixels + 255] * 3 + [pixels], axis=-1)),
        lambda pixels: Image.fromarray(np.pad(pixels, ((40, 3), (0, 90)))),
    ],
    ids=[
        "inverted",
        "faint",
        "colour",
        "16 bits",
        "black on clear",
        "white on clear",
        "off-centre",
    ],
)
def test_how_it_was_drawn_makes_no_difference(tmp_path: Path, draw: Draw) -> None:
    plain = digit(tmp_path / "plain.png", Image.fromarray(stroke()))
    other = digit(tmp_path / "other.png", draw(stroke()))
    np.testing.assert_allclose(other, plain, atol=1)


def test_a_photograph_lying_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    plain = digit(tmp_path / "plain.png", Image.fromarray(stroke()))
    turned = Image.fromarray(255 - np.rot90(stroke()))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise to be seen
    turned.save(tmp_path / "photo.jpg", exif=exif, quality=100, subsampling=0)
    photo = read_digit(tmp_path / "photo.jpg", (28, 28), 0.0, 255.0)
    assert np.abs(photo - plain).mean() < 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.png", b"hello", "no PNG or JPEG"),
        ("picture.gif", b"GIF89a" + bytes(100), "no PNG or JPEG"),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + bytes(3), "no PNG or JPEG|can't be read"),
    ],
)
def test_what_is_no_image_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnavailableError, match=f"{name}: .*({reason})"):
        read_digit(tmp_path / name, (28, 28), 0.0, 255.0)


def test_a_cut_off_image_and_an_empty_sheet_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8)
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:20_000])
    with pytest.raises(UnavailableError, match="can't be read"):
        read_digit(file, (28, 28), 0.0, 255.0)
    Image.new("L", (50, 50), 200).save(file)
    with pytest.raises(UnavailableError, match="nothing is drawn"):
        read_digit(file, (28, 28), 0.0, 255.0)


@pytest.fixture(scope="module")
def mnist(mnist_path: Path) -> Dataset:
    return load(DataConfig(name="mnist", path=str(mnist_path), scale=True))


@pytest.fixture(scope="module")
def model(
    mnist: Dataset, run_config: MakeRunConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A network trained for one epoch on MNIST, as a `.keras` file that takes raw pixels."""
    run = run_config("data.name=mnist", "model.depth=1", "train.epochs=1")
    weights = execute(run, mnist, lambda _: False).weights
    file = tmp_path_factory.mktemp("model") / "digits.keras"
    with_scaling(network(run, mnist, weights), mnist).save(file)
    return file


@pytest.mark.parametrize(
    "draw",
    [
        lambda pixels: Image.fromarray(pixels),
        lambda pixels: Image.fromarray(255 - pixels).resize((640, 640), Image.Resampling.BICUBIC),
        lambda pixels: Image.fromarray(np.pad(pixels, ((300, 9), (9, 200)))),
    ],
    ids=["as it is", "large, dark on light", "in a corner"],
)
@pytest.mark.slow
def test_real_digits_are_recognised_however_they_are_drawn(
    mnist: Dataset, model: Path, tmp_path: Path, draw: Draw
) -> None:
    count = 300
    pixels, labels = mnist.test.features[:count], mnist.test.labels[:count]
    drawn = np.stack([digit(tmp_path / "digit.png", draw(image)) for image in pixels])
    predict = read(model)
    as_in_mnist = (predict(pixels.astype(np.float32)).argmax(1) == labels).mean()
    assert as_in_mnist > 0.9
    assert (predict(drawn).argmax(1) == labels).mean() > as_in_mnist - 0.015


def test_the_command_shows_the_class_and_every_probability(
    mnist: Dataset, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(255 - mnist.test.features[0]).save(tmp_path / "seven.png")
    assert main([str(model), str(tmp_path / "seven.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    title = "".join(lines).split("(")[0]
    assert title.replace(" ", "").endswith("seven.png:7")
    table = [line.split() for line in lines if line.rstrip().endswith("%")]
    assert [row[0] for row in table[-10:]] == list("0123456789")
    shares = [float(row[-1].rstrip("%")) for row in table[-10:]]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert shares.index(max(shares)) == 7
    assert all(len(line) <= 80 for line in lines)


def test_the_range_of_the_pixels_that_it_was_trained_on_makes_no_difference(
    mnist: Dataset, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that takes pixels from -1 to 1 says of a drawing what one from 0 to 255 says."""
    scaled = keras.Sequential([keras.Input((28, 28)), keras.layers.Rescaling(127.5, 127.5)])
    scaled.add(keras.saving.load_model(model))
    scaled.save(tmp_path / "model.keras")
    inputs = Inputs((28, 28), "float32", -1.0, 1.0)
    about: dict[str, Any] = {field.name: {} for field in fields(Manifest)}
    standing = Standing("val_accuracy", "maximize", 0.9, "beef")
    labels = tuple("0123456789")
    manifest = Manifest(
        **{**about, "inputs": inputs, "standing": standing, "labels": labels, "verdict": None}
    )
    manifest.with_files(sums(tmp_path)).write(tmp_path)
    image = tmp_path / "seven.png"
    Image.fromarray(255 - mnist.test.features[0]).save(image)
    assert main([str(model), str(image)]) == 0
    plain = capsys.readouterr().out
    assert main([str(tmp_path), str(image)]) == 0
    assert capsys.readouterr().out == plain


@pytest.mark.parametrize("shape", [(28, 28, 1), (1, 28, 28)])
def test_a_network_of_images_with_a_channel_is_given_them(
    mnist: Dataset,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shape: tuple[int, ...],
) -> None:
    with_channel = keras.Sequential([keras.Input(shape), keras.layers.Reshape((28, 28))])
    with_channel.add(keras.saving.load_model(model))
    with_channel.save(tmp_path / "model.keras")
    about: dict[str, Any] = {field.name: {} for field in fields(Manifest)}
    standing = Standing("val_accuracy", "maximize", 0.9, "beef")
    inputs, labels = Inputs(shape, "float32", 0.0, 255.0), tuple("0123456789")
    manifest = Manifest(
        **{**about, "inputs": inputs, "standing": standing, "labels": labels, "verdict": None}
    )
    manifest.with_files(sums(tmp_path)).write(tmp_path)
    image = tmp_path / "seven.png"
    Image.fromarray(255 - mnist.test.features[0]).save(image)
    assert main([str(model), str(image)]) == 0
    plain = capsys.readouterr().out
    assert main([str(tmp_path), str(image)]) == 0
    assert capsys.readouterr().out == plain


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0)])
def test_the_pixels_of_a_model_that_nobody_speaks_of_are_found(
    mnist: Dataset,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    low: float,
    high: float,
) -> None:
    """A network trained on pixels from 0 to 1, without the scaling inside, says what one with it says."""
    span = 255 / (high - low)
    bare = keras.Sequential([keras.Input((28, 28)), keras.layers.Rescaling(span, -low * span)])
    bare.add(keras.saving.load_model(model))
    bare.save(tmp_path / "bare.keras")
    image = tmp_path / "seven.png"
    Image.fromarray(255 - mnist.test.features[0]).save(image)
    assert main([str(model), str(image)]) == 0
    plain = capsys.readouterr()
    assert "pixels from" not in plain.err
    for choice in ([], ["--pixels", str(low), str(high)]):
        assert main([str(tmp_path / "bare.keras"), str(image), *choice]) == 0
        bared = capsys.readouterr()
        assert bared.out == plain.out
        assert (f"pixels from {low:g} to {high:g} are taken" in bared.err) == (not choice)


def test_one_bad_file_ends_with_69_and_the_others_are_still_shown(
    mnist: Dataset, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(mnist.test.features[0]).save(tmp_path / "seven.png")
    (tmp_path / "bad.png").write_text("hello")
    assert main([str(model), str(tmp_path / "bad.png"), str(tmp_path / "seven.png")]) == 69
    captured = capsys.readouterr()
    assert "bad.png: this is no PNG or JPEG image" in captured.err
    assert "seven.png" in captured.out.replace("\n", "")


def test_a_model_that_takes_no_such_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)]).save(tmp_path / "rows.keras")
    Image.fromarray(stroke()).save(tmp_path / "one.png")
    assert main([str(tmp_path / "rows.keras"), str(tmp_path / "one.png")]) == 69
    assert "does not take 28 x 28 images" in capsys.readouterr().err


def test_a_model_that_is_not_there_or_no_keras_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.keras"), "image.png"]) == 69
    assert "there is no such file or folder" in capsys.readouterr().err
    (tmp_path / "model.h5").write_bytes(b"")
    assert main([str(tmp_path / "model.h5"), "image.png"]) == 2
    assert "expected an export's folder or a .keras file" in capsys.readouterr().err
