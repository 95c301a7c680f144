"""search.replay as a command: what it takes, what it says, what it leaves, and its exit codes."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.cli import command
from pipeline.command.compose import to_yaml
from pipeline.command.errors import StorageError
from pipeline.data import Dataset
from pipeline.run.comparison import compare
from search.coordination.replay import recorded
from search.finalists import main as finalists
from search.publish import main as publish_main
from search.replay import main, spelled_out
from search.study.vocabulary import Entry
from search.telling.runs import Records
from search.trial_table.lock import study_lock
from search.trial_table.rows import certify
from search.trial_table.storage import open_storage
from search.trial_table.trials import TrialTable
from search.workers.stopping import Stopper
from tests.search.conftest import DATASET, study_of
from tests.search.coordination.launch import Launch, Play, first
from tests.search.fakes import diverges

pytestmark = pytest.mark.slow  # the default suite stays under three minutes

FAKE = ("launcher.trainer=tests.search.fakes.curve_trainer", "launcher.workers=1", "tracking=none")

Replay = Callable[..., tuple[int, str, str]]


def record(url: str, digits: Dataset, script: Play | None = None) -> TrialTable:
    """A study of four trials, described as a launch does."""
    launch = Launch(url, *([script] if script else []))
    launch.run(4)
    about = study_of(launch.setup).about(to_yaml(launch.setup.values), "python -m x")
    launch.table.describe(replace(about, dataset=replace(DATASET, digest=digits.digest)))
    return launch.table


@pytest.fixture
def run(url: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    """Runs the command in a folder of its own: exit code, output, errors."""
    del workdir

    def replayed(*words: str) -> tuple[int, str, str]:
        typed = spelled_out([f"storage.url={url}", *FAKE, *words])
        code = command(typed, main, "search.replay", "", lambda _: "")
        said = capsys.readouterr()
        return code, said.out, said.err

    return replayed


@pytest.fixture
def here(mlflow_database: Path, workdir: Path) -> str:
    """A tracker of the test's own."""
    return f"sqlite:///{shutil.copy(mlflow_database, workdir / 'mlflow.db')}"


def certificates(file: str = "replay.json") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(file).read_text())
    return found


