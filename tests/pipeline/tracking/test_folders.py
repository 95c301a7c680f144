"""Of data MLflow is told the file, never the folder, whatever a version before told it."""

from dataclasses import replace

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import DatasetInfo, RunRecord

pytestmark = pytest.mark.usefixtures("workdir")

MINE = "/home/ann/mine.npz"
RECORD = RunRecord(
    uid="apple",
    experiment="folders",
    name="a run",
    status="RUNNING",
    started_at=1000.0,
    params={"model.dropout": "0.3", "data.path": MINE},
    dataset=DatasetInfo("npz", "0123456789abcdef" * 4, MINE, (9, 8, 8), (3, 8, 8)),
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


def run_of(uri: str, record: RunRecord) -> Run:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(record.experiment)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_of_data_the_file_is_told_and_not_the_folder(uri: str) -> None:
    MlflowTracker(uri).publish(RECORD)
    run = run_of(uri, RECORD)
    assert run.data.params == {"model.dropout": "0.3", "data.path": "mine.npz"}
    assert "/home/ann" not in str(run.to_dictionary())
    assert "mine.npz" in run.inputs.dataset_inputs[0].dataset.source


def test_a_run_that_a_version_before_began_with_its_folder_is_finished(uri: str) -> None:
    """MLflow takes no other value for a parameter: what is there stays."""
    record = replace(RECORD, experiment="before", params={"model.dropout": "0.3"})
    MlflowTracker(uri).publish(record)
    MlflowClient(uri).log_param(run_of(uri, record).info.run_id, "data.path", MINE)
    ended = replace(record, params=RECORD.params, status="FINISHED", ended_at=1010.0)
    MlflowTracker(uri).publish(ended)
    assert run_of(uri, record).info.status == "FINISHED"
