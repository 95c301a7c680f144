"""The files of an exported trial: every format, verified, with its card and its manifest."""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifact.formats import PORTABLE, Format, write
from pipeline.artifact.manifest import Inputs, Manifest, Standing, sums
from pipeline.command.errors import ConfigError, PlumblineError, UnavailableError
from pipeline.data import Dataset, grey_size, load
from pipeline.network.backend import limit_threads, quietly, tensorflow_on_the_cpu
from pipeline.pictures.typical import Typical
from pipeline.run.comparable import measure
from pipeline.run.config import DataConfig, RunConfig
from pipeline.run.digests import weights_digest
from pipeline.run.result import Weights
from pipeline.tracking.record import environment_tags, outcome_digests
from search.artifacts import card
from search.artifacts.verify import Check, Verifier
from search.coordination.retrain import retrain
from search.study.ranking import Configuration, Ranking
from search.study.vocabulary import About, Entry
from search.table.lineage import whole_run
from search.table.weights import WeightStore


def standing_of(about: About, configuration: Configuration) -> Standing:
    """How good `configuration` is, by the objective of its study."""
    objective = about.objective
    return Standing(
        metric=objective.metric,
        direction=objective.direction,
        value=configuration.value,
        data=about.dataset.digest,
        settings=measure(configuration.entry.settings, objective.metric),
        seeds=configuration.seeds,
        spread=configuration.spread,
    )


def write_bundle(
    folder: Path,
    formats: Sequence[Format],
    about: About,
    entries: Sequence[Entry],
    entry: Entry,
    run: RunConfig,
    data: DataConfig,
    weights: str,
) -> Manifest:
    """Write `entry` into the empty `folder` in all `formats`, and check each of them.

    `weights`: the folder of kept weights; a trial that is not there is trained again.
    Raises PlumblineError where the data or the numbers are not the recorded ones.
    """
    dataset = load(data).fitted(run.train.validation_split)
    if dataset.digest != about.dataset.digest:
        raise UnavailableError(
            f"{dataset.source}: these are not the data of {about.name} (SHA-256 "
            f"{dataset.digest[:12]}..., recorded is {about.dataset.digest[:12]}...)"
        )
    trained = _kept(weights, about.name, run, dataset, entry)
    if trained is None:
        print("Its weights were not kept: training it again ...", flush=True)
        trained = retrain(entry, entries, data)
        print("Trained again, with the recorded numbers.")
    checks, inputs = _write_models(folder, formats, run, dataset, trained, entry)
    example = json.dumps({"inputs": dataset.train.features[:1].tolist()}, separators=(",", ":"))
    (folder / "example.json").write_text(example)
    if (known := _typical(dataset, inputs)) is not None:
        known.write(folder)
    standing = standing_of(about, Ranking(about.objective, entries).of(entry))
    manifest = _manifest(about, entry, standing, dataset, inputs, checks)
    (folder / card.FILE).write_text(card.model_card(manifest, about.question), encoding="utf-8")
    manifest = manifest.with_files(sums(folder))
    manifest.write(folder)
    return manifest


def _kept(root: str, name: str, run: RunConfig, dataset: Dataset, entry: Entry) -> Weights | None:
    """The weights of `entry`, if they were kept; by the version before, if they give its numbers."""
    weights = WeightStore.of(root, name, entry.uid).weights(entry.number)
    if weights is not None:
        return weights
    try:
        weights = WeightStore.before(root, name).weights(entry.number)
        if weights is None:
            return None
        with _verified(Verifier(run, entry, dataset), run, dataset, weights, entry):
            return weights
    except PlumblineError:  # of another study of this name, or damaged: left alone
        return None


@contextmanager
def _verified(
    verifier: Verifier, run: RunConfig, dataset: Dataset, weights: Weights, entry: Entry
) -> Iterator[Any]:
    """Within the block, the network with `weights`, which has the recorded numbers of `entry`.

    It is written and scored on the CPU, in the backend that all formats know. Raises PlumblineError.
    """
    limit_threads(int(entry.worker.get("threads", 1)))
    with quietly(), tensorflow_on_the_cpu():
        from pipeline.artifact.serving import network
        from pipeline.network.plain import PlainLoop

        try:
            model = network(run, dataset, weights)
        except ValueError as error:
            raise PlumblineError(
                f"trial {entry.number}: its weights don't fit it: {error}"
            ) from None
        loop = PlainLoop()
        loop.begin(run, model)
        verifier.take_as_reference(loop)
        _check_digest(entry, weights)
        yield model


