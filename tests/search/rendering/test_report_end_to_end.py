"""A real study leaves its report in a real MLflow store."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow

STUDY = ("-m", "search.optimize", "+study=smoke", "study.trials=4", "train.epochs=2")
FIGURES = {
    "accuracy_against_parameters.png",
    "accuracy_against_time.png",
    "history.png",
    "importance.png",
    "learning_curves.png",
    "parallel_coordinates.png",
    "slices.png",
    "timeline.png",
}


def artifacts(folder: Path) -> dict[str, set[str]]:
    """The artifacts of every run by the run's name."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        rows = database.execute("SELECT name, artifact_uri FROM runs").fetchall()
    return {
        name: {str(f.relative_to(uri)) for f in Path(uri).rglob("*") if f.is_file()}
        for name, uri in rows
    }


def test_a_study_leaves_its_figures_and_its_page_in_mlflow(
    workdir: Path, run_python: RunPython
) -> None:
    done = run_python(*STUDY, "pruner=none", "tracking.keep_models=2")
    assert done.returncode == 0, done.stderr
    assert "report:" not in done.stderr
    found = artifacts(workdir)
    parent = found.pop("smoke")
    page = {
        "report.html",
        "front.csv",
        "leaderboard.csv",
        "leaderboard.md",
        "best_confusion.png",
        "best_hardest.png",
    }
    assert parent == {"config.yaml", *(f"report/{name}" for name in FIGURES | page)}
    assert len(found) == 4
    pictured = [name for name, files in found.items() if "hardest.png" in files]
    assert len(pictured) == 2
    texts = {"confusion.json", "confusion_test.json", "model_summary.txt"}
    assert all(texts <= files for files in found.values())
    assert len(list((workdir / "mlruns" / "weights").glob("smoke-*/*.npz"))) == 2

    (file,) = list(workdir.rglob("confusion.json"))[:1]
    matrix = json.loads(file.read_text())["matrix"]
    assert sum(map(sum, matrix)) == 288  # the validation rows

    again = run_python("-m", "search.report", "study=smoke")
    assert again.returncode == 0, again.stderr
    assert (workdir / "smoke.html").stat().st_size > 1_000_000
    assert artifacts(workdir)["smoke"] == parent


def test_a_report_that_can_not_be_made_does_not_change_the_exit_code(
    workdir: Path, run_python: RunPython
) -> None:
    (workdir / "broken" / "plotly").mkdir(parents=True)
    (workdir / "broken" / "plotly" / "__init__.py").write_text("raise ImportError('no plots here')")
    root = str(Path(__file__).parents[3])
    done = run_python(*STUDY, PYTHONPATH=f"{workdir / 'broken'}:{root}")
    assert done.returncode == 0, done.stderr
    assert "report: ImportError: no plots here" in done.stderr
    assert "search.report study.name=smoke" in done.stderr
    assert artifacts(workdir)["smoke"] == {"config.yaml"}
