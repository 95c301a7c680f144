"""What follows from a confusion matrix is what scikit-learn makes of the labels."""

import json

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from pipeline.training.diagnosis import as_json, confusion, macro, per_class

CLASSES = 5


def drawn(missing: int | None, unpredicted: int | None) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of 200 rows; one class may have no rows, one no predictions."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, CLASSES, 200)
    found = np.where(generator.random(200) < 0.7, truth, generator.integers(0, CLASSES, 200))
    if missing is not None:
        truth[truth == missing] = (missing + 1) % CLASSES
    if unpredicted is not None:
        found[found == unpredicted] = (unpredicted + 1) % CLASSES
    return truth, found


def matrix_of(truth: np.ndarray, found: np.ndarray) -> tuple[tuple[int, ...], ...]:
    one_hot = np.eye(CLASSES, dtype=np.float32)
    return confusion(one_hot[found], one_hot[truth])


CASES = pytest.mark.parametrize(
    ("missing", "unpredicted"), [(None, None), (2, None), (None, 3), (2, 3), (2, 2)]
)


@CASES
def test_rows_are_true_classes_and_columns_predicted_ones(
    missing: int | None, unpredicted: int | None
) -> None:
    truth, found = drawn(missing, unpredicted)
    expected = confusion_matrix(truth, found, labels=range(CLASSES))
    assert np.array(matrix_of(truth, found)).tolist() == expected.tolist()


@CASES
def test_macro_precision_and_recall_are_scikit_learns(
    missing: int | None, unpredicted: int | None
) -> None:
    truth, found = drawn(missing, unpredicted)
    precision, recall, _, _ = precision_recall_fscore_support(
        truth, found, average="macro", zero_division=0
    )
    assert macro(matrix_of(truth, found)) == pytest.approx((precision, recall))


def test_what_can_not_be_told_of_a_class_is_none() -> None:
    nothing_there, never_predicted, _ = per_class(((0, 0, 0), (1, 0, 3), (0, 0, 4)))
    assert (nothing_there.rows, nothing_there.precision, nothing_there.recall) == (0, 0.0, None)
    assert (never_predicted.rows, never_predicted.precision, never_predicted.recall) == (4, None, 0)


def test_a_matrix_is_written_with_the_scores_of_each_class() -> None:
    tree = json.loads(as_json(((3, 1), (0, 4)), "test"))
    assert tree["of"].startswith("test rows")
    assert tree["matrix"] == [[3, 1], [0, 4]]
    assert tree["classes"] == [
        {"label": 0, "rows": 4, "precision": 1.0, "recall": 0.75},
        {"label": 1, "rows": 4, "precision": 0.8, "recall": 1.0},
    ]
