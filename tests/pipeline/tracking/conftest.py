"""A tracker on a database of the tests' own, and a record of a run."""

from pathlib import Path

import pytest

from pipeline.tracking.record import DatasetInfo, RunRecord
from tests.pipeline.tracking.store import DIGEST, Store, points


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def store(database: str, workdir: Path, request: pytest.FixtureRequest) -> Store:
    """Artifacts go to the test's own working folder; the database, slow to make, is shared."""
    return Store(database, f"{workdir.name} {request.node.name}")


@pytest.fixture
def record(store: Store) -> RunRecord:
    return RunRecord(
        uid="apple",
        experiment=store.experiment,
        name="a run",
        status="RUNNING",
        started_at=1000.5,
        params={"model.dropout": "0.3", "train.seed": "0"},
        tags={"device": "cpu"},
        points=points(2),
        dataset=DatasetInfo("digits", DIGEST, "scikit-learn", (1437, 8, 8), (360, 8, 8)),
    )
