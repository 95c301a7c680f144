"""The class of a drawn digit, and how probable each one is.

python -m pipeline.predict exports/dropout image.png
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.artifact.formats import NAMES, read
from pipeline.artifact.manifest import FILE, Manifest
from pipeline.artifact.probe import pixel_range
from pipeline.command.cli import guarded
from pipeline.command.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.data import grey_size
from pipeline.network.backend import limit_threads, quietly
from pipeline.pictures import typical
from pipeline.pictures.images import read_digit
from pipeline.pictures.typical import Typical
from pipeline.training.score import Predict

_BARS = 10
_HALF = 0.5
"""A class that is less probable is no sure answer."""

_RECOGNISED = 0.5
"""The share of the bundled digits that a model must read, or it is taken for one of something else."""

_TOLERANCE = 0.01
"""How far the probabilities of one image may be from a sum of 1; 16 bits are within 0.005."""


@dataclass(frozen=True)
class Model:
    """A `.keras` file that takes images: `shape` pixels from `low` to `high`, None: nobody says which.

    `inputs`: the shape in which it takes them, which may have a channel. `labels`, `typical`: of what it was
    trained on, if that is known.
    """

    file: Path
    shape: tuple[int, int] = (28, 28)
    low: float | None = None
    high: float | None = None
    labels: tuple[str, ...] | None = None
    inputs: tuple[int, ...] = (28, 28)
    typical: Typical | None = None


@dataclass(frozen=True)
class Answers:
    """N x classes `probabilities` of N images. `wrong`: why a row is none; `doubts`: why it may mean nothing.

    `remarks`: what is to be said of the model itself.
    """

    probabilities: NDArray[np.float32]
    wrong: list[str | None]
    doubts: list[str | None]
    remarks: list[str]


def find_model(path: Path) -> Model:
    """The model at `path`, an export's folder or a `.keras` file.

    A file that no export speaks of is taken for one of digits of 28 x 28 pixels.
    Raises UnavailableError where it is neither, or not what was exported.
    """
    folder, file = (path, path / NAMES["keras"]) if path.is_dir() else (path.parent, path)
    if not file.exists():
        what = f"no {NAMES['keras']} in it" if path.is_dir() else "no such file or folder"
        raise UnavailableError(f"{path}: there is {what}")
    if file.suffix != ".keras":
        raise ConfigError(f"{path}: expected an export's folder or a .keras file")
    if not (folder / FILE).exists():
        return Model(file)
    manifest = Manifest.read(folder)
    if file.name not in manifest.files:
        return Model(file)
    if damage := manifest.damage(folder):
        raise UnavailableError(f"{folder}: {damage}: not used (export it again)")
    inputs, labels = manifest.inputs, manifest.labels
    shape = grey_size(inputs.shape)
    if shape is None or inputs.low is None or inputs.high is None:
        size = " x ".join(map(str, inputs.shape))
        raise ConfigError(f"{path}: this model takes rows of {size} numbers, no grey images")
    known = None
    if typical.FILE in manifest.files:
        known = Typical.read(folder, shape, len(labels))
    return Model(file, shape, inputs.low, inputs.high, labels, inputs.shape, known)


def predict(model: Model, images: NDArray[np.float32]) -> Answers:
    """What `model` makes of N x H x W `images` from 0 (paper) to 1 (ink), and whether that means anything.

    Raises UnavailableError where it can't be loaded, or does not give N x classes numbers.
    """
    limit_threads(1)
    with quietly():
        function = _checked(model, read(model.file))
        low, high, remarks = _pixels(model, function)
        probabilities = function(low + images * np.float32(high - low))
    if model.typical is None:
        remarks.append(
            "nothing says what it was trained on: a picture of something else may not be told"
        )
    wrong = [_wrong(model, row) for row in probabilities]
    doubts = _doubts(model, images, probabilities)
    return Answers(probabilities, wrong, doubts, remarks)


def _checked(model: Model, function: Predict) -> Predict:
    """`function` on N x H x W pixels, with its answer held to be N x classes numbers."""

    def predict(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            outputs = function(images.reshape(len(images), *model.inputs))
        except PlumblineError:
            raise
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnavailableError(
                f"{model.file}: does not take {model.shape[0]} x {model.shape[1]} images: {reason}"
            ) from error
        classes = len(model.labels) if model.labels is not None else max(2, *outputs.shape[1:2])
        if outputs.shape != (len(images), classes):
            found = " x ".join(map(str, outputs.shape[1:])) or "one number"
            raise UnavailableError(
                f"{model.file}: expected {classes} probabilities for each image, got {found}"
            )
        return outputs.astype(np.float32)

    return predict


def _pixels(model: Model, function: Predict) -> tuple[float, float, list[str]]:
    """The range of pixels that `model` takes, and what is to be said of it."""
    if model.low is not None and model.high is not None:
        return model.low, model.high, []
    low, high, right = pixel_range(function, model.shape)
    remark = (
        f"pixels from {low:g} to {high:g} are taken, as it reads the bundled digits best with them"
    )
    if right < _RECOGNISED:
        low, high = 0.0, 255.0
        remark = (
            f"nothing says which pixels it takes, and it reads {right:.0%} of the bundled digits at best: "
            "0 to 255 are taken"
        )
    elif (low, high) == (0, 255):
        return low, high, []
    return low, high, [f"{remark} (--pixels LOW HIGH sets others)"]


def _wrong(model: Model, row: NDArray[np.float32]) -> str | None:
    """Why `row` has no probabilities; None: it has."""
    low, high, total = float(row.min()), float(row.max()), float(row.sum())
    if math.isfinite(total) and low >= -_TOLERANCE and abs(total - 1) <= _TOLERANCE:
        return None
    found = "NaN or infinity"
    if math.isfinite(total):
        found = f"{low:.3g} to {high:.3g} with the sum {total:.3g}"
    return f"{model.file}: expected probabilities, which add up to 1, got {found}"


def _doubts(
    model: Model, images: NDArray[np.float32], probabilities: NDArray[np.float32]
) -> list[str | None]:
    """Why each answer may mean nothing; None: nothing speaks against it. docs/predict.md measures it."""
    best = probabilities.argmax(axis=1)
    unlike = np.zeros(len(images), bool)
    if model.typical is not None:
        unlike = model.typical.unlike(images, best)
    return [
        "it is unlike what the network was trained on"
        if strange
        else ("no class has half of the probability" if row.max() < _HALF else None)
        for strange, row in zip(unlike, probabilities, strict=True)
    ]


def bars(
    name: str, probabilities: NDArray[np.float32], labels: Sequence[str], doubt: str | None = None
) -> Table:
    """The best class and the probabilities as bars, the ten most probable where there are more."""
    best = int(probabilities.argmax())
    shown = sorted(np.argsort(-probabilities, kind="stable")[:_BARS].tolist())
    table = Table(box=None, show_header=False, title_justify="left", padding=(0, 1))
    table.title = Text.assemble(
        f"{name}: ",
        (labels[best], "bold yellow" if doubt else "bold green"),
        f"  ({probabilities[best]:.1%}{', not sure' if doubt else ''})",
        style="not italic",
    )
    for row in shown:
        value = float(probabilities[row])
        style = "green" if row == best else "blue"
        bar = ProgressBar(1.0, value, width=50, complete_style=style, finished_style=style)
        text = Text(f"{value:7.2%}", style="bold" if row == best else "")
        table.add_row(Text(labels[row], style="bold" if row == best else ""), bar, text)
    return table


def main(argv: Sequence[str]) -> int:
    """Print what the model makes of every image; 69 if one of them could not be read."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        description="The class of a drawn digit, and how probable each one is.",
        epilog="The drawing is cut out, brought to MNIST's size and centred as MNIST's are; "
        "dark on light or light on dark. Where it is unlike what the model was trained on, a warning "
        "says so. Exit codes: 0, 2 wrong use, 69 no image or no model.",
    )
    parser.add_argument("model", type=Path, help="an export's folder, or a .keras file")
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="image", help="PNG or JPEG, any size"
    )
    parser.add_argument(
        "--pixels",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="of paper and ink, for a .keras file that no export says anything of",
    )
    arguments = parser.parse_args(argv)
    try:
        return _show(_with_pixels(find_model(arguments.model), arguments.pixels), arguments.images)
    except PlumblineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _with_pixels(model: Model, pixels: Sequence[float] | None) -> Model:
    if pixels is None:
        return model
    low, high = pixels
    if model.low is not None:
        raise ConfigError(
            f"--pixels: {model.file} has a manifest, which says which pixels it takes"
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"--pixels: expected two numbers, the lower first, got {low:g} {high:g}")
    return replace(model, low=low, high=high)


def _show(model: Model, files: Sequence[Path]) -> int:
    """Print the answers on `files`, with an error for each that has none; 69 if there is one."""
    code = 0
    drawn: list[tuple[Path, NDArray[np.float32]]] = []
    for file in files:
        try:
            drawn.append((file, read_digit(file, model.shape, 0.0, 1.0)))
        except UnavailableError as error:
            print(f"error: {error}", file=sys.stderr)
            code = error.exit_code
    if not drawn:
        return code
    answers = predict(model, np.stack([image for _, image in drawn]))
    for remark in answers.remarks:
        print(f"warning: {model.file}: {remark}", file=sys.stderr)
    console = Console(highlight=False)
    labels = model.labels or tuple(map(str, range(answers.probabilities.shape[1])))
    for number, (file, _) in enumerate(drawn):
        if (wrong := answers.wrong[number]) is not None:
            print(f"error: {file}: {wrong}", file=sys.stderr)
            code = UnavailableError.exit_code
            continue
        doubt = answers.doubts[number]
        if doubt is not None:
            print(f"warning: {file}: not sure this is one digit: {doubt}", file=sys.stderr)
        console.print(bars(str(file), answers.probabilities[number], labels, doubt))
    return code


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:]), "pipeline.predict"))