def end_of(url: str, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Have the database tell something else of how trial `number` ended."""
    database = sqlite3.connect(url.removeprefix("sqlite:///"))
    with database:
        key = "FROM trial_user_attributes a JOIN trials t ON t.trial_id = a.trial_id"
        where = "WHERE t.number = ? AND a.key = 'end'"
        found = database.execute(
            f"SELECT a.trial_user_attribute_id, a.value_json {key} {where}", (number,)
        )
        place, text = found.fetchone()
        end = json.loads(text)
        change(end)
        database.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE trial_user_attribute_id = ?",
            (json.dumps(end), place),
        )
    database.close()


def test_all_trials_are_identical(url: str, digits: Dataset, run: Replay) -> None:
    record(url, digits)
    code, out, err = run("study.name=test", "trial=all", "replay.path=deep/mine.json")
    assert (code, err) == (0, "")
    found = certificates("deep/mine.json")
    assert {each["replay"] for each in found} == {"identical"}
    assert sorted(each["uid"][-2:] for each in found) == ["-0", "-1", "-2", "-3"]
    assert "4 of 4 identical" in out
    assert [path.name for path in Path("deep").iterdir()] == ["mine.json"]


def test_a_bit_that_changed_in_the_database_is_found(
    url: str, digits: Dataset, run: Replay
) -> None:
    entries = record(url, digits).entries()
    value = entries[2].history[1].metrics["val_loss"]
    other = value * (1 + 2**-52)
    assert other != value

    def change(end: dict[str, Any]) -> None:
        end["result"]["history"][1]["metrics"]["val_loss"] = other

    end_of(url, 2, change)
    code, out, _ = run("trial=[0,2]")
    assert code == 1
    assert "test, trial 0: identical" in out
    assert f"first val_loss at epoch 2: {other!r} recorded, {value!r} now" in out
    assert "1 of 2 identical" in out
    by_uid = {each["uid"][-1]: each for each in certificates()}
    assert by_uid["2"]["first"] == {
        "epoch": 2,
        "metric": "val_loss",
        "recorded": other,
        "replayed": value,
    }


def test_what_changed_since_is_said_before_it_is_trained_and_stands_in_the_certificate(
    url: str, digits: Dataset, run: Replay
) -> None:
    record(url, digits)

    def change(end: dict[str, Any]) -> None:
        end["worker"]["code.commit"] = "a1b2c3"

    end_of(url, 1, change)
    code, out, _ = run("trial=1")
    assert code == 0, out
    before, identical = out.index("its environment was another"), out.index("identical")
    assert before < identical
    assert "code.commit a1b2c3 -> none" in out[before:identical]
    assert certificates()[0]["changed"] == ["code.commit a1b2c3 -> none"]


@pytest.mark.parametrize(
    ("words", "threads"), [((), "1"), (("launcher.threads_per_worker=3",), "3")]
)
def test_a_run_gets_its_own_threads_unless_others_are_typed(
    url: str, digits: Dataset, run: Replay, words: tuple[str, ...], threads: str
) -> None:
    record(url, digits)
    run("trial=best", *words)
    assert certificates()[0]["replayed"]["environment"]["threads"] == threads


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("trial=4",), "test has 4 trials, counted from 0, got 4"),
        (("trial=3",), "trial 3 of test is failed: loss is nan at epoch 2"),
        (
            ("trial=worst",),
            "replay.trial: expected a number, a list of them, best, all, none or finalists",
        ),
        (("trial=[]",), "replay.trial: expected a number"),
        (("trial=-1",), "replay.trial: expected a number"),
        (("trial=true",), "replay.trial: expected a number"),
        (("trial=1.5",), "replay.trial: expected a number"),
        (("trial=null",), "replay.trial: expected a number"),
        (("trial=finalists",), "test: no run of finalists has a result yet"),
        (("study.name=other",), "there is no study 'other'"),
        (("replay.path=''",), "replay.path"),
    ],
)
def test_what_can_not_be_asked_is_refused_before_anything_is_written(
    url: str, digits: Dataset, run: Replay, words: tuple[str, ...], rule: str
) -> None:
    record(url, digits, first(diverges, 3))
    code, _, err = run(*words)
    assert code == 2
    assert rule in err
    assert not list(Path().glob("*replay*"))


def test_trials_without_a_result_are_left_out_of_all(
    url: str, digits: Dataset, run: Replay
) -> None:
    record(url, digits, first(diverges, 3))
    code, out, _ = run("trial=all")
    assert (code, len(certificates())) == (0, 3)
    assert "3 of 3 identical" in out


def test_other_data_are_unavailable(url: str, digits: Dataset, run: Replay) -> None:
    table = record(url, digits)
    table.describe(replace(table.about(), dataset=DATASET))
    code, _, err = run("trial=0")
    assert code == 69
    assert "these are not the data of test" in err


def test_a_file_that_can_not_be_written_is_told_before_anything_is_trained(
    url: str, digits: Dataset, run: Replay
) -> None:
    record(url, digits)
    Path("there").mkdir()
    code, out, err = run("trial=0", "replay.path=there")
    assert code == 74
    assert "replay.path: there can't be written" in err
    assert "identical" not in out


def test_the_run_in_mlflow_has_the_verdict_and_the_certificate(
    url: str, digits: Dataset, run: Replay, here: str
) -> None:
    from pipeline.tracking.mlflow import MlflowClient, MlflowTracker

    table = record(url, digits)
    tracker = MlflowTracker(here)
    entries: list[Entry] = table.entries()
    records = Records(table.about(), table.uid)
    tracker.publish(records.of_study(entries, None))
    tracker.publish(records.of_trial(entries[1]))
    code, _, err = run("trial=[0,1]", "tracking=mlflow", f"tracking.uri={here}")
    assert code == 0
    assert "1 of the runs are not published" in err
    assert tracker.tags("test", entries[1].uid)["replay"] == "identical"
    client = MlflowClient(tracking_uri=here)
    experiment = client.get_experiment_by_name("test")
    found = client.search_runs([experiment.experiment_id], "tags.replay = 'identical'")
    assert [run.data.tags["trial.number"] for run in found] == ["1"]
    assert "replay.json" in {file.path for file in client.list_artifacts(found[0].info.run_id)}


def test_a_tracker_that_is_down_takes_no_certificate_away(
    url: str, digits: Dataset, run: Replay
) -> None:
    record(url, digits)
    code, out, err = run("trial=0", "tracking=mlflow", "tracking.uri=http://ada:secret@127.0.0.1:9")
    assert (code, len(certificates())) == (0, 1)
    assert "1 of 1 identical" in out
    assert "the certificates could not be logged" in err
    assert "secret" not in err


def test_a_replay_that_is_stopped_says_how_much_is_missing(
    url: str, digits: Dataset, run: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(url, digits)
    monkeypatch.setattr(Stopper, "expired", True)
    code, _, err = run("trial=all")
    assert code == 75
    assert "stopped, 4 runs are not trained again yet; replay.json has the others'" in err
    assert certificates() == []


def test_the_runs_of_finalists_are_replayed_too(url: str, digits: Dataset, run: Replay) -> None:
    table = record(url, digits)
    few = ("top=1", "seeds=2", "step=1", "max_seeds=2", "confirm=2")
    words = [f"storage.url={url}", *FAKE, *(f"finalists.{word}" for word in few)]
    assert command(words, finalists, "search.finalists", "", lambda _: "") in (0, 1)
    code, out, _ = run("trial=finalists")
    assert code == 0, out
    rows = TrialTable.load(url, "test").beside(f"finalists.{table.uid}")
    assert rows is not None
    assert len(rows.entries()) > 2
    assert {each["uid"] for each in certificates()} == {row.uid for row in rows.entries()}
    verdicts = [row.certificate and row.certificate.replay for row in rows.entries()]
    assert verdicts == ["identical"] * len(rows.entries())
    assert "test, run of finalists 0: identical" in out


def test_the_rows_keep_the_certificates_the_latest_one_each(
    url: str, digits: Dataset, run: Replay
) -> None:
    before = record(url, digits).entries()
    assert run("trial=[0,2]")[0] == 0
    after = TrialTable.load(url, "test").entries()
    kept = {entry.number: entry.certificate for entry in after if entry.certificate}
    assert [kept[number].model_dump(mode="json") for number in (0, 2)] == certificates()
    assert [replace(entry, certificate=None) for entry in after] == before

    def change(end: dict[str, Any]) -> None:
        end["result"]["value"] += 1.0

    end_of(url, 2, change)
    assert run("trial=2")[0] == 1
    rows = TrialTable.load(url, "test").entries()
    verdicts = [entry.certificate and entry.certificate.replay for entry in rows]
    assert verdicts == ["identical", None, "differs", None]


@pytest.mark.parametrize("again", [False, True], ids=["published before", "published after"])
def test_a_replay_without_a_tracker_is_published_later(
    url: str, digits: Dataset, run: Replay, here: str, again: bool
) -> None:
    from pipeline.tracking.mlflow import MlflowClient, MlflowTracker

    table = record(url, digits)
    words = [f"storage.url={url}", f"tracking.uri={here}", "tracking.report=false"]

    def publish() -> int:
        return command(words, publish_main, "search.publish", "", lambda _: "")

    if not again:
        assert publish() == 0
        assert TrialTable(open_storage(url), "test").is_published(here, table.ending().status)
    assert run("trial=1")[0] == 0
    later = TrialTable(open_storage(url), "test")
    assert not later.is_published(here, later.ending().status), "a launch must look"
    assert publish() == 0
    uids = [entry.uid for entry in later.entries()]
    tags = [MlflowTracker(here).tags("test", uid).get("replay") for uid in uids]
    assert tags == [None, "identical", None, None]
    client = MlflowClient(tracking_uri=here)
    experiment = client.get_experiment_by_name("test")
    (found,) = client.search_runs([experiment.experiment_id], "tags.replay = 'identical'")
    file = Path(client.download_artifacts(found.info.run_id, "replay.json"))
    assert json.loads(file.read_text()) == certificates()
    history = client.get_metric_history(found.info.run_id, "val_loss")
    assert [point.step for point in history] == [1, 2, 3, 4]
    assert publish() == 0


def test_publishing_a_certificate_twice_changes_nothing(
    url: str, digits: Dataset, run: Replay, here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record(url, digits)
    words = [f"storage.url={url}", f"tracking.uri={here}", "tracking.report=false"]
    said = []
    for _ in range(2):
        assert run("trial=1")[0] == 0
        for _ in range(2):
            assert command(words, publish_main, "search.publish", "", lambda _: "") == 0
            said.append(capsys.readouterr().out.split(",")[0])
    assert said == ["test: 5 runs published", *["test: 0 runs published"] * 3]


def test_a_study_that_is_running_gets_no_second_writer(
    url: str, digits: Dataset, run: Replay
) -> None:
    record(url, digits)
    with study_lock(url, "test", wait=False):
        code, out, err = run("trial=0")
    assert code == 0
    assert "1 of 1 identical" in out
    assert "its trial table does not have the certificates: another launch" in err
    assert [entry.certificate for entry in TrialTable.load(url, "test").entries()] == [None] * 4
    assert run("trial=0")[::2] == (0, "")
    assert TrialTable.load(url, "test").entries()[0].certificate is not None


def test_a_table_that_can_not_be_written_takes_no_verdict_away(
    url: str, digits: Dataset, run: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(url, digits)

    def fails(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("search.setup.replay.certify", fails)
    code, out, err = run("trial=0")
    assert (code, len(certificates())) == (0, 1)
    assert "1 of 1 identical" in out
    assert "the disk is full (the same command, later, records them; replay.json has them)" in err


def test_a_certificate_that_was_damaged_is_named(url: str, digits: Dataset, run: Replay) -> None:
    record(url, digits)
    run("trial=0")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE trial_user_attributes SET value_json='{}' WHERE key='replay'")
    database.close()
    with pytest.raises(StorageError, match="trial 0 of 'test' can't be read: "):
        TrialTable.load(url, "test")


def test_the_rows_of_another_study_of_that_name_keep_what_they_have(
    url: str, digits: Dataset
) -> None:
    entry = record(url, digits).entries()[0]
    one = compare("a", "another-0", "val_loss", recorded(entry), recorded(entry))
    with study_lock(url, "test", wait=False) as storage:
        certify(storage, "test", [one])
    assert TrialTable.load(url, "test").entries()[0].certificate is None
