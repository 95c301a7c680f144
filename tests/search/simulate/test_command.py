"""The command as a user types it, on the record that comes with the project, and on a study of one's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command.errors import ConfigError
from search.simulate.methods import RECORD, ground
from search.simulate.record import Record
from tests.search.conftest import composed

TWO = 'simulate.methods=["sampler=random pruner=none", "sampler=tpe pruner=median"]'


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        (("sampler=tpe",), "simulate.methods says"),
        (("pruner.n_startup_trials=3",), "simulate.methods says"),
        (("simulate.repeats=0",), "simulate.repeats"),
        (("simulate.methods=[]",), "simulate.methods"),
        (('simulate.methods=["pruner=none","pruner=none"]',), "each method once"),
        (('simulate.methods=["sampler=tpe train.epochs=3"]',), "got train.epochs"),
        (('simulate.methods=["sampler=\\"tpe"]',), "No closing quotation"),
        (("simulate.path=figure.jpg",), "simulate.path"),
        (("simulate.seconds=-1",), "simulate.seconds"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_played(
    typed: tuple[str, ...], word: str
) -> None:
    allowed = tuple(each for each in typed if each.startswith("simulate."))
    with pytest.raises(ConfigError, match=word):
        ground(typed, composed(*allowed))


def test_the_record_is_small_and_holds_no_test_metric_where_an_engine_could_see_it() -> None:
    assert RECORD.stat().st_size < 2 * 2**20
    record = Record.load(RECORD)
    assert set(record.curves) == {"val_accuracy", "val_loss"}
    assert record.epochs == 12
    assert len(record.params) == len(record.begin) == len(record.curves["val_loss"]) > 300
    assert 0.97 < record.curves["val_accuracy"].max() < 0.985


@pytest.mark.slow
def test_methods_are_compared_on_the_record(tmp_path: Path) -> None:
    done = _simulate(tmp_path, "+study=full", "study.trials=12", TWO)
    assert done.returncode == 0, done.stderr
    assert "model.depth is 1 .. 3 (the study has 1 .. 4)" in " ".join(done.stdout.split())
    assert "tpe + median" in done.stdout
    assert (tmp_path / "simulate.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["simulate.png"]


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_a_finished_study_is_a_record(
    storage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    own = ["+study=smoke"]
    if storage == "postgresql":
        own.append(f"storage.url={request.getfixturevalue('postgres').database()}")
    done = _run(
        tmp_path, "search.optimize", *own, "study.trials=24", "pruner=none", "tracking=none"
    )
    assert done.returncode == 0, done.stderr
    done = _simulate(tmp_path, *own, "simulate.record=smoke", "study.trials=10", TWO)
    assert done.returncode == 0, done.stderr
    assert "no configuration has two seeds" in " ".join(done.stdout.split())
    done = _simulate(tmp_path, *own, "simulate.record=other", TWO)
    assert done.returncode == 2
    assert "there is no study 'other'" in done.stderr


def _simulate(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return _run(folder, "search.simulate", "simulate.repeats=3", *words)


def _run(folder: Path, module: str, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
