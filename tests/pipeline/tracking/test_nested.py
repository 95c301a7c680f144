"""Runs nested in another one stand below it in MLflow, whatever becomes of that."""

from dataclasses import replace

import pytest
from mlflow.entities import Run, ViewType

from pipeline.tracking.publisher import Change
from pipeline.tracking.record import RunRecord
from tests.pipeline.tracking.store import Store, finished


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_a_nested_run_is_linked_to_its_parent(store: Store, record: RunRecord, fresh: bool) -> None:
    tracker = store.tracker()
    tracker.publish(replace(record, uid="basket", name="the study"))
    parent = store.run().info.run_id
    if fresh:
        tracker = store.tracker()
    tracker.publish(replace(record, parent="basket"))
    tags = {run.data.tags["uid"]: run.data.tags for run in store.runs()}
    assert tags["apple"]["mlflow.parentRunId"] == parent
    assert "mlflow.parentRunId" not in tags["basket"]


def test_a_nested_run_waits_for_its_parent(store: Store, record: RunRecord) -> None:
    tracker = store.tracker()
    child = replace(record, parent="basket")
    with pytest.raises(KeyError, match="basket"):
        tracker.publish(child)
    tracker.publish(replace(record, uid="basket"))
    tracker.publish(child)
    assert len(store.runs()) == 2


def test_new_trials_of_a_deleted_study_come_under_the_study_restored(
    store: Store, record: RunRecord
) -> None:
    basket = replace(record, uid="basket", name="the study")
    store.tracker().publish(basket)
    parent = store.run().info.run_id
    store.client.delete_run(parent)
    tracker = store.tracker()
    assert tracker.publish(basket) == Change.RESTORED
    tracker.publish(replace(record, parent="basket"))
    tags = {run.data.tags["uid"]: run.data.tags for run in store.runs()}
    assert tags["apple"]["mlflow.parentRunId"] == parent
    assert "basket" in tags


def family(record: RunRecord) -> list[RunRecord]:
    """A run, one nested in it, and one nested in that."""
    return [
        finished(record, uid="basket"),
        finished(record, uid="apple", parent="basket"),
        finished(record, uid="seed", parent="apple"),
    ]


def shown(store: Store) -> dict[str, Run]:
    """The runs by uid, each below its parent and no other."""
    runs = {run.data.tags["uid"]: run for run in store.runs()}
    for uid, parent in (("apple", "basket"), ("seed", "apple")):
        assert runs[uid].data.tags["mlflow.parentRunId"] == runs[parent].info.run_id
    return runs


@pytest.mark.parametrize("fresh", [False, True], ids=["the same tracker", "a fresh tracker"])
def test_what_is_told_of_an_earlier_attempt_comes_below_the_next(
    store: Store, record: RunRecord, fresh: bool
) -> None:
    basket, apple, seed = family(record)
    tracker = store.tracker()
    for each in (basket, apple, seed):
        tracker.publish(each)
    before = shown(store)
    if fresh:
        tracker = store.tracker()
    tracker.publish(replace(basket, attempt=2))
    assert [run.data.tags["uid"] for run in store.runs()] == ["basket"]
    tracker.publish(replace(apple, attempt=2))
    assert tracker.publish(seed) == Change.RESTORED
    after = shown(store)
    assert after["basket"].info.run_id != before["basket"].info.run_id
    assert after["apple"].info.run_id != before["apple"].info.run_id
    assert after["seed"].info.run_id == before["seed"].info.run_id, "it was not begun anew"
    assert len(store.runs(ViewType.DELETED_ONLY)) == 2
    assert tracker.publish(seed) == Change.NOTHING


def test_a_run_whose_parent_was_made_anew_comes_below_the_new_one(
    store: Store, record: RunRecord
) -> None:
    basket, apple, seed = family(record)
    for each in (basket, apple, seed):
        store.tracker().publish(each)
    alone = store.client.create_run(store.run_of("apple").info.experiment_id)
    store.client.set_tag(store.run_of("seed").info.run_id, "mlflow.parentRunId", alone.info.run_id)
    assert store.tracker().publish(seed) == Change.PUBLISHED
    store.client.delete_run(alone.info.run_id)
    shown(store)
