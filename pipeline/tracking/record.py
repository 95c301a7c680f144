"""The record of a run, as a tracker shows it: frozen, and followed by a longer one as the run goes on."""

import getpass
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, NamedTuple

from pipeline.data import Dataset, doubts
from pipeline.run.code import code_of
from pipeline.run.config import RunConfig
from pipeline.run.result import EpochMetrics, RunResult
from pipeline.training.diagnosis import as_json

REPLAY = "replay"
"""Tag of a run that was trained again: whether that was `identical` or `differs`."""

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]


class Point(NamedTuple):
    """One value of a metric. `at`: Unix time in seconds, when it was measured."""

    metric: str
    value: float
    step: int
    at: float


@dataclass(frozen=True)
class DatasetInfo:
    """The data set of a run, as MLflow shows it.

    `doubts`: what should be known before its numbers are believed. `scaling`: what feature rows are
    scaled by where that is not all training rows.
    """

    name: str
    digest: str
    source: str
    train_shape: tuple[int, ...]
    test_shape: tuple[int, ...]
    doubts: tuple[str, ...] = ()
    scaling: str = ""


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a run at one moment.

    A later record of the same `uid` and `attempt` only adds: its `points` begin with the earlier ones.
    `texts`: artifacts by path. `parent`: uid of the run that this one is nested in.
    """

    uid: str
    experiment: str
    name: str
    status: Status
    started_at: float
    ended_at: float | None = None
    attempt: int = 1
    parent: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetInfo | None = None

    @property
    def ended(self) -> bool:
        return self.status != "RUNNING"


_WHAT_IT_TOOK = {
    *("seconds", "epoch_seconds", "build_seconds", "compile_seconds", "test_seconds"),
    *("seconds_total", "examples_per_second", "best_epoch"),
    *("parameters", "multiply_adds", "model_bytes", "training_flops", "nodes"),
    "peak_gpu_memory_mib",
}


def metric_name(name: str) -> str:
    """What a metric is called in the tracker: `system/seconds`, but `val_accuracy`.

    What trials are compared by comes first there. MLflow lists names by the alphabet, and gives each
    prefix a section before those without one; but for `system/`, which it shows last.
    """
    return f"system/{name}" if name in _WHAT_IT_TOOK else name


def source_tags(file: str) -> dict[str, str]:
    """The command that a run is of, by its file: MLflow's column Source shows the last part."""
    return {"mlflow.source.name": file, "mlflow.source.type": "LOCAL"}


def epoch_points(history: tuple[EpochMetrics, ...]) -> tuple[Point, ...]:
    """The curves: one point per metric and epoch, and the epoch's seconds."""
    return tuple(
        Point(metric_name(name), value, epoch.epoch, epoch.finished_at)
        for epoch in history
        for name, value in {**epoch.metrics, "epoch_seconds": epoch.seconds}.items()
    )


def final_points(result: RunResult, at: float) -> tuple[Point, ...]:
    """What is measured once, at the end of a run."""
    return points_at(result.final_metrics(), at)


def points_at(metrics: Mapping[str, float], at: float) -> tuple[Point, ...]:
    """Metrics that are measured once."""
    return tuple(Point(metric_name(name), value, 0, at) for name, value in metrics.items())


def outcome_tags(result: RunResult) -> dict[str, str]:
    """How a run was trained, and the digests of what came of it, where it has them."""
    digests = outcome_digests(result).items()
    return {"loop": result.loop, **{f"digest.{name}": text for name, text in digests}}


def outcome_digests(result: RunResult) -> dict[str, str]:
    """The digests of a run's weights and of its history, where its record has them."""
    digests = {"weights": result.weights_digest, "history": result.history_digest}
    return {name: text for name, text in digests.items() if text is not None}


def final_texts(result: RunResult) -> dict[str, str]:
    """What a run leaves to read, by artifact path."""
    texts = {"model_summary.txt": result.model_summary}
    if result.confusion:
        texts["confusion.json"] = as_json(result.confusion, "validation")
    if result.test_confusion:
        texts["confusion_test.json"] = as_json(result.test_confusion, "test")
    return texts


@cache
def environment_tags() -> dict[str, str]:
    """What this very process is: the versions that it has, its code and its user.

    Of a run that another process trained they say nothing: that is `provenance_tags`.
    """
    here = {}
    for name in ("keras", "tensorflow", "numpy", "optuna", "mlflow-skinny"):
        with suppress(PackageNotFoundError):  # with JAX nothing needs TensorFlow
            here[f"version.{name.removesuffix('-skinny')}"] = version(name)
    with suppress(KeyError, OSError):  # a container's user may have no name
        here["user"] = getpass.getuser()
    tags = provenance_tags({**here, **code_of()})
    return {name: text for name, text in tags.items() if name not in _MLFLOW_NAMES}


_MLFLOW_NAMES = {"code.commit": "mlflow.source.git.commit", "user": "mlflow.user"}
"""What MLflow shows in columns of its own."""


def provenance_tags(worker: Mapping[str, str]) -> dict[str, str]:
    """What trained a run, as its row says, with MLflow's own names where it has some."""
    named = {name: worker[ours] for ours, name in _MLFLOW_NAMES.items() if ours in worker}
    return {**worker, **named}


_PROVENANCE = re.compile(r"device|threads|lanes|backend|user|cpu|(cpu|gpu|version|env|code)\..+")
"""The names by which `pipeline.network.environment` tells what trains, and the width of its programs."""


def provenance_of(tags: Mapping[str, str]) -> dict[str, str]:
    """What trained a run, out of all its tags."""
    return {name: text for name, text in tags.items() if _PROVENANCE.fullmatch(name)}


def dataset_info(dataset: Dataset, run: RunConfig | None = None) -> DatasetInfo:
    """What a record says of `dataset`, and of a `run` on it."""
    info = DatasetInfo(
        dataset.name,
        dataset.digest,
        dataset.source,
        dataset.train.features.shape,
        dataset.test.features.shape,
    )
    if run is None:
        return info
    held_out = dataset.fitted(run.train.validation_split) is not dataset
    scaling = "by the training rows without those for validation" if held_out else ""
    return replace(info, doubts=doubts(dataset, run.train), scaling=scaling)


def tell_doubts(info: DatasetInfo) -> None:
    """Print what should be known of the data, apart from what a script reads."""
    for doubt in info.doubts:
        print(f"warning: {doubt}", file=sys.stderr)
