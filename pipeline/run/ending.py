"""When a training run is over."""

from collections.abc import Mapping
from typing import Literal

from pipeline.run.config import RunConfig


def ending(
    run: RunConfig, values: Mapping[int, float]
) -> Literal["completed", "early_stopped"] | None:
    """How `run` ends after these epochs (epoch -> the objective's metric); None where it goes on.

    It is completed with its last epoch, and stopped early where the last improvement by more than
    `train.min_delta` is `train.patience` epochs ago.
    """
    if max(values) >= run.train.epochs:
        return "completed"
    if run.train.patience is None:
        return None
    improved, best = 0, None
    for epoch, value in values.items():
        if run.objective.better(value, best, by=run.train.min_delta):
            improved, best = epoch, value
    return "early_stopped" if max(values) - improved >= run.train.patience else None
