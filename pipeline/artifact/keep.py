"""A trained network is kept: written in every format that is wanted, with what tells how to ask it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.formats import (
    COARSE,
    NAMES,
    PORTABLE,
    TOLERANCE,
    Format,
    predict_apart,
    write,
)
from pipeline.artifact.manifest import Inputs, Manifest, Standing, sums
from pipeline.command.errors import ConfigError, PlumblineError
from pipeline.data import Dataset, grey_size
from pipeline.pictures.typical import Typical
from pipeline.run.comparable import measure
from pipeline.run.config import RunConfig
from pipeline.run.result import Outcome, RunResult, Weights
from pipeline.tracking.record import environment_tags, outcome_digests

if TYPE_CHECKING:  # it takes seconds to import
    import keras

_SHOWN = 1000  # rows by which a file is compared with the network that it is of


@dataclass(frozen=True)
class Kept:
    """A run that is to be kept. `about`: what trained it; `retrain`: the command that trains it again."""

    uid: str
    experiment: str
    run: RunConfig
    outcome: Outcome
    about: Mapping[str, str]
    retrain: str


def keep(
    folder: Path, formats: Sequence[Format], kept: Kept, dataset: Dataset, force: bool
) -> Manifest:
    """Write `kept` to `folder`, whole or not at all, and hold each file to what the network gives.

    Raises PlumblineError where a file does not give that.
    """
    from pipeline.artifact.serving import network

    run, weights = kept.run, kept.outcome.weights
    dataset = dataset.fitted(run.train.validation_split)
    model = network(run, dataset, weights)
    here = np.asarray(model(dataset.train_arrays.inputs[:_SHOWN], training=False))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        dtype = write_models(partial, formats, run, dataset, model, weights)
        inputs = inputs_of(dataset, run.data.scale, dtype)
        verified = {str(kind): _checked(partial, kind, kept, dataset, here) for kind in formats}
        if (known := typical_of(dataset, inputs)) is not None:
            known.write(partial)
        manifest = _manifest(kept, dataset, inputs, verified).with_files(sums(partial))
        manifest.write(partial)
        if force:
            shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def check_place(folder: Path, force: bool) -> None:
    """Raise ConfigError where something else is at `folder`."""
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (force and (folder / NAMES["keras"]).exists()):
        remedy = "" if not (folder / NAMES["keras"]).exists() else ", or export.force=true"
        raise ConfigError(f"export.path: {folder} is there, left as it is (name another{remedy})")


def check_formats(formats: Sequence[Format], dataset: Dataset) -> None:
    """Raise ConfigError where one of `formats` can't take the features of `dataset`."""
    from pipeline.artifact.serving import input_dtype

    if "litert" in formats and input_dtype(dataset) == "float64":
        raise ConfigError(
            "export.formats: litert has no 64-bit numbers, which these features need "
            "(export.formats=[keras,saved_model])"
        )


def write_models(
    folder: Path,
    formats: Sequence[Format],
    run: RunConfig,
    dataset: Dataset,
    model: "keras.Model",
    weights: Weights,
) -> str:
    """Write the network of `run` into `folder`, with the scaling of its features; the dtype that it takes."""
    from pipeline.artifact.serving import input_dtype, network, with_scaling

    check_formats(formats, dataset)
    raw = with_scaling(model, dataset)
    portable = with_scaling(network(run, dataset, weights, portable=True), dataset)
    for kind in formats:
        write(portable if kind in PORTABLE else raw, kind, folder)
    return input_dtype(dataset)


def inputs_of(dataset: Dataset, scaled: bool, dtype: str) -> Inputs:
    """What a model of `dataset` takes, as it was read."""
    if len(dataset.shape) == 1:
        return Inputs(dataset.shape, dtype, None, None)
    pixels = dataset.train.features
    low, high = (dataset.low, dataset.high) if scaled else (pixels.min(), pixels.max())
    return Inputs(dataset.shape, dtype, float(low), float(high))


def typical_of(dataset: Dataset, inputs: Inputs) -> Typical | None:
    """What is typical of grey images; None: it is something else."""
    shape = grey_size(inputs.shape)
    if shape is None or inputs.low is None or inputs.high is None or inputs.high <= inputs.low:
        return None
    images = dataset.train.features.reshape(-1, *shape).astype(np.float32)
    unit = (images - np.float32(inputs.low)) / np.float32(inputs.high - inputs.low)
    return Typical.of(unit, dataset.train.labels, dataset.classes)


def _checked(
    folder: Path, kind: Format, kept: Kept, dataset: Dataset, here: NDArray[np.float32]
) -> dict[str, Any]:
    """How far a file is, in a fresh process, from what the network gives here."""
    from pipeline.artifact.serving import input_dtype

    rows = dataset.train.features[:_SHOWN]
    narrow = rows.astype(input_dtype(dataset)) if kind in PORTABLE else rows
    found = predict_apart(folder / NAMES[kind], narrow)
    exact = kept.run.train.precision == "float32" and kept.outcome.result.device == "cpu"
    allowed = TOLERANCE if exact else COARSE
    difference = float(np.abs(found - here).max())
    if not difference <= allowed:
        raise PlumblineError(
            f"{kind}: a probability differs by {difference:.2g} from the network that was trained, "
            f"{allowed:g} is allowed: not kept"
        )
    return {"difference": difference, "tolerance": allowed}


def manifest_of(
    result: RunResult,
    settings: Mapping[str, str],
    about: Mapping[str, str],
    dataset: Dataset,
    inputs: Inputs,
    digest: str,
    **own: Any,
) -> Manifest:
    """What a manifest says of any run, with what is its `own`; the files are not there yet.

    `settings`: the run by override path; `about`: what trained it; `digest`: of its data.
    """
    best = next(epoch for epoch in result.history if epoch.epoch == result.best_epoch)
    return Manifest(
        labels=tuple(map(str, range(dataset.classes))),
        inputs=inputs,
        epoch=result.best_epoch,
        validation=dict(best.metrics),
        test=result.test,
        data={
            "name": dataset.name,
            "digest": digest,
            "train_rows": len(dataset.train),
            "test_rows": len(dataset.test),
        },
        run={path: text for path, text in settings.items() if path != "data.path"},
        trained_on={name: text for name, text in about.items() if name != "user"},
        versions={
            name.removeprefix("version."): text
            for name, text in environment_tags().items()
            if name.startswith("version.")
        },
        git_commit=about.get("code.commit"),
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={},
        digests=outcome_digests(result),
        **own,
    )


def _manifest(
    kept: Kept, dataset: Dataset, inputs: Inputs, verified: Mapping[str, Mapping[str, Any]]
) -> Manifest:
    objective, settings = kept.run.objective, kept.run.parameters()
    result = kept.outcome.result
    standing = Standing(
        metric=objective.metric,
        direction=objective.direction,
        value=result.value,
        data=dataset.digest,
        settings=measure(settings, objective.metric),
    )
    return manifest_of(
        result,
        settings,
        kept.about,
        dataset,
        inputs,
        dataset.digest,
        study=kept.experiment,
        trial=None,
        uid=kept.uid,
        attempt=1,
        standing=standing,
        retrain=kept.retrain,
        export=kept.retrain,
        verified=verified,
    )
