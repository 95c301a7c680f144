"""A network that does not give the recorded numbers is not exported."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipeline.artifact.formats import write
from pipeline.artifact.manifest import Manifest
from pipeline.command.compose import compose
from pipeline.command.errors import PlumblineError
from pipeline.run.config import DataConfig
from search.coordination.retrain import retrain
from tests.search.export.study import BEST, UNKEPT, WORSE, Place, contents, store

pytestmark = pytest.mark.slow  # every format loaded again in processes of its own


def test_a_file_that_differs_from_the_trial_is_refused_with_the_numbers(
    place: Place,
    keras_only: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert place.export(*keras_only, f"trial={WORSE}") == 0
    before = contents(tmp_path / "mine")

    def write_damaged(model: keras.Model, kind: Any, folder: Path) -> Path:
        *others, bias = model.get_weights()
        model.set_weights([*others, bias + np.linspace(0, 0.01, len(bias), dtype=np.float32)])
        return write(model, kind, folder)

    monkeypatch.setattr("pipeline.artifact.keep.write", write_damaged)
    assert place.export(*keras_only) == 1
    assert re.search(
        r"keras: (a probability differs by 0\.00\d+ from .* 1e-05 is allowed|log loss|test_accuracy)",
        capsys.readouterr().err,
    )
    assert contents(tmp_path / "mine") == before
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["mine"]


def test_weights_with_another_loss_are_refused_though_they_are_as_often_right(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice as sure of everything: the same classes, another test_loss."""
    uid = place.entries[BEST].uid
    *hidden, kernel, bias = store(place.folder / "weights", uid).weights(BEST) or []
    store(tmp_path / "weights", uid).save(BEST, [*hidden, 2 * kernel, 2 * bias])
    assert place.export(*keras_only, f"storage.weights={tmp_path / 'weights'}") == 1
    recorded = place.entries[BEST].result.test["test_loss"]  # type: ignore[union-attr]
    error = capsys.readouterr().err
    assert "the network: test_loss is" in error
    assert f"the trial's is {recorded:.6g}" in error
    assert not (tmp_path / "mine").exists()


def test_one_bit_of_kept_weights_is_noticed_though_no_number_moves(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = place.entries[BEST]
    *others, bias = store(place.folder / "weights", entry.uid).weights(BEST) or []
    bias = bias.copy()
    bias[0] = np.nextafter(bias[0], np.float32(9))
    store(tmp_path / "weights", entry.uid).save(BEST, [*others, bias])
    assert place.export(*keras_only, f"storage.weights={tmp_path / 'weights'}") == 1
    assert entry.result is not None
    assert f"recorded is {entry.result.weights_digest}" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_weights_of_another_trial_are_refused(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = place.entries[BEST].uid
    best = store(place.folder / "weights", uid).weights(BEST) or []
    store(tmp_path / "weights", uid).save(BEST, [-array for array in best])
    store(tmp_path / "weights", uid).save(WORSE, best)
    elsewhere = f"storage.weights={tmp_path / 'weights'}"
    assert place.export(*keras_only, elsewhere, f"trial={WORSE}") == 1
    assert "its weights don't fit it" in capsys.readouterr().err
    assert place.export(*keras_only, elsewhere) == 1
    recorded = place.entries[BEST].result.test["test_accuracy"]  # type: ignore[union-attr]
    error = capsys.readouterr().err
    assert "the network: test_accuracy is" in error
    assert f"recorded is {recorded:.6f}" in error
    assert not (tmp_path / "mine").exists()


def test_weights_that_were_not_kept_are_trained_again_to_the_same_numbers(
    place: Place, keras_only: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.export(*keras_only, f"trial={UNKEPT}") == 0
    assert "Trained again, with the recorded numbers" in capsys.readouterr().out
    manifest = Manifest.read(tmp_path / "mine")
    assert manifest.standing.value == place.entries[UNKEPT].value
    result = place.entries[UNKEPT].result
    assert result is not None
    assert manifest.digests == {"weights": result.weights_digest, "history": result.history_digest}


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        ({"device": "cpu", "threads": "1"}, "nothing that is on record of its environment has"),
        ({"device": "a gpu", "threads": "1"}, "device a gpu -> cpu"),
        ({"threads": "1", "version.keras": "3.1"}, "keras 3.1 -> "),
    ],
)
def test_other_numbers_are_refused_with_both_of_them_and_with_what_changed(
    place: Place, worker: dict[str, str], reason: str
) -> None:
    entry = place.entries[UNKEPT]
    assert entry.result is not None
    wrong = replace(entry, result=replace(entry.result, value=0.5), worker=worker)
    data = compose(["data=digits"])["data"]
    with pytest.raises(PlumblineError) as error:
        retrain(wrong, place.entries, DataConfig(**data), "trial 2")
    assert f"first objective at the end: 0.5 recorded, {entry.value!r} now" in str(error.value)
    assert reason in str(error.value)
    assert "not exported" in str(error.value)
    assert str(error.value).startswith("trial 2, whose weights are not kept: differs")
