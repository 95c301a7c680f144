"""The registry: a model is in MLflow whole and once, or not at all."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import search.artifacts.registry
from pipeline.artifact.formats import DTYPES, NAMES, write
from pipeline.artifact.manifest import Inputs, Manifest, Standing
from pipeline.command.errors import UnavailableError
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import RunRecord
from search.artifacts.registry import Registry

pytestmark = pytest.mark.slow  # the default suite stays under three minutes


def manifest() -> Manifest:
    about: dict[str, Any] = {field.name: {} for field in fields(Manifest)}
    mine = {
        "study": "mine",
        "trial": 0,
        "uid": "s1-0",
        "attempt": 1,
        "inputs": Inputs((28, 28), "float32", 0.0, 255.0),
        "standing": Standing("val_accuracy", "maximize", 0.9, "beef"),
        "test": {"test_accuracy": 0.9},
        "files": {NAMES["keras"]: {"sha256": "beef", "bytes": 1}},
        "verdict": None,
    }
    return Manifest(**{**about, **mine})


def lost(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, as a client sees it whose connection breaks before the answer."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        call(*args, **kwargs)
        raise MlflowException("connection reset")

    return broken


def away(*_: Any, **__: Any) -> Any:
    raise MlflowException("connection refused")


def test_a_registration_that_fails_can_be_repeated_and_leaves_no_half_model(
    workdir: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path_factory.mktemp("store")  # not in the working folder, where MLflow's own is
    uri = f"sqlite:///{store / 'mlflow.db'}"
    MlflowTracker(uri).publish(RunRecord("s1-0", "mine", "a trial", "FINISHED", 1000.0, 2000.0))
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("mine").experiment_id
    monkeypatch.setattr(search.artifacts.registry, "_save", lambda path, *_: path.mkdir())

    def models() -> list[Any]:
        return list(client.search_logged_models([experiment]))

    def register(attempt: int = 1) -> str:
        return Registry(uri).register(workdir, replace(manifest(), attempt=attempt), force=False)

    def failing(**calls: Callable[..., Any]) -> None:
        with monkeypatch.context() as patch:
            for name, call in calls.items():
                patch.setattr(MlflowClient, name, call)
            with pytest.raises(UnavailableError, match="connection"):
                register()

    failing(log_model_artifacts=away)
    assert models() == []
    failing(finalize_logged_model=lost(MlflowClient.finalize_logged_model))
    assert models() == []
    failing(log_model_artifacts=away, delete_logged_model=away)
    assert len(models()) == 1, "or the next line says nothing"
    failing(create_model_version=away)
    assert len(models()) == 1, "what was left before is gone"
    assert register() == "Registered: mine version 1 is champion."
    assert register() == "Registered already: mine version 1 is champion."

    (model,) = models()
    (version,) = client.search_model_versions("name = 'mine'")
    (run,) = client.search_runs([experiment])
    assert model.status == LoggedModelStatus.READY
    assert version.source == f"models:/{model.model_id}"
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]

    assert "version 2 is champion, version 1 is previous" in register(attempt=2)
    assert len(models()) == 2, "the model of an older version is no leftover"


def test_a_champion_stands_by_what_the_trial_table_says_now_and_by_how_it_was_measured(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lucky first seed does not stay champion for ever, and no loss beats one of another kind."""
    uri = f"sqlite:///{workdir / 'mlflow.db'}"
    params = {"train.loss": "categorical_crossentropy"}
    tracker = MlflowTracker(uri)
    for uid in ("s1-0", "s1-1"):
        tracker.publish(RunRecord(uid, "mine", uid, "FINISHED", 1000.0, 2000.0, params=params))
    monkeypatch.setattr(search.artifacts.registry, "_save", lambda path, *_: path.mkdir())
    registry = Registry(uri)

    def register(uid: str, standing: Standing, **now: Standing) -> str:
        made = replace(manifest(), uid=uid, standing=standing)
        return registry.register(workdir, made, False, {"s1-0": now["first"]} if now else {})

    lucky = Standing("val_loss", "minimize", 0.1, "beef")
    assert "version 1 is champion" in register("s1-0", lucky)
    other = replace(lucky, value=0.3)
    assert "stays champion, as its val_loss is 0.1" in register("s1-1", other)
    mse = replace(lucky, value=0.01, settings={"train.loss": "mse"})
    reason = "its val_loss is of train.loss=categorical_crossentropy, the new one's of mse"
    old = {"metric": "val_loss", "direction": "minimize", "value": 0.1, "data": "beef"}
    MlflowClient(uri, uri).set_model_version_tag("mine", "1", "standing", json.dumps(old))
    # The version before kept how it measured in the run alone.
    assert reason in register("s1-1", mse)
    now = replace(lucky, value=0.4, seeds=3, spread=0.2)
    assert "version 2 is champion" in register("s1-1", other, first=now)


