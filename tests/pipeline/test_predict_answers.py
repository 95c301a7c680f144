"""What a model answers is shown only where it means something, and one bad picture costs no other one."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.artifact.manifest import FILE, Inputs, Manifest, Standing, sums
from pipeline.command.errors import StorageError
from pipeline.data import Dataset
from pipeline.pictures.typical import Typical
from pipeline.predict import main

LABELS = tuple("0123456789")


def picture(file: Path, digit: str = "7") -> Path:
    image = Image.new("L", (60, 60), 250)
    ImageDraw.Draw(image).text((30, 30), digit, fill=20, font_size=44, anchor="mm")
    image.save(file)
    return file


def constant(bias: list[float], activation: str | None = None) -> Any:
    """A layer that gives the same numbers for whatever it gets."""
    return keras.layers.Dense(
        len(bias), activation, kernel_initializer="zeros", bias_initializer=_Given(bias)
    )


class _Given(keras.initializers.Initializer):  # type: ignore[misc]
    def __init__(self, values: list[float]) -> None:
        self._values = values

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(self._values, dtype=dtype)


def saved(file: Path, build: Callable[[Any], Any], size: int = 28) -> Path:
    """The functional model that `build` makes of the flattened input, without an initializer of ours."""
    inputs = keras.Input((size, size))
    model = keras.Model(inputs, build(keras.layers.Flatten()(inputs)))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.bias_initializer = keras.initializers.Zeros()
    model.save(file)
    return file


def export(folder: Path, bias: list[float], dataset: Dataset | None = None) -> Path:
    """An export's folder with a model for 8 x 8 pixels, and what is typical of `dataset`."""
    saved(folder / "model.keras", lambda flat: constant(bias, "softmax")(flat), 8)
    if dataset is not None:
        unit = (dataset.train.features / 16).astype(np.float32)
        Typical.of(unit, dataset.train.labels, 10).write(folder)
    about: dict[str, Any] = {field.name: {} for field in fields(Manifest)}
    mine = {
        "inputs": Inputs((8, 8), "float32", 0.0, 16.0),
        "standing": Standing("val_accuracy", "maximize", 0.9, "beef"),
        "labels": LABELS,
        "verdict": None,
    }
    Manifest(**{**about, **mine}).with_files(sums(folder)).write(folder)
    return folder


PEAK = [0.0] * 7 + [9.0, 0.0, 0.0]
"""Nearly certain of a seven."""

NO_PROBABILITIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "two outputs": (
        lambda flat: [constant(PEAK, "softmax")(flat), constant([1.0], "sigmoid")(flat)],
        "expected a model with one output, its probabilities, got 2",
    ),
    "two outputs of one shape": (
        lambda flat: [constant(PEAK, "softmax")(flat), constant(PEAK, "softmax")(flat)],
        "expected a model with one output, its probabilities, got 2",
    ),
    "named outputs": (
        lambda flat: {"a": constant(PEAK)(flat), "b": constant(PEAK)(flat)},
        "expected a model with one output, its probabilities, got 2",
    ),
    "rank 3": (
        lambda flat: keras.layers.Reshape((2, 5))(constant(PEAK, "softmax")(flat)),
        "expected 2 probabilities for each image, got 2 x 5",
    ),
    "one number": (
        lambda flat: constant([1.0], "sigmoid")(flat),
        "expected 2 probabilities for each image, got 1",
    ),
    "percent": (lambda flat: constant([0.0, 255.0])(flat), "got 0 to 255 with the sum 255"),
    "logits": (lambda flat: constant([-3.0, 5.0])(flat), "got -3 to 5 with the sum 2"),
    "negative, with the sum 1": (lambda flat: constant([-1.0, 2.0])(flat), "got -1 to 2"),
    "sigmoids": (lambda flat: constant([3.0, 3.0], "sigmoid")(flat), "with the sum 1.91"),
    "NaN": (lambda flat: constant([float("nan"), 1.0])(flat), "got NaN or infinity"),
    "infinity": (lambda flat: constant([float("inf"), 1.0])(flat), "got NaN or infinity"),
}


@pytest.mark.parametrize("what", NO_PROBABILITIES)
def test_a_model_that_gives_no_probabilities_is_named_with_what_it_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    build, reason = NO_PROBABILITIES[what]
    model = saved(tmp_path / "other.keras", build)
    assert main([str(model), str(picture(tmp_path / "seven.png"))]) == 69
    captured = capsys.readouterr()
    assert reason in captured.err
    assert "other.keras" in captured.err
    assert "%" not in captured.out


def test_a_manifest_with_other_labels_than_the_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, [0.0, 0.0, 0.0])
    assert main([str(tmp_path), str(picture(tmp_path / "seven.png"))]) == 69
    assert "expected 10 probabilities for each image, got 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("inputs", "shape"), [8, -8]),
        (("inputs", "shape"), []),
        (("inputs", "shape"), ["a", 8]),
        (("inputs", "low"), float("nan")),
        (("inputs", "high"), -1.0),
        (("labels",), [1, 2]),
        (("files",), {"model.keras": {}}),
        (("files",), ["model.keras"]),
    ],
)
def test_a_manifest_that_makes_no_sense_is_named(
    tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    tree = json.loads((export(tmp_path, PEAK) / FILE).read_text())
    place = tree
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / FILE).write_text(json.dumps(tree))
    with pytest.raises(StorageError, match=r"manifest\.json: this is no manifest"):
        Manifest.read(tmp_path)


