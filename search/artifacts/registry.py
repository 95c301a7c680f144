"""MLflow's model registry: a study's model and its champion."""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

# First: it tells MLflow how patient to be, and to send nothing home, before MLflow starts.
from pipeline.tracking.mlflow import TrackingError

# isort: split
import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, RunInfo
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import Schema, TensorSpec

from pipeline.artifact.formats import NAMES
from pipeline.artifact.manifest import FILE, Manifest, Standing, standing_from
from pipeline.command.deadline import bounded
from pipeline.command.errors import UnavailableError
from pipeline.command.redact import redact
from pipeline.tracking.database import UID, database_of
from pipeline.tracking.relocation import check_place
from search.artifacts.verdict import PREFIX, tags_of

CHAMPION = "champion"
PREVIOUS = "previous"

_REGISTER_SECONDS = 300.0  # an upload among it
_ATTEMPT = "trial.attempt"
_STANDING = "standing"


class Registry:
    """Registers exported trials under their study's name. Doing it twice changes nothing."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        mlflow.set_tracking_uri(uri)  # a registry in a file looks up there what a client gives it
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def register(
        self,
        folder: Path,
        manifest: Manifest,
        force: bool,
        standings: Mapping[str, Standing] = MappingProxyType({}),
    ) -> str:
        """Make the export in `folder` its study's champion, unless that is better; what was done.

        `force`: even then. `standings`: of trials by uid, as the trial table has them now. Raises
        UnavailableError where MLflow can't be reached, or does not know the trial's run yet.
        """
        try:
            return self._register(folder, manifest, force, standings)
        except (TrackingError, OSError) as error:
            raise UnavailableError(
                f"tracking.uri: {redact(self._uri)}: {first_line(error)}\n"
                "The files are exported; the same command registers them later"
            ) from error

    @bounded(_REGISTER_SECONDS)
    def _register(
        self, folder: Path, manifest: Manifest, force: bool, standings: Mapping[str, Standing]
    ) -> str:
        name = manifest.study
        standing = standings.get(manifest.uid, manifest.standing)
        if _needs_saved_model(manifest) and "saved_model" not in manifest.verified:
            return (
                "Not registered: MLflow rounds the inputs of a .keras file to 32 bits, and these need 64 "
                "(add saved_model to export.formats)."
            )
        versions = self._versions(name)
        champion = next((v for v in versions if CHAMPION in v.aliases), None)
        own = next((v for v in versions if _is_of(v, manifest)), None)
        if own is not None:
            self._tell(own, manifest)
        if champion is not None and champion is own:
            return f"Registered already: {name} version {own.version} is {CHAMPION}."
        if champion is not None and not force:
            if reason := self._reason_to_stay(champion, standing, standings):
                return (
                    f"Not registered: {name} version {champion.version} stays {CHAMPION}, as "
                    f"{reason} (force=true replaces it)."
                )
        version = own or self._create(folder, manifest, standing, versions)
        if champion is not None:
            self._client.set_registered_model_alias(name, PREVIOUS, champion.version)
        self._client.set_registered_model_alias(name, CHAMPION, version.version)
        before = "" if champion is None else f", version {champion.version} is {PREVIOUS}"
        return f"Registered: {name} version {version.version} is {CHAMPION}{before}."

    def _versions(self, name: str) -> list[ModelVersion]:
        found = self._client.search_registered_models(f"name = '{name}'")
        if not found:
            return []
        aliases: dict[str, str] = found[0].aliases
        versions = list(self._client.search_model_versions(f"name = '{name}'"))
        for version in versions:  # a search does not tell them
            version.aliases = [a for a, number in aliases.items() if number == version.version]
        return versions

    def _create(
        self,
        folder: Path,
        manifest: Manifest,
        standing: Standing,
        versions: Sequence[ModelVersion],
    ) -> ModelVersion:
        name, client = manifest.study, self._client
        experiment = client.get_experiment_by_name(name)
        runs = []
        if experiment is not None:
            check_place(database_of(self._uri), name, experiment.artifact_location)
            runs = self._runs(experiment.experiment_id, manifest.uid)
        if not runs:
            raise UnavailableError(
                f"tracking.uri: {self._uri} has no run of {manifest.name} of {name} yet "
                f"(python -m search.publish study.name={name}, then the same command again)"
            )
        run = runs[0].info
        self._remove_halves(run, name, versions)
        model = self._upload(run, folder, manifest)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name, description=f"The best network of study {name}.")
        fresh = "fresh seeds" if standing.fresh else "seeds"
        mean = f" (mean of {standing.seeds} {fresh})" if standing.seeds > 1 else ""
        version = client.create_model_version(
            name,
            source=_source(model),
            run_id=run.run_id,
            model_id=model.model_id,
            description=f"{manifest.name.capitalize()}: {standing.metric} {standing.value:.6g}{mean}, "
            f"test_accuracy {manifest.test['test_accuracy']:.6g}. {_inputs(manifest)} in, probabilities "
            "out.",
            tags={
                UID: manifest.uid,
                _ATTEMPT: str(manifest.attempt),
                _STANDING: json.dumps(vars(standing)),
                "trial.number": "none" if manifest.trial is None else str(manifest.trial),
                "test_accuracy": repr(manifest.test["test_accuracy"]),
                "data.digest": standing.data,
                "sha256": manifest.files[NAMES["keras"]]["sha256"],
                **tags_of(manifest),
            },
        )
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, step=0)])
        return version

    def _tell(self, version: ModelVersion, manifest: Manifest) -> None:
        """Have the tags of a version say what its verdict says by now."""
        there, now = version.tags, tags_of(manifest)
        for key, text in now.items():
            if there.get(key) != text:
                self._client.set_model_version_tag(version.name, version.version, key, text)
        for key in there:
            if key.startswith(PREFIX) and key not in now:
                self._client.delete_model_version_tag(version.name, version.version, key)

    def _upload(self, run: RunInfo, folder: Path, manifest: Manifest) -> LoggedModel:
        """The export as a model of `run` in MLflow, whole or not at all."""
        client = self._client
        model = client.create_logged_model(
            run.experiment_id,
            name=manifest.study,
            source_run_id=run.run_id,
            params=dict(manifest.run),
        )
        try:
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / "model"
                _save(path, folder, manifest, run.run_id, model.model_id, model.artifact_location)
                client.log_model_artifacts(model.model_id, str(path))
            client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        except BaseException:  # a signal's too
            with suppress(TrackingError):  # MLflow is away: the next registration does it
                client.delete_logged_model(model.model_id)
            raise
        return model

    def _remove_halves(self, run: RunInfo, name: str, versions: Sequence[ModelVersion]) -> None:
        """Delete what a registration that was cut short left: models of `run` that no version has."""
        used = {version.source for version in versions}
        mine = f"source_run_id = '{run.run_id}' AND name = '{name}'"
        for model in self._client.search_logged_models([run.experiment_id], mine):
            if _source(model) not in used:
                self._client.delete_logged_model(model.model_id)

    def _reason_to_stay(
        self, champion: ModelVersion, challenger: Standing, standings: Mapping[str, Standing]
    ) -> str | None:
        if _STANDING not in champion.tags:
            return "it was not registered by Plumbline and can't be compared"
        standing = standings.get(champion.tags.get(UID, ""))
        if standing is None:
            tree = json.loads(champion.tags[_STANDING])
            run_id = None if "settings" in tree else champion.run_id
            run = {} if run_id is None else self._client.get_run(run_id).data.params
            standing = standing_from(tree, run)
        return standing.reason_to_stay(challenger)

    def _runs(self, experiment_id: str, uid: str) -> list[Any]:
        return list(self._client.search_runs([experiment_id], f"tags.{UID} = '{uid}'"))


def first_line(error: Exception) -> str:
    """What MLflow said of an error, without its advice and without passwords."""
    return redact((str(error).splitlines() or [type(error).__name__])[0])[:300]


def _source(model: LoggedModel) -> str:
    return f"models:/{model.model_id}"


def _is_of(version: ModelVersion, manifest: Manifest) -> bool:
    tags = version.tags
    return tags.get(UID) == manifest.uid and tags.get(_ATTEMPT) == str(manifest.attempt)


def _needs_saved_model(manifest: Manifest) -> bool:
    """Whether 32 bits are too few, to which Keras's `predict`, unlike a SavedModel, rounds."""
    return manifest.inputs.dtype != "float32"


