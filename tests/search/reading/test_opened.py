"""A study in Python: read only, light, and with the numbers of its report."""

import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import search.table
from pipeline.command.errors import ConfigError
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.mlflow import MlflowTracker
from search import open_study
from search.analysis.leaderboard import finalists_of
from search.reading.files import write
from search.reading.opened import as_frame
from search.reading.rows import Rows, trials
from search.telling.runs import Records
from search.trial_table.trials import TrialTable
from tests.conftest import RunPython
from tests.search import made
from tests.search.test_report_command import recorded, values
from tests.search.verdicts import by_mean, record

pytestmark = pytest.mark.slow  # pandas, scipy and MLflow take seconds to import

ROOT = Path(__file__).parents[3]
NONE = TrackingConfig(name="none", uri=None, report_seconds=None, keep_models=3)
MEANS = {"trial 2": 0.95, "trial 1": 0.93, "default": 0.90}


@pytest.fixture
def url(workdir: Path) -> str:
    place = f"sqlite:///{workdir / 'studies.db'}"
    recorded(place, "mine")
    return place


def test_it_has_what_the_report_is_made_of(url: str) -> None:
    record(url, by_mean(MEANS))
    table = TrialTable.load(url, "mine")
    study = open_study("mine", storage=url)
    assert study.trials == tuple(table.entries())
    assert study.best == study.facts.ranking[0]
    assert study.best is not None
    assert study.best.value == max(e.value for e in table.entries() if e.value is not None)
    finalists = finalists_of(table)
    assert finalists is not None
    assert study.verdict == finalists.verdict
    assert study.verdict is not None
    assert list(study.frame()["trial"]) == [0, 1, 2, 3]
    assert set(study.curves()["trial"]) == {0, 1, 2}
    assert repr(study) == "<study mine: 4 of 4 trials (3 complete, 1 failed)>"


@pytest.mark.usefixtures("url")
def test_nothing_is_written_or_made_by_reading(workdir: Path) -> None:
    folder = workdir / "elsewhere"
    folder.mkdir()
    with sqlite3.connect("studies.db") as database, sqlite3.connect(folder / "copy.db") as copy:
        database.backup(copy)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert open_study(storage=f"sqlite:///{folder / 'copy.db'}").frame().shape[0] == 4
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "wrong"), [("min", r"there is no study 'min' \(did you mean `mine`\?\)")]
)
def test_a_study_that_is_not_there_is_named_with_those_that_are(
    url: str, name: str, wrong: str
) -> None:
    with pytest.raises(ConfigError, match=wrong):
        open_study(name, storage=url)
    with pytest.raises(ConfigError, match="there is no study database"):
        open_study(name)


def test_a_frame_has_whole_numbers_where_some_are_missing_and_text_where_kinds_meet() -> None:
    cells: list[list[Any]] = [[1, None], [0.5, 1], [64, "[64,32]"], [True, None], [None, None]]
    heads = ("whole", "real", "widths", "flag", "none")
    rows = [dict(zip(heads, row, strict=True)) for row in zip(*cells, strict=True)]
    frame = as_frame(Rows(heads, tuple(rows)))
    kinds = dict(zip(heads, map(str, frame.dtypes), strict=True))
    assert kinds == {
        "whole": "Int64",
        "real": "float64",
        "widths": "string",
        "flag": "boolean",
        "none": "object",
    }
    assert list(frame["widths"]) == ["64", "[64,32]"]


def test_parquet_gives_the_frame_back(tmp_path: Path) -> None:
    import pandas as pd

    facts = made.facts([*made.many(4, made.MIXED), made.failed(4), made.running(5)], made.MIXED)
    table = trials(facts, {})
    write(table, str(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), as_frame(table))


def test_the_ids_of_runs_are_those_that_mlflow_has(
    url: str, workdir: Path, mlflow_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(mlflow_database, workdir / "mlflow.db")
    uri = f"sqlite:///{workdir / 'mlflow.db'}"
    table = TrialTable.load(url, "mine")
    records, tracker = Records(table.about(), table.uid), MlflowTracker(uri)
    tracker.publish(records.of_study(table.entries(), table.ending()))
    for entry in table.entries()[:3]:
        tracker.publish(records.of_trial(entry))
    with sqlite3.connect(workdir / "mlflow.db") as database:
        known = dict(database.execute("SELECT value, run_uuid FROM tags WHERE key = 'uid'"))
    frame = open_study("mine", storage=url, tracking=uri).frame()
    assert list(frame["run_id"][:3]) == [known[uid] for uid in frame["uid"][:3]]
    assert frame["run_id"].isna()[3]

    capsys.readouterr()
    away = "http://ann:secret@127.0.0.1:9"
    assert open_study("mine", storage=url, tracking=away).frame()["run_id"].isna().all()
    error = capsys.readouterr().err
    assert error.startswith("run_id is empty: tracking.uri: http://ann:***@127.0.0.1:9: ")
    assert "secret" not in error


def test_standard_output_gets_the_table_alone(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert search.table.main(values(url, "study.name=mine")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("trial,state,model.dropout,objective,")
    assert {line.count(",") for line in lines} == {lines[0].count(",")}
    assert search.table.main(values(url, "table.path=all.parquet")) == 0
    assert capsys.readouterr().out.startswith("all.parquet: 4 trials of mine, ")


def test_the_example_in_the_readme_runs_as_it_stands_without_tensorflow(
    workdir: Path, run_python: RunPython
) -> None:
    text = (ROOT / "README.md").read_text()
    (example,) = [
        e for e in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "open_study" in e
    ]
    assert 5 <= len(example.splitlines()) <= 12
    recorded(f"sqlite:///{workdir / 'mlruns' / 'studies.db'}", "dropout")
    check = "import sys\nassert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    done = run_python("-c", example + check)
    assert done.returncode == 0, done.stderr
    assert "0.2" in done.stdout


def test_importing_search_imports_nothing_that_it_may_need(run_python: RunPython) -> None:
    done = run_python("-c", "import sys, search; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pipeline", "pydantic", "optuna", "pandas", "tensorflow"}
    with pytest.raises(AttributeError, match="no attribute 'opne_study'"):
        search.__getattr__("opne_study")
