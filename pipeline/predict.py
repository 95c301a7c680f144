"""The class of a drawn digit, and how probable each one is.

python -m pipeline.predict exports/dropout image.png
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.artifact import NAMES, read
from pipeline.cli import guarded
from pipeline.data import grey_size
from pipeline.device import limit_threads, quietly
from pipeline.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.images import read_digit
from pipeline.manifest import FILE, Manifest

_BARS = 10


@dataclass(frozen=True)
class Model:
    """A `.keras` file that takes images: `shape` pixels from `low` to `high`. `labels`: if they are known.

    `inputs`: the shape in which it takes them, which may have a channel.
    """

    file: Path
    shape: tuple[int, int]
    low: float
    high: float
    labels: tuple[str, ...] | None
    inputs: tuple[int, ...] = (28, 28)


def find_model(path: Path) -> Model:
    """The model at `path`, an export's folder or a `.keras` file.

    A file that no export speaks of is taken for one on MNIST's pixels: 28 x 28 from 0 to 255.
    Raises UnavailableError where it is neither, or not what was exported.
    """
    folder, file = (path, path / NAMES["keras"]) if path.is_dir() else (path.parent, path)
    if not file.exists():
        what = f"no {NAMES['keras']} in it" if path.is_dir() else "no such file or folder"
        raise UnavailableError(f"{path}: there is {what}")
    if file.suffix != ".keras":
        raise ConfigError(f"{path}: expected an export's folder or a .keras file")
    if not (folder / FILE).exists():
        return Model(file, (28, 28), 0.0, 255.0, None)
    manifest = Manifest.read(folder)
    if file.name not in manifest.files:
        return Model(file, (28, 28), 0.0, 255.0, None)
    if damage := manifest.damage(folder):
        raise UnavailableError(f"{folder}: {damage}: not used (export it again)")
    inputs = manifest.inputs
    shape = grey_size(inputs.shape)
    if shape is None or inputs.low is None or inputs.high is None:
        size = " x ".join(map(str, inputs.shape))
        raise ConfigError(f"{path}: this model takes rows of {size} numbers, no grey images")
    return Model(file, shape, inputs.low, inputs.high, manifest.labels, inputs.shape)


def predict(model: Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """N x classes probabilities of N x H x W images. Raises UnavailableError where `model` has none."""
    limit_threads(1)
    with quietly():
        function = read(model.file)
        try:
            return function(images.reshape(len(images), *model.inputs))
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise UnavailableError(
                f"{model.file}: does not take {model.shape[0]} x {model.shape[1]} images: {reason}"
            ) from error


def bars(name: str, probabilities: NDArray[np.float32], labels: Sequence[str]) -> Table:
    """The best class and the probabilities as bars, the ten most probable where there are more."""
    best = int(probabilities.argmax())
    shown = sorted(np.argsort(-probabilities, kind="stable")[:_BARS].tolist())
    table = Table(box=None, show_header=False, title_justify="left", padding=(0, 1))
    table.title = Text.assemble(
        f"{name}: ",
        (labels[best], "bold green"),
        f"  ({probabilities[best]:.1%})",
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
        "dark on light or light on dark. Exit codes: 0, 2 wrong use, 69 no image or no model.",
    )
    parser.add_argument("model", type=Path, help="an export's folder, or a .keras file")
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="image", help="PNG or JPEG, any size"
    )
    arguments = parser.parse_args(argv)
    code = 0
    try:
        model = find_model(arguments.model)
        images: dict[Path, NDArray[np.float32]] = {}
        for file in arguments.images:
            try:
                images[file] = read_digit(file, model.shape, model.low, model.high)
            except UnavailableError as error:
                print(f"error: {error}", file=sys.stderr)
                code = error.exit_code
        if not images:
            return code
        probabilities = predict(model, np.stack(list(images.values())))
    except PlumblineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    console = Console(highlight=False)
    labels = model.labels or tuple(map(str, range(probabilities.shape[1])))
    for file, row in zip(images, probabilities, strict=True):
        console.print(bars(str(file), row, labels))
    return code


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:]), "pipeline.predict"))
