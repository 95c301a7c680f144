"""What `python -m pipeline.train export.path=...` keeps, and what it refuses before it trains."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.artifact.keep import check_place
from pipeline.artifact.manifest import Manifest
from pipeline.command.cli import command
from pipeline.command.errors import ConfigError
from pipeline.data import Dataset
from pipeline.predict import find_model
from pipeline.train import main
from tests.conftest import RunPython

SMALL = ("data=digits", "model.hidden_units=32", "model.depth=1", "train.batch_size=32")
WORDS = (*SMALL, "train.epochs=8", "tracking=none", "export.path=kept/mine")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["export.trial=3"], "export.trial=3: is for search.export"),
        (["export.register=false"], "is for search.export"),
        (["export.formats=[saved_model]"], "export.formats: keras must be among them"),
        (["export.formats=[pickle]"], "export.formats"),
        (["export.path=''"], "export.path: expected"),
    ],
)
def test_what_a_single_run_can_not_keep_is_refused_before_it_trains(
    workdir: Path, capsys: pytest.CaptureFixture[str], words: list[str], rule: str
) -> None:
    assert command([*WORDS, *words], main, "pipeline.train", "", lambda _: "") == 2
    assert rule in capsys.readouterr().err
    assert list(workdir.iterdir()) == []


def test_only_a_model_is_replaced_and_only_where_that_is_asked_for(tmp_path: Path) -> None:
    check_place(tmp_path / "new", force=False)
    check_place(tmp_path, force=False)  # it is empty
    (tmp_path / "notes.txt").touch()
    for force in (False, True):
        with pytest.raises(ConfigError, match="is there, left as it is"):
            check_place(tmp_path, force)
    (tmp_path / "model.keras").touch()
    with pytest.raises(ConfigError, match=r"export\.force=true"):
        check_place(tmp_path, force=False)
    check_place(tmp_path, force=True)


@pytest.mark.slow
def test_a_kept_model_is_asked_like_an_exported_one(
    workdir: Path, run_python: RunPython, digits: Dataset
) -> None:
    done = run_python("-m", "pipeline.train", *WORDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Kept: kept/mine (keras, saved_model, litert)" in done.stdout
    folder = workdir / "kept" / "mine"
    manifest = Manifest.read(folder)
    assert manifest.damage(folder) is None
    assert {check["tolerance"] for check in manifest.verified.values()} == {1e-5}
    assert [each.name for each in (workdir / "kept").iterdir()] == ["mine"]
    model = find_model(folder)
    assert (model.low, model.high, model.shape) == (0, 16, (8, 8))
    ink = 255 - np.kron(digits.test.features[0] * 15.9, np.ones((8, 8))).astype(np.uint8)
    Image.fromarray(ink).save("digit.png")
    asked = run_python("-m", "pipeline.predict", "kept/mine", "digit.png")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    again = run_python("-m", "pipeline.train", *WORDS)
    assert (again.returncode, "is there, left as it is" in again.stderr) == (2, True)
