"""What one trial's network gets wrong on the validation rows."""

from collections.abc import Sequence
from functools import partial

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.data import Dataset, grey_size
from pipeline.run.result import Example
from pipeline.training.diagnosis import per_class
from search.plots.png import blank, styled
from search.plots.style import BLUE, INK, MUTED
from search.study.vocabulary import Entry

_WRITTEN = 30  # classes up to which there is room for numbers
_COLUMNS = 3
_WIDTH = 7.9  # inches: the page shows it at its size, so that the smallest texts have 11 pixels
_SIDE, _BAR = 1.25, 0.85  # of an image, and of a bar of probability 1, in inches


@styled
def confusion(entry: Entry) -> Figure:
    """The confusion matrix counts every true class by predicted class, with recall and precision of each."""
    assert entry.result is not None
    counts = np.array(entry.result.confusion)
    classes, right, rows = len(counts), int(counts.trace()), int(counts.sum())
    wrongly = f"{rows - right:,} of them wrong ({1 - right / rows:.2%})"
    about = f"{rows:,} validation rows, {wrongly}: orange, the darker the more"
    size = min(12.0, max(6.6, 2.6 + 0.52 * classes))
    figure = blank(f"Confusion matrix of trial {entry.number}", about, size + 0.8, size)
    axes = figure.add_subplot(frame_on=False)
    wrong = np.where(np.eye(classes, dtype=bool), 0, counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = wrong / max(wrong.max(), 1) * 0.75  # the mistakes, not the diagonal, have the contrast
    colours = mpl.colormaps["Oranges"](shades)
    colours[np.eye(classes, dtype=bool)] = mpl.colormaps["Blues"](0.15 + 0.55 * shares.diagonal())
    axes.imshow(colours)
    labels = range(0, classes, 1 if classes <= _WRITTEN else 10)
    axes.set(xlabel="predicted class", ylabel="true class", xticks=labels, yticks=labels)
    axes.grid(False)
    if classes > _WRITTEN:
        return figure
    for row, column in zip(*counts.nonzero(), strict=True):
        dark = shares[row, row] > 0.7 if row == column else shades[row, column] > 0.5
        text, colour = f"{counts[row, column]:,}", "white" if dark else INK
        axes.text(column, row, text, ha="center", va="center", size=9, color=colour)
    beside, above = classes - 0.35, -0.68
    note = partial(axes.text, size=8, color=MUTED)
    note(beside, above, "recall", weight="bold")
    note(-0.62, above, "precision", weight="bold", ha="right")
    for score in per_class(entry.result.confusion):
        note(beside, score.label, _percent(score.recall), va="center")
        note(score.label, above, _percent(score.precision), ha="center")
    return figure


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def pictured(shape: tuple[int, ...]) -> bool:
    """Whether rows of `shape` are images."""
    return grey_size(shape) is not None or shape[2:] == (3,)


@styled
def hardest(entry: Entry, dataset: Dataset) -> Figure:
    """The hardest images are those of the validation rows with the highest loss, with all probabilities."""
    assert entry.result is not None
    examples = entry.result.hardest
    size = grey_size(dataset.shape) or dataset.shape
    rows = -(-len(examples) // _COLUMNS)
    width, height = _WIDTH, 1.0 + 1.75 * rows
    figure = blank(
        f"Hardest validation images of trial {entry.number}",
        "Highest loss first. Bars: the probability of every class, the true one in blue",
        width,
        height,
    )
    figure.set_layout_engine("none")
    # All in one system of axes, in inches from the top left: two for each image take seconds to draw.
    axes = figure.add_axes((0, 0, 1, 1))
    for index, example in enumerate(examples):
        row, column = divmod(index, _COLUMNS)
        left, top = 0.2 + column * (width - 0.2) / _COLUMNS, 1.1 + 1.75 * row
        image = dataset.train.features[example.row].reshape(size).astype(float)
        image -= image.min()
        image /= max(image.max(), 1e-9)
        scale = _SIDE / max(image.shape[:2])
        extent = (left, left + image.shape[1] * scale, top + image.shape[0] * scale, top)
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=1, extent=extent)
        guess = int(np.argmax(example.probabilities))
        outcome = f"taken for {guess}" if guess != example.label else "barely"
        axes.text(left, top - 0.07, f"is {example.label}, {outcome}", size=9)
        _bars(axes, left + _SIDE + 0.3, top, example)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.set_axis_off()
    return figure


def _bars(axes: Axes, left: float, top: float, example: Example) -> None:
    shown: Sequence[int] = range(len(example.probabilities))
    if len(shown) > 10:
        shown = sorted({*np.argsort(example.probabilities)[-9:].tolist(), example.label})
    step = _SIDE / len(shown)
    places = [top + (index + 0.5) * step for index in range(len(shown))]
    ends = [left + _BAR * example.probabilities[label] for label in shown]
    colours = [BLUE if label == example.label else MUTED for label in shown]
    # Lines as wide as bars, in points: one thing to draw, where bars are ten.
    axes.hlines(places, left, ends, colors=colours, linewidths=0.75 * step * 72)
    bottom = top + _SIDE
    frame = ([left, left, left + _BAR], [top, bottom, bottom])
    axes.plot(*frame, color=mpl.rcParams["axes.edgecolor"], linewidth=0.8)
    for label, place in zip(shown, places, strict=True):
        true = label == example.label
        axes.text(left - 0.04, place, str(label), size=7, ha="right", va="center_baseline",
                  color=BLUE if true else MUTED, weight="bold" if true else "normal")  # fmt: skip
    for share in (0, 1):
        axes.text(left + share * _BAR, bottom + 0.03, str(share), size=7, color=MUTED,
                  ha="center", va="top")  # fmt: skip
    axes.text(left + _BAR, top - 0.07, f"row {example.row}", size=8, color=MUTED, ha="right")
