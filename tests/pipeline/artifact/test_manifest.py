"""Which of two models is the better one, and which can be compared at all."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.artifact.manifest import Standing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"value": 0.95}, None),
        ({"value": 0.85}, "its val_accuracy is 0.9, the new one's 0.85"),
        ({"metric": "accuracy", "value": 1.0}, "it was chosen by val_accuracy"),
        ({"data": "beef" * 16, "value": 1.0}, "it knows other data"),
    ],
)
def test_models_compare_only_by_the_same_measure_on_the_same_data(
    change: dict[str, Any], words: str | None
) -> None:
    present = Standing("val_accuracy", "maximize", 0.9, "cafe" * 16)
    reason = present.reason_to_stay(replace(present, **change))
    assert reason is None if words is None else words in str(reason)


def test_a_lower_loss_is_better() -> None:
    present = Standing("val_loss", "minimize", 0.3, "cafe" * 16)
    assert present.reason_to_stay(replace(present, value=0.2)) is None
    assert present.reason_to_stay(replace(present, value=0.4)) is not None
