"""A project that was moved writes where it is now; MLflow's database keeps absolute paths."""

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from pipeline.command.errors import StorageError
from pipeline.tracking.database import database_of
from pipeline.tracking.mlflow import MlflowTracker
from pipeline.tracking.record import RunRecord
from pipeline.tracking.relocation import relocate


def _uri(folder: Path) -> str:
    """By its whole path: MLflow keeps connections by name."""
    return f"sqlite:///{folder}/mlflow.db"


def _record(uid: str) -> RunRecord:
    return RunRecord(
        uid=uid,
        experiment="fruit",
        name=uid,
        status="FINISHED",
        started_at=1.0,
        ended_at=2.0,
        texts={"note.txt": uid},
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one published run, made where it can then be taken from."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        MlflowTracker(_uri(folder)).publish(_record("apple"))
    return folder


def _copy(project: Path, to: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(project, to)
    monkeypatch.chdir(to)
    return to


def _texts(folder: Path) -> list[str]:
    return sorted(each.read_text() for each in folder.rglob("note.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moved", "with a space", "ünïcode"])
def test_a_moved_project_is_told_of_and_mended(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = _copy(project, tmp_path / name, monkeypatch)
    before = _texts(project)
    with pytest.raises(StorageError, match=r"relocate=true") as caught:
        MlflowTracker(_uri(here)).publish(_record("pear"))
    assert str(here) in str(caught.value)
    assert str(project) in str(caught.value)
    with pytest.raises(StorageError, match=r"relocate=true"):
        MlflowTracker(_uri(here)).log_files("fruit", "apple", here, None)
    assert [each.here for each in relocate(here / "mlflow.db")] == [here / "mlruns" / "1"]
    MlflowTracker(_uri(here)).publish(_record("pear"))
    assert _texts(here) == ["apple", "pear"]
    assert _texts(project) == before
    client = MlflowClient(tracking_uri=_uri(here))
    (apple,) = client.search_runs(["1"], "tags.uid = 'apple'")
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: _uri(here))
    assert [each.path for each in client.list_artifacts(apple.info.run_id)] == ["note.txt"]
    assert apple.info.artifact_uri.startswith(str(here))
    assert relocate(here / "mlflow.db") == []
    places = [each.artifact_location for each in client.search_experiments()]
    assert all(place.startswith(f"{here}/mlruns/") for place in places)  # Default's too


def test_artifacts_in_a_folder_of_the_users_own_choice_stay_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = _copy(project, tmp_path / "moved", monkeypatch)
    chosen = tmp_path / "chosen"
    MlflowClient(tracking_uri=_uri(here)).create_experiment("vegetables", str(chosen))
    MlflowTracker(_uri(here)).publish(replace(_record("leek"), experiment="vegetables"))
    assert _texts(chosen) == ["leek"]
    assert all(each.here == here / "mlruns" / "1" for each in relocate(here / "mlflow.db"))


def test_a_percent_sign_in_the_path_is_no_escape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    """MLflow decodes the path of a local folder: `a%25b` would be the folder `a%b` beside it."""
    folder = tmp_path / "a%25b"
    folder.mkdir()
    shutil.copy(project / "mlflow.db", folder / "percent.db")
    monkeypatch.chdir(folder)
    MlflowTracker("sqlite:///percent.db").publish(replace(_record("leek"), experiment="vegetables"))
    assert _texts(folder) == ["leek"]
    assert [each.name for each in tmp_path.iterdir()] == ["a%25b"]


@pytest.mark.slow
def test_a_percent_sign_in_a_uri_is_an_escape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLAlchemy reads it, which MLflow opens its database with: it is made where it is opened."""
    folder = tmp_path / "a%b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    uri = f"sqlite:///{tmp_path}/a%25b/mlflow.db"
    MlflowTracker(uri).publish(_record("leek"))
    assert database_of(uri) == folder / "mlflow.db"
    assert [*tmp_path.rglob("mlflow.db")] == [folder / "mlflow.db"]


def test_a_project_that_is_reached_by_a_link_was_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    real = tmp_path / "real"
    shutil.copytree(project, real)
    monkeypatch.chdir(real)
    relocate(real / "mlflow.db")
    link = tmp_path / "link"
    link.symlink_to(real, target_is_directory=True)
    MlflowTracker(_uri(link)).publish(_record("leek"))
    assert "leek" in _texts(real)
    assert relocate(link / "mlflow.db") == []