def test_what_is_typical_and_damaged_ends_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, PEAK)
    (tmp_path / "typical.npz").write_bytes(b"PK\x03\x04 no more")
    manifest = Manifest.read(tmp_path)
    manifest.with_files(sums(tmp_path)).write(tmp_path)
    assert main([str(tmp_path), str(picture(tmp_path / "seven.png"))]) == 74
    assert "typical.npz: can't be read" in capsys.readouterr().err


def test_broken_pictures_cost_their_own_answers_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tmp_path / "model.keras", lambda flat: constant(PEAK, "softmax")(flat))
    picture(tmp_path / "first.png")
    picture(tmp_path / "last.png")
    whole = (tmp_path / "first.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (40, 40), 99).save(tmp_path / "blank.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    bad = ["cut.png", "blank.png", "folder.png", "zero.png", "nowhere.png"]
    names = ["first.png", *bad, "last.png", "first.png"]
    assert main([str(model), *(str(tmp_path / name) for name in names)]) == 69
    captured = capsys.readouterr()
    shown = captured.out.replace("\n", "")
    assert shown.count("first.png") == 2, "each is answered as often as it is asked"
    assert shown.count("last.png") == 1
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad)
    assert all(f"{name}: " in line for name, line in zip(bad, errors, strict=True))


def letter(file: Path) -> Path:
    return picture(file, "W")


def two_digits(file: Path) -> Path:
    return picture(file, "47")


def scribble(file: Path) -> Path:
    image = Image.new("L", (160, 160), 245)
    points = np.random.default_rng(1).integers(10, 150, (30, 2))
    ImageDraw.Draw(image).line([tuple(point) for point in points.tolist()], fill=20, width=4)
    image.save(file)
    return file


@pytest.mark.parametrize("draw", [letter, two_digits, scribble])
def test_a_picture_unlike_the_training_images_is_answered_with_a_warning(
    digits: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    draw: Callable[[Path], Path],
) -> None:
    export(tmp_path, PEAK, digits)
    assert main([str(tmp_path), str(draw(tmp_path / "other.png"))]) == 0
    captured = capsys.readouterr()
    assert "other.png: not sure this is one digit: it is unlike what the network" in captured.err
    assert "not sure" in captured.out
    assert "99.9%" in captured.out


def test_an_answer_without_half_of_the_probability_is_marked(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, [0.0] * 10, digits)
    assert main([str(tmp_path), str(picture(tmp_path / "seven.png"))]) == 0
    assert "seven.png: not sure this is one digit: " in capsys.readouterr().err


def test_a_model_of_which_nothing_is_known_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(tmp_path / "model.keras", lambda flat: constant(PEAK, "softmax")(flat))
    assert main([str(model), str(picture(tmp_path / "seven.png"))]) == 0
    warned = capsys.readouterr().err
    assert "nothing says which pixels it takes" in warned
    assert "nothing says what it was trained on" in warned


@pytest.mark.parametrize("pixels", [["1", "0"], ["0", "nan"], ["0", "inf"], ["3", "3"]])
def test_pixels_that_are_no_range_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pixels: list[str]
) -> None:
    model = saved(tmp_path / "model.keras", lambda flat: constant(PEAK, "softmax")(flat))
    image = str(picture(tmp_path / "seven.png"))
    assert main([str(model), image, "--pixels", *pixels]) == 2
    assert "--pixels: expected two numbers, the lower first" in capsys.readouterr().err


def test_pixels_of_an_export_are_its_manifests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(tmp_path, PEAK)
    image = str(picture(tmp_path / "seven.png"))
    assert main([str(tmp_path), image, "--pixels", "0", "1"]) == 2
    assert "which says which pixels it takes" in capsys.readouterr().err


def test_the_digits_are_typical_of_themselves_and_noise_is_not(
    digits: Dataset, tmp_path: Path
) -> None:
    unit = (digits.train.features / 16).astype(np.float32)
    Typical.of(unit, digits.train.labels, 10).write(tmp_path)
    known = Typical.read(tmp_path, (8, 8), 10)
    test = (digits.test.features / 16).astype(np.float32)
    assert known.unlike(test, digits.test.labels).mean() < 0.04
    noise = np.random.default_rng(0).random((200, 8, 8), np.float32)
    assert known.unlike(noise, np.arange(200) % 10).all()
    wrong = (digits.test.labels + 1) % 10
    assert known.unlike(test, wrong).mean() > 0.5, "of another class"


def test_a_class_of_one_image_or_none_has_something_typical() -> None:
    images = np.random.default_rng(0).random((30, 20, 12), np.float32)
    labels = np.array([0] * 29 + [2])
    known = Typical.of(images, labels, 4)
    assert known.unlike(images, labels).shape == (30,)
    assert known.unlike(images[:1], np.array([3])).all()
