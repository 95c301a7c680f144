"""What one trial's network gets wrong on the validation rows."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from pipeline.data import Dataset
from pipeline.diagnosis import per_class
from pipeline.result import Example
from search.plots.style import BLUE, INK, MUTED, RED, blank, styled
from search.study import Entry

_COLUMNS = 4


@styled
def confusion(entry: Entry) -> Figure:
    """Counts of every true class by predicted class, with each class's recall and precision."""
    assert entry.result is not None
    counts = np.array(entry.result.confusion)
    classes, right, rows = len(counts), int(counts.trace()), int(counts.sum())
    about = f"{rows:,} validation rows, {rows - right:,} of them wrong ({1 - right / rows:.2%})"
    size = min(12.0, max(6.6, 2.6 + 0.52 * classes))
    figure = blank(f"Confusion matrix of trial {entry.number}", about, size + 0.8, size)
    axes = figure.add_subplot()
    wrong = np.where(np.eye(classes, dtype=bool), 0, counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = wrong / max(wrong.max(), 1) * 0.75  # the mistakes, not the diagonal, have the contrast
    colours = mpl.colormaps["Oranges"](shades)
    colours[np.eye(classes, dtype=bool)] = mpl.colormaps["Blues"](0.15 + 0.55 * shares.diagonal())
    axes.imshow(colours)
    if classes <= 30:
        for row, column in np.ndindex(classes, classes):
            if count := counts[row, column]:
                dark = shares[row, row] > 0.7 if row == column else shades[row, column] > 0.5
                axes.text(column, row, f"{count:,}", ha="center", va="center", size=9,
                          color="white" if dark else INK)  # fmt: skip
    scores = per_class(entry.result.confusion)
    step = 1 if classes <= 30 else 10
    axes.set_xticks(range(0, classes, step))
    axes.set_yticks(range(0, classes, step))
    if classes <= 30:
        for score in scores:
            axes.text(
                classes - 0.35,
                score.label,
                _percent(score.recall),
                va="center",
                size=9,
                color=MUTED,
            )
            axes.text(
                score.label, -0.68, _percent(score.precision), ha="center", size=8, color=MUTED
            )
        axes.text(classes - 0.35, -0.68, "recall", size=8, color=MUTED, weight="bold")
        axes.text(-0.62, -0.68, "precision", size=8, color=MUTED, weight="bold", ha="right")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def pictured(dataset: Dataset) -> bool:
    """Whether the rows of `dataset` are images."""
    shape = dataset.shape
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


@styled
def hardest(entry: Entry, dataset: Dataset) -> Figure:
    """The validation images with the highest loss, with the probabilities of all classes."""
    assert entry.result is not None
    examples = entry.result.hardest
    rows = -(-len(examples) // _COLUMNS)
    figure = blank(
        f"Hardest validation images of trial {entry.number}",
        "Highest loss first. Bars: the probability of every class, blue for the true one",
        11,
        1.0 + 1.75 * rows,
    )
    figure.set_layout_engine("none")  # so many axes would take it seconds
    grid = figure.add_gridspec(
        rows,
        2 * _COLUMNS,
        width_ratios=[1, 1.15] * _COLUMNS,
        left=0.015,
        right=0.985,
        bottom=0.04,
        top=1 - 1.0 / figure.get_figheight(),
        hspace=0.35,
        wspace=0.18,
    )
    for index, example in enumerate(examples):
        row, column = divmod(index, _COLUMNS)
        axes = figure.add_subplot(grid[row, 2 * column])
        image = dataset.train.features[example.row].squeeze().astype(float)
        axes.imshow(image / max(image.max(), 1e-9), cmap="gray_r", vmin=0, vmax=1)
        axes.set_axis_off()
        guess = int(np.argmax(example.probabilities))
        axes.set_title(f"is {example.label}, taken for {guess}" if guess != example.label
                       else f"is {example.label}, barely", size=9, loc="left")  # fmt: skip
        _bars(figure, grid[row, 2 * column + 1], example)
    return figure


def _bars(figure: Figure, place: mpl.gridspec.SubplotSpec, example: Example) -> None:
    shown: Sequence[int] = range(len(example.probabilities))
    if len(shown) > 10:
        shown = sorted({*np.argsort(example.probabilities)[-9:].tolist(), example.label})
    axes = figure.add_subplot(place)
    axes.barh(
        [str(label) for label in shown],
        [example.probabilities[label] for label in shown],
        0.75,
        color=[BLUE if label == example.label else RED for label in shown],
    )
    axes.set_title(f"row {example.row}", size=8, color=MUTED, loc="right")
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xticks([0, 0.5, 1], ["0", "", "1"])
    axes.tick_params(labelsize=7, length=0, pad=1)
    truth = axes.get_yticklabels()[list(shown).index(example.label)]
    truth.set(color=BLUE, weight="bold")
    axes.grid(False)
