"""The command `python -m pipeline.replay`: one run again, from what MLflow has of it alone."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from pipeline import train
from pipeline.command.cli import command
from pipeline.replay import main, spelled_out

pytestmark = pytest.mark.slow  # the default suite stays under three minutes

SMALL = ("data=digits", "model.depth=1", "model.hidden_units=64", "train.batch_size=32")
RUN = (*SMALL, "train.epochs=6", "train.patience=1", "train.min_delta=0.2", "model.dropout=0.25")

Replay = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database of one run, which is stopped early."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        where = f"tracking.uri=sqlite:///{folder / 'mlflow.db'}"
        assert command([*RUN, where], train.main, "pipeline.train", "", lambda _: "") == 0
    return folder


@pytest.fixture
def clone(recorded: Path, workdir: Path) -> Path:
    """The database alone, in another folder: none of its artifacts."""
    shutil.copy(recorded / "mlflow.db", workdir)
    return workdir / "mlflow.db"


@pytest.fixture
def run_id(recorded: Path) -> str:
    ((found,),) = sqlite3.connect(recorded / "mlflow.db").execute("SELECT run_uuid FROM runs")
    return str(found)


@pytest.fixture
def replay(clone: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> Replay:
    """Runs the command: exit code, output, errors."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")

    def replayed(*words: str) -> tuple[int, str, str]:
        typed = spelled_out([f"tracking.uri=sqlite:///{clone}", *words])
        code = command(typed, main, "pipeline.replay", "", lambda _: "")
        said = capsys.readouterr()
        return code, said.out, said.err

    return replayed


def change(clone: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(clone) as database:
        assert database.execute(statement, values).rowcount > 0
    database.close()


def test_a_run_of_a_version_that_had_fewer_settings_is_replayed_too(
    replay: Replay, clone: Path, run_id: str
) -> None:
    change(clone, "DELETE FROM params WHERE key IN ('train.weight_decay', 'train.schedule')")
    code, out, _ = replay(run_id)
    assert (code, "identical" in out) == (0, True)


def certificate() -> dict[str, Any]:
    (found,) = json.loads(Path("replay.json").read_text())
    return dict(found)


def test_a_run_is_identical_on_the_strength_of_the_database_alone(
    replay: Replay, clone: Path, run_id: str
) -> None:
    code, out, err = replay(run_id)
    assert (code, err) == (0, ""), out
    assert "runs, 1 x 64 adam dropout=0.25: identical" in out
    found = certificate()
    assert (found["replay"], found["weights"], found["changed"]) == ("identical", "identical", [])
    assert found["compared"] > 4 * 2, "every metric of every epoch, and what is measured once"
    assert found["recorded"] == found["replayed"]
    client = MlflowClient(tracking_uri=f"sqlite:///{clone}")
    assert client.get_run(run_id).data.tags["replay"] == "identical"
    assert "replay.json" in {file.path for file in client.list_artifacts(run_id)}


def test_a_bit_that_changed_in_the_database_is_found(
    replay: Replay, clone: Path, run_id: str
) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{clone}")
    value = client.get_metric_history(run_id, "val_loss")[1].value
    other = value * (1 + 2**-52)
    assert other != value
    where = "WHERE key = 'val_loss' AND step = 2"
    change(clone, f"UPDATE metrics SET value = ? {where}", other)
    code, out, _ = replay(f"run={run_id}")
    assert code == 1
    assert f"first val_loss at epoch 2: {other!r} recorded, {value!r} now" in out
    assert certificate()["damaged"]
    assert client.get_run(run_id).data.tags["replay"] == "differs"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE tags SET value = 'f00' WHERE key = 'digest.weights'", "weights f00 recorded"),
        ("UPDATE params SET value = '7' WHERE key = 'train.seed'", "first accuracy at epoch 1"),
        (
            "UPDATE metrics SET value = 1 WHERE key = 'system/best_epoch'",
            "first best_epoch at the end: 1",
        ),
        (
            "UPDATE metrics SET value = 0.5 WHERE key = 'test_recall'",
            "first test_recall at the end",
        ),
        ("DELETE FROM metrics WHERE step = 2", "first accuracy at epoch 2: None recorded"),
    ],
)
def test_whatever_of_a_run_was_changed_is_named(
    replay: Replay, clone: Path, run_id: str, statement: str, said: str
) -> None:
    change(clone, statement)
    code, out, _ = replay(run_id)
    assert (code, certificate()["replay"]) == (1, "differs")
    assert said in out


