"""Data that lie elsewhere now: `data.path` alone says where, whatever the data are called."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pipeline.command.compose import compose
from pipeline.command.errors import ConfigError
from pipeline.run.config import DataConfig
from tests.search.conftest import Run

ELSEWHERE = "data.path=elsewhere/mine.npz"


def config(*words: str) -> DataConfig:
    return DataConfig(**compose([*words])["data"])


def test_data_are_the_same_at_another_place() -> None:
    own = config("data=npz", "data.path=my.npz", "data.scale=false")
    moved = own.at("elsewhere.npz")
    assert moved.path == "elsewhere.npz"
    assert moved.model_copy(update={"path": "my.npz"}) == own
    assert own.at(None) == own


@pytest.mark.parametrize(
    ("words", "path", "rule"),
    [
        (["data=digits"], "digits.npz", "data=digits is bundled and takes no data.path"),
        (["data=mnist"], float("nan"), r"data\.path: expected string .*, got nan"),
    ],
)
def test_what_is_no_place_of_theirs_is_refused(words: list[str], path: object, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        config(*words).at(path)


@pytest.mark.slow
def test_a_study_is_reported_and_exported_from_where_its_data_were_moved_to(
    python: Run, tmp_path: Path
) -> None:
    images, labels = load_digits(return_X_y=True)
    file = tmp_path / "mine.npz"
    np.savez(
        file,
        x_train=images[:1000].reshape(-1, 8, 8),
        y_train=labels[:1000],
        x_test=images[1000:1200].reshape(-1, 8, 8),
        y_test=labels[1000:1200],
    )
    study = ["+study=smoke", "study.name=mine", "study.trials=1", "train.epochs=1", "tracking=none"]
    done = python("-m", "search.optimize", *study, "data=npz", "data.path=mine.npz")
    assert done.returncode == 0, done.stderr
    (tmp_path / "elsewhere").mkdir()
    file.rename(tmp_path / "elsewhere" / "mine.npz")

    done = python("-m", "search.report", "study.name=mine", "tracking=none")
    assert "report: no validation images: data.path: there is no file" in done.stderr
    done = python("-m", "search.report", "study.name=mine", "tracking=none", ELSEWHERE)
    assert (done.returncode, done.stderr) == (0, "")

    export = ["study.name=mine", "export.formats=[keras]", "export.register=false"]
    done = python("-m", "search.export", *export)
    assert done.returncode == 69
    done = python("-m", "search.export", *export, ELSEWHERE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "exports" / "mine" / "model.keras").exists()
