"""A study is renamed or deleted as a whole, and what was cut short the same command completes."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest

import search.publish
from pipeline.command.compose import from_yaml
from pipeline.command.errors import ConfigError, StoppedError
from pipeline.tracking import experiments
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.mlflow import MlflowTracker
from search.analysis.facts import Facts
from search.steering import moving
from search.steering.listing import one_of
from search.telling.runs import Records
from search.trial_table.lock import study_lock
from search.trial_table.storage import StorageConfig, open_storage, studies_in
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from tests.search.steering.on_record import a_study
from tests.search.test_report_command import values
from tests.search.verdicts import MEANS, by_mean, record, three

pytestmark = pytest.mark.slow  # a study database is opened a tenth of a second long

NONE = TrackingConfig(name="none", uri=None, report_seconds=None, keep_models=3)


class Place:
    """A user's folder with two studies, their weights and their summaries."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.config = StorageConfig(url=url, weights=str(folder / "weights"))
        self.summary = folder / "a.json"
        self.summary.write_text(json.dumps({"study": "a"}))
        self.uid = self.table("a").uid
        for name in "ab":
            self.weights(name, self.table(name).uid).save(0, [np.zeros(2)])

    def table(self, name: str) -> TrialTable:
        return TrialTable.load(self.url, name)

    def weights(self, name: str, uid: str) -> WeightStore:
        return WeightStore.of(self.config.weights, name, uid)

    def rename(
        self, tracking: TrackingConfig = NONE, before: str = "a", after: str = "c"
    ) -> list[str]:
        return moving.rename(self.config, tracking, before, after, self.summary)

    def delete(self, tracking: TrackingConfig = NONE, with_runs: bool = False) -> list[str]:
        return moving.delete(self.config, tracking, "a", with_runs, self.summary)

    @property
    def names(self) -> list[str]:
        storage = open_storage(self.url)
        try:
            return sorted(studies_in(storage))
        finally:
            storage.engine.dispose()

    def left_of(self, uid: str) -> int:
        """In how many rows of the database a uid stands."""
        file = self.url.removeprefix("sqlite:///")
        with sqlite3.connect(file) as database:
            (count,) = database.execute(
                "SELECT count(*) FROM study_user_attributes WHERE value_json LIKE ?", (f"%{uid}%",)
            ).fetchone()
        database.close()
        return int(count)


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    return Place(url, tmp_path)


def assert_renamed(place: Place) -> None:
    assert place.names == ["b", "c"]
    table = place.table("c")
    about = table.about()
    assert table.uid == place.uid
    assert [entry.state for entry in table.entries()] == ["complete", "pruned", "failed", "running"]
    assert about.name == "c"
    assert from_yaml(about.config)["study"]["name"] == "c"
    assert about.command == "python -m search.optimize +study=dropout train.epochs=3 study.name=c"
    assert Facts.of(about, table.entries()).ranking
    assert place.weights("c", place.uid).kept() == {0}
    assert not place.weights("a", place.uid).kept()
    assert not place.summary.exists()
    assert one_of(place.url, "c").half is None


def assert_deleted(place: Place) -> None:
    assert place.names == ["b"]
    assert place.left_of(place.uid) == 0
    assert not place.weights("a", place.uid).kept()
    assert not place.summary.exists()
    assert place.weights("b", place.table("b").uid).kept() == {0}
    assert len(place.table("b").entries()) == 3


def test_a_study_that_is_renamed_is_the_same_by_another_name(place: Place) -> None:
    said = place.rename()
    assert said[0] == "a is c now."
    assert "MLflow was not asked" in said[1]
    assert_renamed(place)
    a_study(place.url, "a")  # its old name is free
    assert place.table("a").entries() == []


def test_a_study_that_is_deleted_leaves_nothing_and_others_alone(place: Place) -> None:
    assert place.delete() == ["a: its trials are deleted, and the weights of its best."]
    assert_deleted(place)
    a_study(place.url, "a")
    assert place.table("a").uid != place.uid