def test_a_run_of_a_version_whose_metrics_had_no_prefixes_is_read(
    replay: Replay, clone: Path, run_id: str
) -> None:
    for table in ("metrics", "latest_metrics"):
        change(clone, f"UPDATE {table} SET key = substr(key, 8) WHERE key LIKE 'system/%'")
    code, out, err = replay(run_id)
    assert code == 0, out + err


def test_what_changed_since_is_said_before_it_is_trained(
    replay: Replay, clone: Path, run_id: str
) -> None:
    change(clone, "UPDATE tags SET value = '2.0' WHERE key = 'version.tensorflow'")
    code, out, _ = replay(run_id)
    assert code == 0
    before, after = (
        out.index("its environment was another: tensorflow 2.0 -> "),
        out.index("identical"),
    )
    assert before < after


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE runs SET status = 'RUNNING'", "is still running"),
        ("UPDATE runs SET status = 'FAILED'", "is FAILED"),
        ("UPDATE runs SET status = 'KILLED'", "is KILLED"),
        ("UPDATE runs SET lifecycle_stage = 'deleted'", "is in MLflow's trash"),
        ("DELETE FROM params WHERE key = 'train.seed'", "it has no train.seed"),
        ("DELETE FROM params", "is no training that Plumbline has on record"),
        ("DELETE FROM tags WHERE key = 'data.digest'", "it has no data.digest"),
        ("DELETE FROM latest_metrics WHERE key = 'objective'", "has no objective"),
    ],
)
def test_a_run_that_can_not_be_asked_is_refused_before_anything_is_written(
    replay: Replay, clone: Path, run_id: str, statement: str, rule: str
) -> None:
    change(clone, statement)
    code, out, err = replay(run_id)
    assert (code, out) == (2, "")
    assert rule in err
    assert not Path("replay.json").exists()


def test_a_trial_that_went_on_from_another_is_trained_whole_where_its_record_is(
    replay: Replay, clone: Path, run_id: str
) -> None:
    for tag, value in (("trial.continues", "3"), ("trial.number", "7")):
        change(
            clone, "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tag, value, run_id
        )
    assert replay(run_id)[0] == 0
    Path("replay.json").unlink()
    change(clone, "DELETE FROM metrics WHERE step = 1")
    code, out, err = replay(run_id)
    assert (code, out) == (2, "")
    assert "python -m search.replay study.name=runs trial=7 trains both again" in err
    assert not Path("replay.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        ((), 2, "run: is missing"),
        (("0" * 32,), 2, f"there is no run {'0' * 32} in sqlite:///"),
        (("1e5",), 2, "there is no run 1e5 in sqlite:///"),
        (("RUN", "tracking=none"), 2, "tracking: is off"),
        (("RUN", "tracking.uri=sqlite:///other.db"), 69, "tracking.uri: there is no "),
        (("RUN", "tracking.uri=http://ada:secret@127.0.0.1:9"), 69, "can't be asked: "),
        (("RUN", "replay.path=''"), 2, "replay.path"),
        (("RUN", "launcher.threads_per_worker=0"), 2, "launcher.threads_per_worker"),
        (("RUN", "--config-dir", "elsewhere"), 2, "there is no config.yaml in "),
    ],
)
def test_what_can_not_be_had_is_told_with_its_exit_code(
    replay: Replay, run_id: str, words: tuple[str, ...], code: int, rule: str
) -> None:
    typed = [run_id if word == "RUN" else word for word in words]
    ended, out, err = replay(*typed)
    assert (ended, out) == (code, "")
    assert rule in err
    assert "secret" not in err
    assert not [path for path in Path().iterdir() if path.name != "mlflow.db"]


def test_other_data_are_unavailable(replay: Replay, clone: Path, run_id: str) -> None:
    change(clone, "UPDATE tags SET value = 'another' WHERE key = 'data.digest'")
    code, _, err = replay(run_id)
    assert code == 69
    assert "these are not the data of runs, 1 x 64" in err
    assert not Path("replay.json").exists()
