"""The command, with real workers: it measures once, and never imports what they compute with."""

from pathlib import Path

import pytest

from tests.search.conftest import Run

HEAVY = {"tensorflow", "keras", "jax", "mlflow"}


@pytest.mark.slow
def test_a_forecast_measures_once_and_imports_no_backend(python: Run, tmp_path: Path) -> None:
    words = ("-X", "importtime", "-m", "search.forecast", "+study=smoke", "launcher.workers=2")
    first, again = (python(*words) for _ in range(2))
    for done in (first, again):
        assert done.returncode == 0, done.stderr[-2000:]
        assert "12 trials to come, with 2 workers" in done.stdout
        assert "GiB a worker" in done.stdout
        imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
        assert imported.isdisjoint(HEAVY)
    assert "smoke: measuring" in first.stderr
    assert "smoke: measuring" not in again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mlruns"]
    assert {path.name for path in (tmp_path / "mlruns").iterdir()} == {
        "measured.json",
        "measured.json.lock",
    }