SIXTEEN = {"images": (4, 4), "images with a channel": (4, 4, 1), "feature rows": (16,)}


def saved(path: Path, folder: Path, shape: tuple[int, ...], high: float, dtype: str) -> keras.Model:
    """The network of `shape` inputs whose export in `folder` was put into an MLflow model at `path`."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, dtype=dtype, name="inputs")
    scaled = keras.layers.Rescaling(1 / 16, offset=1 - high / 16, dtype=dtype)(inputs)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(scaled))
    network = keras.Model(inputs, outputs)
    for kind in ("keras", "saved_model"):
        write(network, kind, folder)
    (folder / "example.json").write_text(json.dumps({"inputs": np.zeros((1, *shape)).tolist()}))
    for name in ("manifest.json", "MODEL_CARD.md"):
        (folder / name).touch()
    about = replace(
        manifest(),
        inputs=Inputs(shape, dtype, None if len(shape) == 1 else high - 16, high),
        labels=("0", "1", "2"),
        versions={name: version(name) for name in ("keras", "tensorflow")},
    )
    search.artifacts.registry._save(path, folder, about, "run", "model", str(path))
    return network


@pytest.mark.parametrize("kind", SIXTEEN)
def test_the_registered_model_takes_numbers_of_any_dtype(tmp_path: Path, kind: str) -> None:
    shape = SIXTEEN[kind]
    network = saved(tmp_path / "model", tmp_path, shape, 16, "float32")
    raw = np.random.default_rng(0).integers(0, 17, (5, *shape))
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    expected = np.asarray(network(raw.astype("float32")))
    for dtype in DTYPES:
        np.testing.assert_allclose(loaded.predict(raw.astype(dtype)), expected, atol=1e-6)
    assert isinstance(mlflow.keras.load_model(str(tmp_path / "model")), keras.Model)
    assert f"shape {[-1, *shape]}, of any dtype" in loaded.metadata.metadata["inputs"]
    assert loaded.metadata.get_output_schema().inputs[0].shape == (-1, 3)


def test_a_registered_model_of_large_numbers_keeps_their_last_digits(tmp_path: Path) -> None:
    """Seconds of a minute as Unix times, which 32 bits can't tell apart."""
    network = saved(tmp_path / "model", tmp_path, (16,), 1_700_000_016, "float64")
    raw = 1_700_000_000 + np.random.default_rng(0).integers(0, 17, (5, 16))
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    expected = np.asarray(network(raw.astype("float64")))
    assert np.abs(np.asarray(network(raw - raw % 16)) - expected).max() > 0.1, (
        "or digits don't count"
    )
    for dtype in ("int64", "uint32", "float64"):
        np.testing.assert_allclose(loaded.predict(raw.astype(dtype)), expected, atol=1e-6)


def test_large_numbers_without_a_saved_model_are_not_registered(workdir: Path) -> None:
    wide = replace(manifest(), inputs=Inputs((16,), "float64", None, None), verified={"keras": {}})
    said = Registry("http://127.0.0.1:9").register(workdir, wide, force=False)  # asks nobody
    assert said.startswith("Not registered: ")
    assert "add saved_model to export.formats" in said