def _check_digest(entry: Entry, weights: Weights) -> None:
    """Raise PlumblineError where `weights` are not the recorded ones to the last bit."""
    recorded = None if entry.result is None else entry.result.weights_digest
    found = weights_digest(weights)
    if recorded not in (None, found):
        raise PlumblineError(
            f"trial {entry.number}: its weights have the SHA-256 {found}, recorded is {recorded}: not "
            "exported (remove the file that keeps them: it is trained again)"
        )


def _write_models(
    folder: Path,
    formats: Sequence[Format],
    run: RunConfig,
    dataset: Dataset,
    weights: Weights,
    entry: Entry,
) -> tuple[list[Check], Inputs]:
    assert entry.result is not None
    verifier = Verifier(run, entry, dataset)
    with _verified(verifier, run, dataset, weights, entry) as model:
        from pipeline.artifact.serving import input_dtype, network, with_scaling

        dtype = input_dtype(dataset)
        if dtype == "float64" and "litert" in formats:
            raise ConfigError(
                "export.formats: litert has no 64-bit numbers, which these features need "
                "(export.formats=[keras,saved_model])"
            )
        raw = with_scaling(model, dataset)
        portable = with_scaling(network(run, dataset, weights, portable=True), dataset)
        for kind in formats:
            write(portable if kind in PORTABLE else raw, kind, folder)
    checks = verifier.check(folder, formats, dtype)
    for check in checks:
        print(
            f"  {check.format:<12} test_accuracy {check.accuracy:.4f}, as recorded; "
            f"probabilities within {check.difference:.0e}"
        )
    return checks, _inputs(dataset, run.data.scale, dtype)


def _inputs(dataset: Dataset, scaled: bool, dtype: str) -> Inputs:
    if len(dataset.shape) == 1:
        return Inputs(dataset.shape, dtype, None, None)
    pixels = dataset.train.features
    low, high = (dataset.low, dataset.high) if scaled else (pixels.min(), pixels.max())
    return Inputs(dataset.shape, dtype, float(low), float(high))


def _typical(dataset: Dataset, inputs: Inputs) -> Typical | None:
    """What is typical of grey images; None: it is something else."""
    shape = grey_size(inputs.shape)
    if shape is None or inputs.low is None or inputs.high is None or inputs.high <= inputs.low:
        return None
    images = dataset.train.features.reshape(-1, *shape).astype(np.float32)
    unit = (images - np.float32(inputs.low)) / np.float32(inputs.high - inputs.low)
    return Typical.of(unit, dataset.train.labels, dataset.classes)


def _manifest(
    about: About,
    entry: Entry,
    standing: Standing,
    dataset: Dataset,
    inputs: Inputs,
    checks: Sequence[Check],
) -> Manifest:
    result = entry.result
    assert result is not None
    tags = environment_tags()
    best: dict[str, Any] = next(
        dict(epoch.metrics) for epoch in result.history if epoch.epoch == result.best_epoch
    )
    settings = {path: text for path, text in entry.settings.items() if path != "data.path"}
    again = whole_run(entry).items()
    overrides = [f"{path}={text}" for path, text in again if path != "data.path"]
    overrides += ["data.path=FILE.npz"] if dataset.name == "npz" else []
    overrides += [f"launcher.threads_per_worker={entry.worker.get('threads', 1)}"]
    name = f"study.name={about.name}"
    return Manifest(
        study=about.name,
        trial=entry.number,
        uid=entry.uid,
        attempt=entry.attempts.made,
        labels=tuple(map(str, range(dataset.classes))),
        inputs=inputs,
        standing=standing,
        epoch=result.best_epoch,
        validation=best,
        test=result.test,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "train_rows": len(dataset.train),
            "test_rows": len(dataset.test),
        },
        run=settings,
        trained_on={name: text for name, text in entry.worker.items() if name != "user"},
        versions={
            key.removeprefix("version."): text
            for key, text in tags.items()
            if key.startswith("version.")
        },
        git_commit=entry.worker.get("code.commit"),
        retrain=shlex.join(["python", "-m", "pipeline.train", *overrides]),
        export=f"python -m search.export {name} trial={entry.number}",
        exported_at=datetime.now(UTC).isoformat(timespec="seconds"),
        digests=outcome_digests(result),
        verified={check.format: vars(check) for check in checks},
        files={},
    )
