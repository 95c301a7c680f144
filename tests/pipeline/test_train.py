"""The command `python -m pipeline.train`, from its arguments to its exit code and what it leaves."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.command.cli import command
from pipeline.command.compose import compose
from pipeline.run.config import run_config as read_run_config
from pipeline.tracking.record import environment_tags
from pipeline.train import EXPERIMENT, main
from tests.conftest import RunPython

SMALL = (
    *("data=digits", "model.hidden_units=64", "model.depth=1"),
    *("train.batch_size=32", "train.epochs=2"),
)


def run_command(overrides: Sequence[str]) -> int:
    """The command in this process, where TensorFlow is imported already."""
    return command(overrides, main, "pipeline.train", "", lambda _: "")


def tracked_in(folder: Path) -> str:
    """An absolute URI: in one process MLflow keeps to the first file that a relative one led to."""
    return f"tracking.uri=sqlite:///{folder / 'mlflow.db'}"


def tracked(folder: Path, status: str = "FINISHED", *where: str) -> Run:
    """The one run in `folder` that has `status`: the database, slow to make, is shared."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    query = " AND ".join([f"attributes.status = '{status}'", *where])
    (run,) = client.search_runs([experiment.experiment_id], query)
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("command")


@pytest.fixture(scope="module")
def done(folder: Path, run_python: RunPython) -> "subprocess.CompletedProcess[str]":
    """The command, run once in a process of its own in an empty folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return run_python("-m", "pipeline.train", *SMALL, "model.dropout=0.25", "train.seed=0")


def test_a_run_that_went_well_exits_0_and_tells_its_result(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    metrics = tracked(folder).data.metrics
    text = done.stdout
    assert "hidden_1" in text
    assert "Total params: 4,810" in text  # 64 x 64 + 64 and 64 x 10 + 10
    lines = text[text.index("epoch 1/2") :].splitlines()
    assert lines[0].startswith("epoch 1/2  ")
    assert lines[1].startswith("epoch 2/2  ")
    assert (
        lines[2]
        == f"epoch {metrics['system/best_epoch']:.0f}: val_accuracy {metrics['objective']:.4f}"
    )
    assert f"test_accuracy {metrics['test_accuracy']:.4f}" in lines[3]
    assert lines[4] == f"loop tensorflow, device {tracked(folder).data.tags['device']}"
    assert lines[5] == "Tracked: make ui, then"
    assert lines[6].endswith(tracked(folder).info.run_id)


def test_a_run_is_tracked_under_its_override_paths(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    assert done.returncode == 0, done.stderr
    run = tracked(folder)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.dropout"] == "0.25"
    assert run.data.params["train.learning_rate"] == "null"
    expected = read_run_config(compose([*SMALL, "model.dropout=0.25", "train.seed=0"]))
    again = [f"{path}={text}" for path, text in run.data.params.items()]
    assert read_run_config(compose(again)) == expected
    assert run.data.tags["device"]
    assert run.data.tags["threads"] == "1"
    assert run.data.tags["loop"] == "tensorflow"
    assert run.data.tags["version.keras"] == environment_tags()["version.keras"]


def test_a_run_is_tracked_with_curves_data_set_and_summary(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    assert done.returncode == 0, done.stderr
    run = tracked(folder)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    for metric in ("loss", "accuracy", "val_loss", "val_accuracy", "system/epoch_seconds"):
        history = client.get_metric_history(run.info.run_id, metric)
        assert [point.step for point in history] == [1, 2], metric
        assert run.info.start_time <= history[0].timestamp <= history[1].timestamp
        assert history[1].timestamp <= run.info.end_time
    (given,) = run.inputs.dataset_inputs
    assert run.data.tags["data.digest"].startswith(given.dataset.digest)
    summary = Path(client.download_artifacts(run.info.run_id, "model_summary.txt")).read_text()
    assert "hidden_1" in summary
    matrix = json.loads(
        Path(client.download_artifacts(run.info.run_id, "confusion_test.json")).read_text()
    )["matrix"]
    assert sum(map(sum, matrix)) == 360
    right = sum(matrix[label][label] for label in range(10))
    assert right / 360 == pytest.approx(run.data.metrics["test_accuracy"])


def test_the_test_metrics_are_logged_once_at_the_end(
    done: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    assert done.returncode == 0, done.stderr
    run = tracked(folder)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    (point,) = client.get_metric_history(run.info.run_id, "test_accuracy")
    assert (point.step, point.timestamp) == (0, run.info.end_time)
    assert {"test_loss", "test_precision", "test_recall"} <= set(run.data.metrics)


def test_a_bad_configuration_exits_2_without_traceback_and_creates_nothing(
    workdir: Path, run_python: RunPython
) -> None:
    done = run_python("-m", "pipeline.train", *SMALL, "model.dropout=1.5")
    assert done.returncode == 2
    assert done.stdout == ""
    first_line, hint = done.stderr.splitlines()
    assert first_line == "error: model.dropout: expected 0 <= dropout < 1, got 1.5"
    assert "python -m pipeline.train --help" in hint
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.droput=0.1",
            "error: model.droput: no such setting (did you mean `model.dropout`?)",
        ),
        ("data=digit", "did you mean `digits`?"),
        ("objective.metric=test_accuracy", "the test set must not steer the search"),
        ("tracking.name=wandb", "tracking.name: expected 'mlflow' or 'none', got wandb"),
        ("tracking.uri=null", "tracking.uri: is missing"),
        ("launcher.threads_per_worker=0", "launcher.threads_per_worker: expected 1 <= "),
        ("launcher.threads_per_worker=many", "launcher.threads_per_worker: expected integer"),
        ("train.validation_split=0.9999", "train.validation_split: 0.9999 of 1437 rows leaves 0"),
    ],
)
def test_every_bad_configuration_is_refused_before_anything_is_created(
    workdir: Path, capfd: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert run_command([*SMALL, override]) == 2
    assert message in capfd.readouterr().err
    assert list(workdir.iterdir()) == []


def test_data_that_can_not_be_had_exits_69_and_creates_nothing(
    workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["data=mnist", "data.path=missing.npz"]) == 69
    assert "data.path: there is no file or folder" in capfd.readouterr().err
    assert list(workdir.iterdir()) == []


@pytest.mark.usefixtures("done", "workdir")
def test_a_run_that_diverged_exits_1_and_is_tracked_as_failed(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    diverging = ("train.optimizer=sgd", "train.learning_rate=1e30", "train.loss=mse")
    assert run_command([*SMALL, *diverging, tracked_in(folder)]) == 1
    assert "failed: loss is nan at epoch 1" in capfd.readouterr().err
    run = tracked(folder, "FAILED")
    assert run.data.tags["reason"] == "loss is nan at epoch 1"
    assert run.data.params["train.learning_rate"] == "1e+30"
    assert "test_accuracy" not in run.data.metrics


@pytest.mark.usefixtures("done", "workdir")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_is_tracked_as_killed_and_says_so(
    folder: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeline.training.execute.execute", lambda *_: signal.raise_signal(number))
    assert run_command([*SMALL, f"model.l2={number / 1000}", tracked_in(folder)]) == 75
    assert f"stopped by {number.name}: the run is given up" in capfd.readouterr().err
    run = tracked(folder, "KILLED", f"params.`model.l2` = '{number / 1000}'")
    assert run.data.tags["reason"] == f"stopped by {number.name}"
    assert "test_accuracy" not in run.data.metrics


def test_without_tracking_nothing_is_created(
    workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*SMALL, "tracking=none", "train.epochs=1"]) == 0
    assert "test_accuracy" in capfd.readouterr().out
    assert list(workdir.iterdir()) == []


def test_the_configuration_can_be_printed_without_running(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*SMALL, "--cfg"]) == 0
    (workdir / "config.yaml").write_text("# printed\n" + capsys.readouterr().out)
    assert compose([], workdir) == compose(SMALL)


def test_help_names_the_command_and_imports_no_tensorflow(run_python: RunPython) -> None:
    done = run_python("-X", "importtime", "-m", "pipeline.train", "--help")
    assert done.returncode == 0
    assert "python -m pipeline.train" in done.stdout
    assert "KEY=VALUE" in done.stdout
    assert "numpy" in done.stderr, "imports are listed"
    for heavy in ("tensorflow", "keras", "mlflow"):
        assert f" {heavy}\n" not in done.stderr


def test_what_should_be_known_of_the_data_is_told_beside_the_result(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*SMALL, "train.epochs=1", "train.batch_size=2000", "tracking=none"]) == 0
    line = (
        "train.batch_size: 2,000 is more than the 1,149 rows to train on: an epoch is a single step"
    )
    assert capsys.readouterr().err == f"warning: {line}\n"
    assert list(workdir.iterdir()) == []
