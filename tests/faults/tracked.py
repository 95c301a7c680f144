"""What an MLflow database has of a study, read past MLflow's client."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from pipeline.tracking.record import metric_name
from search.study.vocabulary import Entry
from tests.faults.launch import LONG


@dataclass(frozen=True)
class TrackedRun:
    """A run in an MLflow database, `run` by its id: `metrics` by (name, step) are [(value, milliseconds)]."""

    run: str
    status: str
    start: int
    end: int | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[tuple[str, int], list[tuple[float, int]]]


def tracked(database: Path, experiment: str) -> list[TrackedRun]:
    """The active runs of an experiment, read past MLflow's client."""
    with contextlib.closing(sqlite3.connect(database, timeout=LONG)) as connection:
        ask = connection.execute
        runs = ask(
            "SELECT run_uuid, status, start_time, end_time FROM runs JOIN experiments USING "
            "(experiment_id) WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'",
            [experiment],
        ).fetchall()
        found = []
        for run, status, start, end in runs:
            metrics: dict[tuple[str, int], list[tuple[float, int]]] = {}
            rows = ask("SELECT key, step, value, timestamp FROM metrics WHERE run_uuid = ?", [run])
            for key, step, value, at in rows:
                metrics.setdefault((key, step), []).append((value, at))
            tags = dict(ask("SELECT key, value FROM tags WHERE run_uuid = ?", [run]).fetchall())
            params = dict(ask("SELECT key, value FROM params WHERE run_uuid = ?", [run]).fetchall())
            found.append(TrackedRun(run, status, start, end, tags, params, metrics))
        return found


def assert_tracked(
    database: Path, entries: list[Entry], uid: str, experiment: str, retried: int = 0
) -> None:
    """One run for every trial and one for the study, each ended, with the table's points at its times.

    `retried`: how many trials were tried again after they had failed.
    """
    runs = tracked(database, experiment)
    by_uid = {run.tags.get("uid", "?"): run for run in runs}
    assert sorted(run.tags.get("uid", "?") for run in runs) == sorted(
        [uid, *(entry.uid for entry in entries)]
    )
    assert by_uid[uid].status == "FINISHED"
    statuses = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
    for entry in entries:
        run = by_uid[entry.uid]
        assert run.status == statuses[entry.state]
        assert run.tags["trial.state"] == entry.state
        assert run.params == entry.settings
        assert run.start == round(entry.started_at * 1000)
        assert entry.ended_at is not None
        assert run.end == round(entry.ended_at * 1000)
        expected = {
            (metric, epoch.epoch): [(value, round(epoch.finished_at * 1000))]
            for epoch in entry.history
            for metric, value in {**epoch.metrics, "system/epoch_seconds": epoch.seconds}.items()
        }
        if entry.result is not None:
            for metric, value in entry.result.final_metrics().items():
                expected[metric_name(metric), 0] = [(value, round(entry.ended_at * 1000))]
        assert run.metrics == expected
    best = "best_val_accuracy"
    steps = {step for metric, step in by_uid[uid].metrics if metric == best}
    complete = [entry for entry in entries if entry.state == "complete"]
    if complete:
        assert max(steps) == len(entries) + retried
    assert all(len(points) == 1 for points in by_uid[uid].metrics.values()), by_uid[uid].metrics
