"""Hits: a bit for each row, which comes back as it was or is refused."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.run.hits import Hits
from pipeline.run.result import RunResult
from tests.search import made

_RESULT = TypeAdapter(RunResult)


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 288, 12_000])
def test_every_row_comes_back_as_it_was(rows: int) -> None:
    right = np.random.default_rng(rows).random(rows) < 0.9
    np.testing.assert_array_equal(Hits.of(right).right, right)


def test_the_rows_of_a_trial_on_mnist_take_two_kilobytes() -> None:
    assert len(Hits.of(np.ones(12_000, bool)).bits) == 2_000


def test_they_go_through_a_record_unchanged() -> None:
    hits = Hits.of(np.arange(20) % 3 > 0)
    result = made.result([0.9], hits=hits)
    assert _RESULT.validate_python(asdict(result)) == result


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": 21, "bits": "//8="},
        {"rows": 8, "bits": "//8="},
        {"rows": 16, "bits": "no base64"},
        {"rows": 16, "bits": "//8"},
        {"rows": "many", "bits": "//8="},
        {"bits": "//8="},
    ],
)
def test_what_does_not_fit_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _RESULT.validate_python({**asdict(made.result([0.9])), "hits": damage})


def test_a_record_of_the_version_before_has_none() -> None:
    tree = asdict(made.result([0.9]))
    del tree["hits"]
    assert _RESULT.validate_python(tree).hits is None
