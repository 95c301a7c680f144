"""Which kept weights an export takes for a trial: those of its own study, and no others."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import search.artifacts.bundle
import search.artifacts.verify
from pipeline.artifact.formats import read
from pipeline.data import Dataset
from pipeline.run.result import Outcome, Weights
from pipeline.tracking.record import dataset_info
from pipeline.training.execute import execute
from search.artifacts.bundle import write_bundle
from search.artifacts.candidate import candidate
from search.study.vocabulary import About, Attempts, Entry, Suggestion
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from tests.search.conftest import setup_of, study_of

pytestmark = pytest.mark.slow  # a network is trained


@dataclass
class Recorded:
    """A trial in the trial table, its weights, and those of another study of its name."""

    about: About
    entry: Entry
    own: Weights
    others: Weights


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Recorded:
    url = f"sqlite:///{tmp_path_factory.mktemp('table') / 'studies.db'}"
    setup = setup_of("train.epochs=2", space={"train": {"seed": [0, 1]}})
    study = replace(study_of(setup), dataset=dataset_info(digits))
    table = TrialTable.open(url, study)
    table.describe(study.about("", "python -m search.optimize"))
    outcomes: list[Outcome] = []
    for seed in (0, 1):
        suggestion = Suggestion({"train.seed": seed})
        trial = table.create(suggestion, study.space)
        run = study.space.apply(setup.run, trial.params)
        began = table.start(trial.number, run, Attempts(1))
        outcomes.append(execute(run, digits, lambda _: False))
        worker = {"device": "cpu", "threads": "1"}
        table.complete(replace(began, worker=worker), outcomes[-1].result, {})
    own, others = (outcome.weights for outcome in outcomes)
    return Recorded(table.about(), table.entries()[0], own, others)


def exported(
    recorded: Recorded, root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[bool, Weights]:
    """Whether the trial was trained again for its export, and what was exported."""
    again: list[Entry] = []

    def retrain(entry: Entry, *_: object) -> Weights:
        again.append(entry)
        return recorded.own

    monkeypatch.setattr(search.artifacts.bundle, "retrain", retrain)
    in_this_process = lambda path, inputs: read(path)(inputs)  # noqa: E731
    monkeypatch.setattr(search.artifacts.verify, "predict_apart", in_this_process)
    folder.mkdir()
    chosen = candidate(recorded.about, [recorded.entry], None, 0)
    write_bundle(folder, ["keras"], recorded.about, chosen, None, str(root))
    import keras

    return bool(again), keras.saving.load_model(folder / "model.keras").get_weights()


def assert_own(recorded: Recorded, weights: Weights) -> None:
    assert len(weights) == len(recorded.own)
    for one, other in zip(weights, recorded.own, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_weights_of_the_trials_own_study_are_exported(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that another study of its name kept under the same number lie in another folder."""
    name, number = recorded.about.name, recorded.entry.number
    WeightStore.of(str(tmp_path), name, recorded.entry.uid).save(number, recorded.own)
    WeightStore.of(str(tmp_path), name, "0123456789abcdef").save(number, recorded.others)
    again, weights = exported(recorded, tmp_path, tmp_path / "export", monkeypatch)
    assert not again
    assert_own(recorded, weights)


def test_weights_that_the_version_before_kept_are_exported_if_they_give_the_trials_numbers(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeightStore.before(str(tmp_path), recorded.about.name).save(0, recorded.own)
    again, weights = exported(recorded, tmp_path, tmp_path / "export", monkeypatch)
    assert not again
    assert_own(recorded, weights)


@pytest.mark.parametrize("whose", ["another study's", "damaged", "another network's"])
def test_what_the_version_before_kept_of_something_else_is_left_alone(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    WeightStore.before(str(tmp_path), recorded.about.name).save(
        0, recorded.own[:2] if whose == "another network's" else recorded.others
    )
    file = tmp_path / recorded.about.name / "0.npz"
    if whose == "damaged":
        file.write_bytes(file.read_bytes()[:1000])
    before = file.read_bytes()
    again, weights = exported(recorded, tmp_path, tmp_path / "export", monkeypatch)
    assert again
    assert_own(recorded, weights)
    assert file.read_bytes() == before