def test_the_finalists_go_with_their_study(empty_url: str, tmp_path: Path) -> None:
    a_study(empty_url, "a", three())
    a_study(empty_url, "b")
    shutil.move(tmp_path / "empty.db", tmp_path / "of_a.db")
    url = f"sqlite:///{tmp_path / 'of_a.db'}"
    storage = open_storage(url)
    storage.delete_study(storage.get_study_id_from_name("b"))
    storage.engine.dispose()
    record(url, by_mean(MEANS))
    a_study(url, "b")
    place = Place(url, tmp_path)
    rows = place.table("a").beside(f"finalists.{place.uid}")
    assert rows is not None
    place.weights("a", rows.uid).save(1, [np.ones(2)])
    place.rename()
    assert place.weights("c", rows.uid).kept() == {1}
    study = one_of(url, "c")
    assert study.finalists is not None
    assert study.finalists.verdict is not None
    moving.delete(place.config, NONE, "c", False, place.summary)
    assert place.names == ["b"]
    assert place.weights("c", rows.uid).kept() == set()


def steps(does: str) -> list[str]:
    """Where a command may be cut short: each function that it calls, before and after."""
    weights = "search.trial_table.weights.WeightStore"
    table = {
        "rename": ["search.steering.moving.rename_study"],
        "delete": ["optuna.storages.RDBStorage.delete_study"],
    }
    return [
        "search.steering.moving._note",
        f"pipeline.tracking.experiments.{does}",
        {"rename": f"{weights}.move", "delete": f"{weights}.remove"}[does],
        "search.steering.moving._forget",
        *table[does],
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("does", "step"), [(does, step) for does in ("rename", "delete") for step in steps(does)]
)
def test_cut_short_at_any_step_the_same_command_completes_it(
    place: Place, does: str, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then no launch takes the study, and it can be looked at."""
    mlflow = TrackingConfig(
        name="mlflow", uri="sqlite:///not-there.db", report_seconds=None, keep_models=3
    )
    command: Callable[..., list[str]] = {
        "rename": lambda: place.rename(mlflow),
        "delete": lambda: place.delete(mlflow, with_runs=True),
    }[does]
    with monkeypatch.context() as patch:
        method = resolve_name(step)

        def cut(*arguments: Any, **named: Any) -> Any:
            if after:
                method(*arguments, **named)
            raise KeyboardInterrupt

        patch.setattr(step, cut)
        with pytest.raises(KeyboardInterrupt):
            command()
    begun = (step, after) != ("search.steering.moving._note", False)
    done = after and step.endswith(("rename_study", "delete_study"))
    if begun and not done:
        assert one_of(place.url, "a").state == f"half {does}d"
        with (
            pytest.raises(
                ConfigError, match=f"to {does} 'a' was cut short.*search.studies {does} a"
            ),
            study_lock(place.url, "a", wait=False),
        ):
            pytest.fail("a launch took a study that is half gone")
    if not done:
        command()
    {"rename": assert_renamed, "delete": assert_deleted}[does](place)


def test_what_was_begun_to_be_deleted_with_its_runs_is_deleted_with_them(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(moving, "_forget", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        place.delete(NONE, with_runs=True)
    monkeypatch.setattr(moving, "_forget", lambda *_: None)
    monkeypatch.setattr(experiments, "delete", lambda *_: asked.append(True) or 0)
    place.delete(NONE, with_runs=False)
    assert asked == [True]


def test_a_renaming_that_was_begun_is_not_turned_into_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(moving, "rename_study", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            place.rename()
    with pytest.raises(ConfigError, match=r"complete first what was begun: .* rename a c"):
        place.rename(after="d")
    with pytest.raises(ConfigError, match="to rename 'a' was cut short"):
        place.delete()
    place.rename()
    assert_renamed(place)


@pytest.mark.parametrize("held", ["a", "c"])
def test_while_a_launch_runs_nothing_is_renamed_or_deleted(place: Place, held: str) -> None:
    """Neither the study, nor one that is just being made under the new name."""
    with study_lock(place.url, held, wait=False):
        with pytest.raises(StoppedError, match=f"{held}: a launch of this study is running"):
            place.rename()
        if held == "a":
            with pytest.raises(StoppedError):
                place.delete()
    assert place.names == ["a", "b"]
    assert one_of(place.url, "a").half is None


@pytest.fixture
def mlflow(
    tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingConfig:
    monkeypatch.chdir(tmp_path)
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return TrackingConfig(name="mlflow", uri=uri, report_seconds=None, keep_models=3, report=False)


def publish(place: Place, tracking: TrackingConfig) -> None:
    words = ["tracking=mlflow", f"tracking.uri={tracking.uri}", "tracking.report=false"]
    assert search.publish.main(values(place.url, *words)) == 0


def in_mlflow(tracking: TrackingConfig) -> tuple[dict[str, str], list[tuple[str, str, str, str]]]:
    """The stage of every experiment by its name, and the active runs: experiment, name, uid, status."""
    file = str(tracking.uri).removeprefix("sqlite:///")
    with sqlite3.connect(file) as database:
        stages = dict(database.execute("SELECT name, lifecycle_stage FROM experiments"))
        runs = database.execute(
            "SELECT experiments.name, runs.name, tags.value, runs.status FROM runs "
            "JOIN experiments USING (experiment_id) JOIN tags USING (run_uuid) "
            "WHERE tags.key = 'uid' AND runs.lifecycle_stage = 'active' ORDER BY 1, 2"
        ).fetchall()
    database.close()
    return stages, runs


def test_runs_follow_their_study_and_publishing_finds_nothing_to_do(
    place: Place, mlflow: TrackingConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(place, mlflow)
    _, before = in_mlflow(mlflow)
    place.rename(mlflow)
    assert_renamed(place)
    stages, after = in_mlflow(mlflow)
    assert "a" not in stages
    moved = [
        ("c" if experiment == "a" else experiment, "c" if name == "a" else name, uid, status)
        for experiment, name, uid, status in before
    ]
    assert sorted(after) == sorted(moved)
    capsys.readouterr()
    publish(place, mlflow)
    assert "c: 0 runs published, 3 trials in all" in capsys.readouterr().out
    assert in_mlflow(mlflow) == (stages, after)


def test_runs_of_others_in_the_same_experiment_stay(
    place: Place, mlflow: TrackingConfig, tmp_path: Path
) -> None:
    """As of a study of that name in another database."""
    publish(place, mlflow)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    a_study(other, "a")
    table, tracker = TrialTable.load(other, "a"), MlflowTracker(str(mlflow.uri))
    tracker.publish(Records(table.about(), table.uid).of_study([], table.ending()))
    said = place.rename(mlflow)
    assert "which has runs of others" in said[1]
    _, runs = in_mlflow(mlflow)
    assert [uid for experiment, _, uid, _ in runs if experiment == "a"] == [table.uid]
    publish(place, mlflow)
    _, runs = in_mlflow(mlflow)
    assert len([uid for experiment, _, uid, _ in runs if experiment == "c"]) == 4
    moving.delete(place.config, mlflow, "c", True, place.summary)
    stages, runs = in_mlflow(mlflow)
    assert [uid for experiment, _, uid, _ in runs if experiment == "a"] == [table.uid]
    assert stages["a"] == "active"


def test_a_name_that_mlflow_has_already_is_refused_before_anything_is_done(
    place: Place, mlflow: TrackingConfig
) -> None:
    MlflowTracker(str(mlflow.uri)).client.create_experiment("c")
    with pytest.raises(ConfigError, match=r"MLflow has an experiment .* 'c' already"):
        place.rename(mlflow)
    assert place.names == ["a", "b"]
    assert one_of(place.url, "a").half is None


def test_deleted_runs_are_in_the_trash_and_a_new_study_of_that_name_gets_none_back(
    place: Place, mlflow: TrackingConfig
) -> None:
    publish(place, mlflow)
    said = place.delete(mlflow, with_runs=True)
    assert said[1].startswith("a: 4 of its runs are in MLflow's trash")
    assert_deleted(place)
    stages, runs = in_mlflow(mlflow)
    assert {experiment for experiment, *_ in runs} == {"b"}
    assert [stage for name, stage in stages.items() if name.startswith("a-deleted-")] == ["deleted"]
    a_study(place.url, "a")
    publish(place, mlflow)
    _, runs = in_mlflow(mlflow)
    assert [name for experiment, name, *_ in runs if experiment == "a"] == ["a"]


def test_without_being_asked_to_it_leaves_mlflow_alone(
    place: Place, mlflow: TrackingConfig
) -> None:
    publish(place, mlflow)
    before = in_mlflow(mlflow)
    place.delete(mlflow)
    assert_deleted(place)
    assert in_mlflow(mlflow) == before


def test_what_somebody_else_has_deleted_meanwhile_is_not_there(place: Place) -> None:
    place.delete()
    with pytest.raises(ConfigError, match="there is no study 'a'"):
        place.delete()
    with pytest.raises(ConfigError, match="there is no study 'a'"):
        place.rename()
