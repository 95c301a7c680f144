"""What the tracker is told of the published networks, of the forest, and of their table."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.command import public
from pipeline.tracking.record import (
    DatasetInfo,
    RunRecord,
    Status,
    environment_tags,
    epoch_points,
    final_points,
    final_texts,
    outcome_tags,
    points_at,
    provenance_tags,
    source_tags,
)
from pipeline.training.diagnosis import as_json as matrix_as_json
from pipeline.training.forest import Forest, ForestConfig
from search.replication.comparison import Compared, as_json, as_markdown
from search.replication.networks import FOREST, Network
from search.study.vocabulary import Entry

EXPERIMENT = "replicate"


def _record(
    name: str,
    started_at: float,
    dataset: DatasetInfo | None,
    tags: Mapping[str, str],
    uid: str | None = None,
    status: Status = "FINISHED",
    **rest: Any,
) -> RunRecord:
    return RunRecord(
        uid=uid or uuid.uuid4().hex,
        experiment=EXPERIMENT,
        name=name,
        status=status,
        started_at=started_at,
        dataset=dataset,
        tags={
            **source_tags("search/replicate.py"),
            **tags,
            **({"data.digest": dataset.digest} if dataset else {}),
        },
        **rest,
    )


def of_run(network: Network, entry: Entry, dataset: DatasetInfo) -> RunRecord:
    """The record of a network's run; published again, it changes nothing in the tracker."""
    published = {f"published.{name}": str(value) for name, value in network.published.items()}
    tags = {"experiment": network.name, **published, **provenance_tags(entry.worker)}
    points = epoch_points(entry.history)
    texts = {}
    if entry.result is not None and entry.ended_at is not None:
        points += final_points(entry.result, entry.ended_at)
        texts = final_texts(entry.result)
        tags |= outcome_tags(entry.result)
    if entry.reason is not None:
        tags["reason"] = public.error(entry.reason)
    return _record(
        f"{network.name} seed={entry.params['train.seed']}",
        entry.started_at,
        dataset,
        tags,
        uid=entry.uid,
        status="FAILED" if entry.result is None else "FINISHED",
        ended_at=entry.ended_at,
        attempt=entry.attempts.made,
        params=entry.settings,
        points=points,
        texts=texts,
    )


def of_forest(
    config: ForestConfig, forest: Forest, started_at: float, dataset: DatasetInfo
) -> RunRecord:
    """The record of a forest that was fitted now."""
    now = time.time()
    return _record(
        FOREST,
        started_at,
        dataset,
        {**environment_tags(), "experiment": FOREST},
        ended_at=now,
        params=config.parameters(),
        points=points_at(forest.final_metrics(), now),
        texts={"confusion_test.json": matrix_as_json(forest.test.confusion, "test")},
    )


def of_table(compared: Sequence[Compared], started_at: float) -> RunRecord:
    """The record of the whole table."""
    table = as_markdown(compared)
    return _record(
        "comparison",
        started_at,
        None,
        {**environment_tags(), "mlflow.note.content": table},
        ended_at=time.time(),
        texts={"comparison.md": table, "comparison.json": as_json(compared)},
    )
