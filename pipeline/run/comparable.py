"""Which settings decide what a metric means: runs that differ in one of them can't be ranked by it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from pipeline.run.config import Metric
from pipeline.run.custom import SETTINGS

_LOSSES = frozenset({"loss", "val_loss"})
_TRAINING = frozenset({"loss", "accuracy"})
_ALL = frozenset(get_args(Metric))
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Effect:
    """What a setting does to the metrics. `spoiled`: those that no longer compare where it varies."""

    spoiled: frozenset[str]
    reason: str


EFFECTS: Mapping[str, Effect] = {
    "data.name": Effect(_ALL, "other data are another question"),
    "data.path": Effect(
        _NONE, "where the data lie changes nothing: what they are, their digest says"
    ),
    "data.scale": Effect(_NONE, "the same rows are judged, only their inputs are in other units"),
    "data.shuffle": Effect(_ALL, "it holds out other rows for validation"),
    "data.split_seed": Effect(_ALL, "it holds out other rows for validation"),
    "data.test_split": Effect(_ALL, "it takes other rows from training, and so from validation"),
    "model.hidden_units": Effect(_NONE, "the same rows are judged by the same formula"),
    "model.depth": Effect(_NONE, "the same rows are judged by the same formula"),
    "model.dropout": Effect(
        _TRAINING,
        "training rows are scored with units dropped: more dropout looks worse than it is",
    ),
    "model.activation": Effect(_NONE, "the same rows are judged by the same formula"),
    "model.l1": Effect(_LOSSES, "the penalty is a part of the loss"),
    "model.l2": Effect(_LOSSES, "the penalty is a part of the loss"),
    "train.optimizer": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.learning_rate": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.momentum": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.batch_size": Effect(_NONE, "metrics are means over rows, not over batches"),
    "train.epochs": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.validation_split": Effect(_ALL, "trials compare only on the same rows"),
    "train.loss": Effect(_LOSSES, "each loss has a scale of its own"),
    "train.patience": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.min_delta": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.seed": Effect(
        _NONE, "it repeats a measurement: trials are ranked by the mean over seeds"
    ),
    "train.weight_decay": Effect(_NONE, "it is no part of the loss, unlike a penalty"),
    "train.schedule": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.warmup_epochs": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.schedule_epochs": Effect(_NONE, "it changes the network, not how that is judged"),
    "train.precision": Effect(_NONE, "probabilities and losses are 32 bits wide in either"),
    "train.loop": Effect(_NONE, "the loops have the same arithmetic"),
    "objective.metric": Effect(_ALL, "it is what trials are ranked by"),
    "objective.direction": Effect(_ALL, "it is what trials are ranked by"),
    "objective.select": Effect(_ALL, "the best of many epochs is flattered, the last one is not"),
    "objective.cost": Effect(_NONE, "it changes what is tried, not what a metric means"),
}
"""Every setting of a run, by override path."""

_OWN = {
    "model.build": Effect(
        _LOSSES | _TRAINING, "another network may have other penalties, or drop units in training"
    ),
    SETTINGS: Effect(
        _LOSSES | _TRAINING, "it may be a penalty, a part of the loss, or drop units in training"
    ),
}
"""What can be said of a network of one's own."""


def _effect(path: str) -> Effect | None:
    own = SETTINGS if path.startswith(f"{SETTINGS}.") else path
    return EFFECTS.get(path) or _OWN.get(own)


def spoils(path: str, metric: str) -> str | None:
    """Why runs that differ in the setting `path` can't be compared by `metric`; None: they can."""
    effect = _effect(path)
    return effect.reason if effect is not None and metric in effect.spoiled else None


def measure(run: Mapping[str, str], metric: str) -> dict[str, str]:
    """The settings of `run`, as texts by override path, that decide what its `metric` means."""
    return {path: text for path, text in run.items() if spoils(path, metric) is not None}


def apart(runs: Iterable[Mapping[str, str]], metric: str) -> dict[str, str]:
    """Why `runs` can't be compared by `metric`, by the setting in which they differ; none: they can.

    A setting that a run does not name is one that its version did not have yet.
    """
    found: dict[str, set[str]] = {}
    for run in runs:
        for path, text in measure(run, metric).items():
            found.setdefault(path, set()).add(text)
    return {
        path: reason
        for path, texts in found.items()
        if len(texts) > 1 and (reason := spoils(path, metric)) is not None
    }
