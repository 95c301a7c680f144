"""One finished study for all tests of this folder, and exports that are quick."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import search.artifacts.verify
from pipeline.artifact.formats import read
from pipeline.command.compose import compose
from pipeline.data import Dataset
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import dataset_info
from pipeline.training.execute import execute
from search.setup.read import read as read_setup
from search.study.endings import MET
from search.study.vocabulary import Attempts, Study, Suggestion
from search.telling.runs import Records
from search.trial_table.trials import TrialTable
from tests.search.export.study import BEST, UNITS, UNKEPT, WORSE, Place, store


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Iterator[Place]:
    """The study, and its folder as the working folder until the last test of this one."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        overrides = ["+study=smoke", "train.epochs=3", *Place(folder, []).overrides]
        setup = read_setup(compose(overrides), lambda: "")
        study = Study(setup.study, setup.run, setup.space, dataset_info(digits), setup.search)
        table = TrialTable.open(setup.storage.url, study)
        table.describe(study.about("", "python -m search.optimize +study=smoke"))
        for number, units in UNITS.items():
            params = {"model.hidden_units": 32, "model.dropout": 0.1, "train.learning_rate": 0.003}
            trial = table.create(Suggestion(params), study.space)
            model = setup.run.model.model_copy(update={"hidden_units": units})
            run = study.space.apply(setup.run, params).model_copy(update={"model": model})
            began = replace(
                table.start(trial.number, run, Attempts(1)),
                worker={"device": "cpu", "threads": "1"},
            )
            outcome = execute(run, digits, lambda _: False)
            table.complete(began, outcome.result, {})
            if number != UNKEPT:
                store(folder / "weights", table.uid).save(number, outcome.weights)
        entries = table.entries()
        tracker = MlflowTracker(str(setup.tracking.uri))
        records = Records(table.about(), table.uid)
        tracker.publish(records.of_study(entries, MET))
        for entry in entries:
            tracker.publish(records.of_trial(entry))
        values = [entry.value or 0.0 for entry in entries]
        assert values[BEST] > values[UNKEPT] > values[WORSE]
        yield Place(folder, entries)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are checked in this process: a fresh one takes seconds to start."""
    monkeypatch.setattr(
        search.artifacts.verify, "predict_apart", lambda path, inputs: read(path)(inputs)
    )


@pytest.fixture
def keras_only(
    in_this_process: None,  # noqa: ARG001  # for what it does
    tmp_path: Path,
) -> list[str]:
    """An export of the test's own, quick and not registered."""
    path = tmp_path / "mine"
    return [f"export.path={path}", "export.formats=[keras]", "export.register=false"]
