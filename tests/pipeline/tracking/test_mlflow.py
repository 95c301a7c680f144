"""MLflow as a projection: however often and in whatever pieces a record is told, it is there once."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.tracking.publisher import Change
from pipeline.tracking.record import Point, RunRecord
from tests.pipeline.tracking.store import DIGEST, Store, finished, points


def pairs(curve: list[Metric]) -> list[tuple[int, float, int]]:
    return sorted((metric.step, metric.value, metric.timestamp) for metric in curve)


def test_a_run_is_tracked_with_its_name_params_tags_curve_and_times(
    store: Store, record: RunRecord
) -> None:
    store.tracker().publish(record)
    run = store.run()
    assert run.info.run_name == "a run"
    assert run.info.status == "RUNNING"
    assert run.info.start_time == 1_000_500
    assert run.data.params == {"model.dropout": "0.3", "train.seed": "0"}
    assert run.data.tags["device"] == "cpu"
    assert run.data.tags["uid"] == "apple"
    assert pairs(store.curve("loss")) == [(1, 0.1, 1_001_500), (2, 0.2, 1_002_500)]


def test_an_ended_run_has_its_time_final_metrics_and_texts(store: Store, record: RunRecord) -> None:
    texts = {"model_summary.txt": "a table", "below/more.txt": "ünder"}
    tags = {"device": "cpu", "state": "pruned"}
    store.tracker().publish(finished(record, tags=tags, texts=texts))
    run = store.run()
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_010_250)
    assert run.data.metrics == {"loss": 0.3, "val_loss": 0.3, "objective": 0.25}
    assert run.data.tags["state"] == "pruned"
    for path, text in texts.items():
        file = Path(store.client.download_artifacts(run.info.run_id, path))
        assert file.read_text(encoding="utf-8") == text


def test_a_run_is_called_as_its_end_says(store: Store, record: RunRecord) -> None:
    tracker = store.tracker()
    tracker.publish(record)
    tracker.publish(finished(record, name="a run, pruned"))
    run = store.run()
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "a run, pruned"
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_010_250)
    assert not tracker.publish(finished(record, name="a run, pruned"))


def test_metrics_that_a_version_before_called_otherwise_are_there_under_both_names(
    store: Store, record: RunRecord
) -> None:
    before = finished(record, name="000 before")
    store.tracker().publish(before)
    renamed = tuple(
        p._replace(metric="system/x") if p.metric == "objective" else p for p in before.points
    )
    now = replace(before, name="0: now", points=renamed)
    assert store.tracker().publish(now) == Change.PUBLISHED
    run = store.run()
    assert (run.data.metrics["objective"], run.data.metrics["system/x"]) == (0.25, 0.25)
    assert (run.info.run_name, run.info.status, run.info.end_time) == (
        "0: now",
        "FINISHED",
        1_010_250,
    )
    assert len(store.curve("loss")) == 3
    assert store.tracker().publish(now) == Change.NOTHING


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
@pytest.mark.parametrize("ended", [False, True], ids=["running", "ended"])
def test_publishing_again_makes_no_duplicates(
    store: Store, record: RunRecord, fresh: bool, ended: bool
) -> None:
    told = finished(record) if ended else record
    tracker = store.tracker()
    assert tracker.publish(told)
    before = store.run()
    curve = pairs(store.curve("loss"))
    for _ in range(2):
        tracker = store.tracker() if fresh else tracker
        changed = tracker.publish(told)
        assert not (ended and changed), "it says that nothing was left to do"
    after = store.run()
    assert after.to_dictionary() == before.to_dictionary()
    assert pairs(store.curve("loss")) == curve
    assert len(after.inputs.dataset_inputs) == 1


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_a_growing_record_grows_its_run(store: Store, record: RunRecord, fresh: bool) -> None:
    tracker = store.tracker()
    for epochs in (0, 1, 3):
        tracker = store.tracker() if fresh else tracker
        tracker.publish(replace(record, points=points(epochs)))
        if epochs:
            assert [metric.step for metric in store.curve("loss")] == list(range(1, epochs + 1))
    tracker.publish(finished(record))
    assert [metric.step for metric in store.curve("val_loss")] == [1, 2, 3]
    assert store.run().info.status == "FINISHED"
    assert store.run().info.start_time == 1_000_500


def test_more_points_than_a_batch_holds_are_all_there(store: Store, record: RunRecord) -> None:
    many = tuple(Point("loss", float(step), step, 1000.0 + step) for step in range(2050))
    store.tracker().publish(replace(record, points=many))
    assert [metric.step for metric in store.curve("loss")] == list(range(2050))


def test_a_cut_short_attempt_is_moved_to_the_trash_and_replaced(
    store: Store, record: RunRecord
) -> None:
    store.tracker().publish(record)
    cut_short = store.run().info.run_id
    tracker = store.tracker()
    second = replace(record, attempt=2, points=points(1), started_at=2000.0)
    tracker.publish(second)
    run = store.run()
    assert run.info.run_id != cut_short
    assert run.data.tags["attempt"] == "2"
    assert run.info.start_time == 2_000_000
    assert [metric.step for metric in store.curve("loss")] == [1]
    (deleted,) = store.runs(ViewType.DELETED_ONLY)
    assert deleted.info.run_id == cut_short
    store.tracker().publish(finished(second))
    assert store.run().info.run_id == run.info.run_id
    assert len(store.runs(ViewType.ALL)) == 2


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_an_ended_run_is_not_touched_again(store: Store, record: RunRecord, fresh: bool) -> None:
    tracker = store.tracker()
    tracker.publish(finished(record))
    run_id = store.run().info.run_id
    store.client.set_tag(run_id, "mlflow.note.content", "mine")
    store.client.set_tag(run_id, "device", "edited by hand")
    if fresh:
        tracker = store.tracker()
    tracker.publish(finished(record, name="another", points=points(9)))
    run = store.run()
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_010_250)
    assert [metric.step for metric in store.curve("loss")] == [1, 2, 3]
    assert run.data.tags["device"] == "edited by hand"
    assert run.data.tags["mlflow.note.content"] == "mine"


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_an_ended_run_that_went_on_unseen_shows_its_later_end(
    store: Store, record: RunRecord, fresh: bool
) -> None:
    """A study that was topped up while the tracker was away."""
    tracker = store.tracker()
    tracker.publish(finished(record, status="KILLED"))
    if fresh:
        tracker = store.tracker()
    more = (*finished(record).points, Point("objective", 0.5, 1, 1020.0))
    assert tracker.publish(finished(record, points=more, ended_at=1020.5))
    run = store.run()
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_020_500)
    assert pairs(store.curve("objective")) == [(0, 0.25, 1_010_000), (1, 0.5, 1_020_000)]
    assert not tracker.publish(finished(record, points=more, ended_at=1020.5))


def test_of_two_runs_of_one_record_one_stays(store: Store, record: RunRecord) -> None:
    """A server can be so slow that a run, given up and made again, is there twice."""
    store.tracker().publish(record)
    experiment = store.client.get_experiment_by_name(store.experiment)
    assert experiment is not None
    store.client.create_run(
        experiment.experiment_id, start_time=1_000_500, tags={"uid": "apple", "attempt": "1"}
    )
    store.tracker().publish(finished(record))
    assert store.run().info.status == "FINISHED"
    assert [metric.step for metric in store.curve("loss")] == [1, 2, 3]


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_an_ended_run_that_goes_on_is_reopened(
    store: Store, record: RunRecord, fresh: bool
) -> None:
    tracker = store.tracker()
    tracker.publish(finished(record))
    run_id = store.run().info.run_id
    if fresh:
        tracker = store.tracker()
    again = replace(finished(record), status="RUNNING", ended_at=None)
    tracker.publish(again)
    assert store.run().info.status == "RUNNING"
    more = (*again.points, Point("objective", 0.5, 1, 1020.0))
    tracker.publish(finished(record, points=more, ended_at=1020.5))
    run = store.run()
    assert run.info.run_id == run_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_020_500)
    assert pairs(store.curve("objective")) == [(0, 0.25, 1_010_000), (1, 0.5, 1_020_000)]
    assert [metric.step for metric in store.curve("loss")] == [1, 2, 3]


def test_the_data_set_is_an_input_with_its_digest_and_shapes(
    store: Store, record: RunRecord
) -> None:
    store.tracker().publish(record)
    (given,) = store.run().inputs.dataset_inputs
    assert given.dataset.name == "digits"
    assert given.dataset.digest == DIGEST[:32]
    assert DIGEST in given.dataset.profile
    assert "[1437, 8, 8]" in given.dataset.profile
    assert "scikit-learn" in given.dataset.source
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_the_status_is_the_record_s(store: Store, record: RunRecord, status: str) -> None:
    store.tracker().publish(finished(record, status=status))
    assert store.run().info.status == status


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_a_deleted_run_is_restored_and_goes_on(
    store: Store, record: RunRecord, status: str
) -> None:
    before = record if status == "RUNNING" else finished(record)
    store.tracker().publish(before)
    run_id = store.run().info.run_id
    store.client.delete_run(run_id)
    assert store.tracker().publish(finished(record)) == Change.RESTORED
    run = store.run()
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert [metric.step for metric in store.curve("loss")] == [1, 2, 3]
    assert store.tracker().publish(finished(record)) == Change.NOTHING


def test_a_run_deleted_under_the_tracker_is_restored_at_its_next_look(
    store: Store, record: RunRecord
) -> None:
    tracker = store.tracker()
    tracker.publish(record)
    store.client.delete_run(store.run().info.run_id)
    with pytest.raises(MlflowException):  # it did not know yet
        tracker.publish(finished(record))
    assert tracker.publish(finished(record)) == Change.RESTORED
    assert store.run().info.status == "FINISHED"


def test_a_deleted_experiment_is_restored_for_what_comes(store: Store, record: RunRecord) -> None:
    store.tracker().publish(finished(record))
    experiment = store.client.get_experiment_by_name(store.experiment)
    assert experiment is not None
    store.client.delete_experiment(experiment.experiment_id)
    store.tracker().publish(replace(record, uid="pear"))
    assert "pear" in {run.data.tags["uid"] for run in store.runs()}


@pytest.mark.parametrize(
    "step", ["create_run", "log_inputs", "log_batch", "log_artifacts", "set_terminated"]
)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_an_error_at_any_step_is_made_good_by_publishing_again(
    store: Store, record: RunRecord, monkeypatch: pytest.MonkeyPatch, step: str, done: bool
) -> None:
    """A server may fail before or after it did what it was asked to; a mock is the only way to say when."""
    original: Callable[..., Any] = getattr(MlflowClient, step)
    failures = iter([ConnectionError("cut off")])

    def faulty(self: MlflowClient, *arguments: Any, **named: Any) -> Any:
        failure = next(failures, None)
        if failure is not None and not done:
            raise failure
        result = original(self, *arguments, **named)
        if failure is not None:
            raise failure
        return result

    monkeypatch.setattr(MlflowClient, step, faulty)
    tracker = store.tracker()
    with pytest.raises(ConnectionError):
        tracker.publish(finished(record))
    tracker.publish(finished(record))
    run = store.run()
    assert len(store.runs(ViewType.ALL)) == 1
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_010_250)
    assert run.data.params == record.params
    assert [metric.step for metric in store.curve("loss")] == [1, 2, 3]
    assert len(run.inputs.dataset_inputs) == 1
    text = Path(store.client.download_artifacts(run.info.run_id, "model_summary.txt"))
    assert text.read_text() == "a table"


def test_runs_are_found_again_beyond_the_first_page(store: Store, record: RunRecord) -> None:
    """A page of MLflow's search holds a thousand runs; here it holds two."""
    tracker = store.tracker()
    for uid in ("apple", "pear", "plum", "fig", "grape"):
        tracker.publish(replace(record, uid=uid, points=()))
    original = MlflowClient.search_runs

    def small_pages(self: MlflowClient, *arguments: Any, **named: Any) -> Any:
        return original(self, *arguments, **{**named, "max_results": 2})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "search_runs", small_pages)
        fresh = store.tracker()
        for uid in ("apple", "pear", "plum", "fig", "grape"):
            fresh.publish(replace(record, uid=uid, points=()))
    assert len(store.runs(ViewType.ALL)) == 5


def test_runs_that_come_back_with_their_experiment_are_told(
    store: Store, record: RunRecord
) -> None:
    whole = finished(record)
    assert store.tracker().publish(whole) == Change.PUBLISHED
    found = store.client.get_experiment_by_name(store.experiment)
    assert found is not None
    store.client.delete_experiment(found.experiment_id)
    tracker = store.tracker()
    assert [tracker.publish(whole) for _ in range(2)] == [Change.RESTORED, Change.NOTHING]
    assert store.run().data.tags["uid"] == record.uid


def test_files_that_were_removed_are_published_again(store: Store, record: RunRecord) -> None:
    whole = finished(record)
    store.tracker().publish(whole)
    before = store.run()
    folder = Path(before.info.artifact_uri)
    shutil.rmtree(folder)
    assert not store.tracker().has(store.experiment, record.uid, "model_summary.txt")
    tracker = store.tracker()
    assert [tracker.publish(whole) for _ in range(2)] == [Change.PUBLISHED, Change.NOTHING]
    assert (folder / "model_summary.txt").read_text() == "a table"
    after = store.run()
    assert after.to_dictionary() == before.to_dictionary()
    assert len(store.curve("loss")) == 3
    assert tracker.has(store.experiment, record.uid, "model_summary.txt")
