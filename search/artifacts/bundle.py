"""The files of an exported run: every format, verified, with its card and its manifest."""

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.artifact.formats import Format
from pipeline.artifact.keep import inputs_of, manifest_of, typical_of, write_models
from pipeline.artifact.manifest import Inputs, Manifest, sums
from pipeline.command.errors import PlumblineError
from pipeline.data import Dataset, load
from pipeline.network.backend import limit_threads, quietly, tensorflow_on_the_cpu
from pipeline.run.config import RunConfig, as_words
from pipeline.run.digests import weights_digest
from pipeline.run.result import Weights
from search.artifacts import card
from search.artifacts.candidate import Candidate
from search.artifacts.verify import Check, Verifier
from search.coordination.retrain import retrain
from search.study.shown import trained_again
from search.study.vocabulary import About
from search.trial_table.lineage import whole_run
from search.trial_table.weights import WeightStore


def write_bundle(
    folder: Path,
    formats: Sequence[Format],
    about: About,
    chosen: Candidate,
    path: str | None,
    weights: str,
) -> Manifest:
    """Write the run that was `chosen` into the empty `folder` in all `formats`, and check each of them.

    `path`: where the data lie; None: where they did. `weights`: the folder of kept weights; a run whose
    are not there is trained again. Raises PlumblineError where the data or the numbers are not the
    recorded ones.
    """
    entry, run = chosen.entry, chosen.entry.run
    assert run is not None, "it has a result"
    data = run.data.at(path)
    dataset = load(chosen.base.data.at(path))
    dataset.check(about.dataset.digest, about.name)
    if data.split_seed != chosen.base.data.split_seed:
        dataset = load(data)  # the same rows, of which others validate
    dataset = dataset.fitted(run.train.validation_split)
    trained = _kept(weights, about.name, run, dataset, chosen)
    if trained is None:
        print("Its weights were not kept: training it again ...", flush=True)
        trained = retrain(entry, chosen.entries, data, chosen.name)
        print("Trained again, with the recorded numbers.")
    checks, inputs = _write_models(folder, formats, run, dataset, trained, chosen)
    example = json.dumps({"inputs": dataset.train.features[:1].tolist()}, separators=(",", ":"))
    (folder / "example.json").write_text(example)
    if (known := typical_of(dataset, inputs)) is not None:
        known.write(folder)
    manifest = _manifest(about, chosen, dataset, inputs, checks)
    (folder / card.FILE).write_text(card.model_card(manifest, about.question), encoding="utf-8")
    manifest = manifest.with_files(sums(folder))
    manifest.write(folder)
    return manifest


def _kept(
    root: str, name: str, run: RunConfig, dataset: Dataset, chosen: Candidate
) -> Weights | None:
    """The weights of a run, if they were kept; by the version before, if they give its numbers."""
    entry = chosen.entry
    weights = WeightStore.of(root, name, entry.uid).weights(entry.number)
    if weights is not None:
        return weights
    try:
        weights = WeightStore.before(root, name).weights(entry.number)
        if weights is None:
            return None
        with _verified(Verifier(run, entry, dataset), run, dataset, weights, chosen):
            return weights
    except PlumblineError:  # of another study of this name, or damaged: left alone
        return None


@contextmanager
def _verified(
    verifier: Verifier, run: RunConfig, dataset: Dataset, weights: Weights, chosen: Candidate
) -> Iterator[Any]:
    """Within the block, the network with `weights`, which has the recorded numbers of the run.

    It is written and scored on the CPU, in the backend that all formats know. Raises PlumblineError.
    """
    limit_threads(int(chosen.entry.worker.get("threads", 1)))
    with quietly(), tensorflow_on_the_cpu():
        from pipeline.artifact.serving import network
        from pipeline.network.plain import PlainLoop

        try:
            model = network(run, dataset, weights)
        except ValueError as error:
            raise PlumblineError(f"{chosen.name}: its weights don't fit it: {error}") from None
        loop = PlainLoop()
        loop.begin(run, model, len(dataset.train))
        verifier.take_as_reference(loop)
        _check_digest(chosen, weights)
        yield model


def _check_digest(chosen: Candidate, weights: Weights) -> None:
    """Raise PlumblineError where `weights` are not the recorded ones to the last bit."""
    result = chosen.entry.result
    recorded = None if result is None else result.weights_digest
    found = weights_digest(weights)
    if recorded not in (None, found):
        raise PlumblineError(
            f"{chosen.name}: its weights have the SHA-256 {found}, recorded is {recorded}: not "
            "exported (remove the file that keeps them: it is trained again)"
        )


def _write_models(
    folder: Path,
    formats: Sequence[Format],
    run: RunConfig,
    dataset: Dataset,
    weights: Weights,
    chosen: Candidate,
) -> tuple[list[Check], Inputs]:
    verifier = Verifier(run, chosen.entry, dataset)
    with _verified(verifier, run, dataset, weights, chosen) as model:
        dtype = write_models(folder, formats, run, dataset, model, weights)
    checks = verifier.check(folder, formats, dtype)
    for check in checks:
        print(
            f"  {check.format:<12} test_accuracy {check.accuracy:.4f}, as recorded; "
            f"probabilities within {check.difference:.0e}"
        )
    return checks, inputs_of(dataset, run.data.scale, dtype)


def _manifest(
    about: About,
    chosen: Candidate,
    dataset: Dataset,
    inputs: Inputs,
    checks: Sequence[Check],
) -> Manifest:
    entry, result = chosen.entry, chosen.entry.result
    assert result is not None
    settings = whole_run(entry).items()
    overrides = as_words({path: text for path, text in settings if path != "data.path"})
    overrides += ["data.path=FILE.npz"] if dataset.name == "npz" else []
    overrides += [f"launcher.threads_per_worker={entry.worker.get('threads', 1)}"]
    number = "" if chosen.verdict is not None else f" trial={chosen.trial}"
    words = shlex.join(["python", "-m", "pipeline.train", *overrides])
    trial = chosen.trial if chosen.verdict is None else None
    return manifest_of(
        result,
        entry.settings,
        entry.worker,
        dataset,
        inputs,
        about.dataset.digest,
        study=about.name,
        trial=chosen.trial,
        uid=entry.uid,
        attempt=entry.attempts.made,
        standing=chosen.standing,
        retrain=trained_again(words, entry.worker, about.name, trial),
        export=f"python -m search.export study.name={about.name}{number}",
        verified={check.format: vars(check) for check in checks},
        verdict=chosen.verdict,
    )
