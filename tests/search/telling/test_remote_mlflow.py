"""A whole study lands on a remote MLflow server: runs, curves, artifacts, report, champion."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from pipeline.artifact.manifest import Manifest
from tests.conftest import RunPython

pytestmark = pytest.mark.slow  # a real server, real training

SECRET = "s3cret"
TRIALS = 3
EPOCHS = 2


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of `mlflow server`, and the folder with its database, artifacts and log."""
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
                *("--artifacts-destination", f"{folder}/artifacts"),
            ],
            cwd=folder,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 240
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((folder / "log.txt").read_text()[-3000:])
            time.sleep(0.2)
        yield port, folder
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_whole_study_lands_on_a_remote_server_and_its_password_nowhere(
    workdir: Path,
    run_python: RunPython,
    server: tuple[int, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port, folder = server
    uri = f"tracking.uri=http://ann:{SECRET}@127.0.0.1:{port}"
    study = ("+study=smoke", f"study.trials={TRIALS}", f"train.epochs={EPOCHS}", "pruner=none")
    calls = [
        run_python("-m", "search.optimize", *study, uri),
        run_python("-m", "search.report", "study.name=smoke", uri),
        run_python("-m", "search.export", "study.name=smoke", "export.formats=[keras]", uri),
        run_python("-m", "search.publish", "study.name=smoke", uri),
    ]
    for call in calls:
        assert call.returncode == 0, call.stderr
        assert SECRET not in call.stdout + call.stderr
    assert "smoke: 0 runs published" in calls[3].stdout  # all was there

    plain = f"http://127.0.0.1:{port}"
    client = MlflowClient(plain, plain)
    experiment = client.get_experiment_by_name("smoke")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent, *trials = sorted(runs, key=lambda run: "mlflow.parentRunId" in run.data.tags)
    assert len(trials) == TRIALS
    assert all(run.info.status == "FINISHED" for run in runs)
    for run in trials:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        curve = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert [point.step for point in curve] == list(range(1, EPOCHS + 1))
        assert "test_accuracy" in run.data.metrics

    def fetched(run_id: str, name: str) -> Path:
        place = tmp_path_factory.mktemp("fetched")
        return Path(download_artifacts(f"runs:/{run_id}/{name}", None, None, str(place), plain))

    confusion = json.loads(fetched(trials[0].info.run_id, "confusion.json").read_text())
    assert sum(map(sum, confusion["matrix"])) == 288  # the validation rows
    assert "Does everything work?" in fetched(parent.info.run_id, "report/report.html").read_text()
    assert "***" in fetched(parent.info.run_id, "config.yaml").read_text()

    champion = client.get_model_version_by_alias("smoke", "champion")
    exported = Manifest.read(workdir / "exports" / "smoke")
    location = client.get_logged_model(champion.source.removeprefix("models:/")).artifact_location
    place = (
        f"{plain}/api/2.0/mlflow-artifacts/artifacts{location.removeprefix('mlflow-artifacts:')}"
    )
    with urllib.request.urlopen(f"{place}/data/model.keras", timeout=60) as answer:
        stored = hashlib.sha256(answer.read()).hexdigest()
    assert stored == exported.files["model.keras"]["sha256"]

    assert not (workdir / "mlflow.db").exists()
    for file in (*workdir.rglob("*"), *folder.rglob("*")):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
