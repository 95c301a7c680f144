"""What a network gets wrong: the classes it confuses, what that makes of each, the hardest examples."""

import json
import statistics
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.run.hits import MOST_ROWS, Hits
from pipeline.run.result import Confusion, Example

MOST_CLASSES = 100
"""With more classes no matrix is kept: nobody reads it, and every trial would carry it."""

_HARDEST = 12


@dataclass(frozen=True)
class ClassScores:
    """How one class fares. `precision`, `recall`: fractions, None where no row was there to count."""

    label: int
    rows: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Diagnosis:
    """What a network makes of the validation rows: `RunResult` has the same by these names."""

    confusion: Confusion = ()
    hardest: tuple[Example, ...] = ()
    hits: Hits | None = None


def diagnosed(
    probabilities: NDArray[np.float32], targets: NDArray[np.float32], first_row: int
) -> Diagnosis:
    """What there is to keep of N x classes `probabilities`; `first_row` is the number of row 0."""
    right = probabilities.argmax(axis=1) == targets.argmax(axis=1)
    hits = Hits.of(right) if len(right) <= MOST_ROWS else None
    if targets.shape[1] > MOST_CLASSES:
        return Diagnosis(hits=hits)
    worst = hardest(probabilities, targets, first_row)
    return Diagnosis(confusion(probabilities, targets), worst, hits)


def confusion(probabilities: NDArray[np.floating], targets: NDArray[np.float32]) -> Confusion:
    """Counts by true class (rows) and predicted class (columns); both arguments are N x classes."""
    classes = targets.shape[1]
    pairs = targets.argmax(axis=1) * classes + probabilities.argmax(axis=1)
    counts = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def hardest(
    probabilities: NDArray[np.float32],
    targets: NDArray[np.float32],
    first_row: int,
) -> tuple[Example, ...]:
    """The examples with the highest cross-entropy, worst first; `first_row` is the number of row 0."""
    labels = targets.argmax(axis=1)
    right = probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(right, kind="stable")[:_HARDEST]
    return tuple(
        Example(
            first_row + int(row),
            int(labels[row]),
            tuple(round(float(p), 4) for p in probabilities[row]),
        )
        for row in worst
    )


def per_class(matrix: Confusion) -> list[ClassScores]:
    """Precision and recall of every class."""
    counts = np.array(matrix)
    scores = []
    for label, right in enumerate(counts.diagonal().tolist()):
        rows, predicted = int(counts[label].sum()), int(counts[:, label].sum())
        scores.append(
            ClassScores(
                label,
                rows,
                right / predicted if predicted else None,
                right / rows if rows else None,
            )
        )
    return scores


def macro(matrix: Confusion) -> tuple[float, float]:
    """Mean precision and mean recall over the classes that are there or were predicted.

    Where one of a class's two can't be told it counts as 0, as scikit-learn's averages take it.
    """
    scores = [each for each in per_class(matrix) if each.rows or each.precision is not None]
    return (
        statistics.fmean(each.precision or 0.0 for each in scores),
        statistics.fmean(each.recall or 0.0 for each in scores),
    )


def as_json(matrix: Confusion, rows: str) -> str:
    """A confusion matrix of the `rows` named, and what follows from it for each class."""
    tree = {
        "of": f"{rows} rows; one line per true class, one column per predicted class",
        "matrix": matrix,
        "classes": [asdict(scores) for scores in per_class(matrix)],
    }
    return json.dumps(tree, indent=1).replace("\n   ", " ").replace("\n  ]", " ]")