def _inputs(manifest: Manifest) -> str:
    inputs = manifest.inputs
    if inputs.low is None or inputs.high is None:
        return "Raw numbers"
    return f"Raw pixels from {inputs.low:g} to {inputs.high:g}"


def _save(
    path: Path, folder: Path, manifest: Manifest, run_id: str, model_id: str, location: str
) -> None:
    """An MLflow model at `path` around the very files that were verified.

    Its signature leaves out the inputs, where MLflow would refuse any dtype but one, and only
    outside HTTP; what they are stands in the metadata.
    """
    import mlflow.keras  # it brings Keras, which is only needed here

    path.mkdir()  # the input example is written first
    inputs = manifest.inputs
    dtype = np.dtype(inputs.dtype)
    example = json.loads((folder / "example.json").read_text(encoding="utf-8"))["inputs"]
    model = Model(location, run_id, model_id=model_id, model_uuid=model_id)
    outputs = Schema([TensorSpec(np.dtype(np.float32), (-1, len(manifest.labels)))])
    mlflow.keras.save_model(
        _Verified(folder / NAMES["keras"]),
        str(path),
        mlflow_model=model,
        signature=ModelSignature(Schema([TensorSpec(dtype, (-1, *inputs.shape))]), outputs),
        input_example=np.asarray(example, dtype),
        pip_requirements=[f"{name}=={manifest.versions[name]}" for name in ("keras", "tensorflow")],
        metadata={"inputs": f"{_inputs(manifest)}, shape {[-1, *inputs.shape]}, of any dtype"},
    )
    model.signature = ModelSignature(outputs=outputs)
    if _needs_saved_model(manifest):
        shutil.copytree(folder / NAMES["saved_model"], path / "data" / "model")
        model.flavors["keras"]["save_exported_model"] = True
    model.save(str(path / MLMODEL_FILE_NAME))
    for extra in (FILE, "MODEL_CARD.md"):
        shutil.copyfile(folder / extra, path / extra)


class _Verified:
    """Passes a verified file off as a Keras model, which MLflow then saves by copying it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def save(self, path: str) -> None:
        shutil.copyfile(self._file, path)
