"""Every trial of a study as one row: what was tried, what came of it, what it cost, where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.command import public
from pipeline.command.section import as_override, flatten
from search.analysis.facts import Facts
from search.study.rungs import place_of
from search.study.vocabulary import Entry

Cell = str | int | float | bool | datetime | None
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Rows:
    """A table. `heads`: its columns, in their order; a row lacks what its trial has not."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]

    def column(self, head: str) -> list[Cell]:
        """The cells under `head`, None where a trial has none."""
        return [row.get(head) for row in self.rows]


def trials(facts: Facts, run_ids: Mapping[str, str]) -> Rows:
    """All trials by number, whatever their state. `run_ids`: their runs in MLflow, by uid.

    Columns: the trial; what varies, by override path; what was measured once, under the names that MLflow
    has for it, less their prefixes; time, attempts, lineage; at last the settings that don't vary.
    `seconds` are those of its epochs, as on the leaderboard. Times are in UTC.
    """
    varied = tuple(facts.space.dimensions)
    parts = [_parts(entry, varied, run_ids.get(entry.uid)) for entry in facts.entries]
    return _joined(parts, ("trial", "state", *varied))


def epochs(facts: Facts) -> Rows:
    """Every epoch of every trial's network, those of the trials that it went on from too."""
    found: list[Sequence[Row]] = [
        (
            {"trial": entry.number, "epoch": epoch.epoch},
            epoch.metrics,
            {"seconds": epoch.seconds, "finished_at": _time(epoch.finished_at)},
        )
        for entry in facts.entries
        for epoch in facts.curve(entry)
    ]
    return _joined(found, ("trial", "epoch"))


def _joined(parts: Sequence[Sequence[Row]], least: Sequence[str]) -> Rows:
    """One table of rows that come in parts: columns in the order of these, the `least` ones at any rate."""
    heads = dict.fromkeys(least)
    for part in zip(*parts, strict=True):
        heads |= dict.fromkeys(head for row in part for head in row)
    rows = tuple({head: cell for part in row for head, cell in part.items()} for row in parts)
    return Rows(tuple(heads), rows)


def _parts(entry: Entry, varied: Sequence[str], run_id: str | None) -> Sequence[Row]:
    result = entry.result
    params: dict[str, Cell] = {path: entry.params.get(path) for path in varied}
    params |= entry.params  # of an older space
    return (
        {"trial": entry.number, "state": entry.state},
        params,
        {} if result is None else result.final_metrics(),
        {} if entry.cost is None else {"cost": entry.cost},
        {
            "epochs": len(entry.history),
            "stop": None if result is None else result.stop,
            "diverged": entry.diverged,
            "reason": None if entry.reason is None else public.error(entry.reason),
            "seconds": entry.train_seconds,
            "started_at": _time(entry.started_at),
            "ended_at": _time(entry.ended_at),
            "attempts": entry.attempts.made,
            "attempts_lost": entry.attempts.losses,
            "attempts_excused": entry.attempts.excused,
            "continues": entry.continues,
            **place_of(entry)._asdict(),
            "extends": entry.extends,
            "prefix_of": entry.prefix_of,
            "same_as": entry.same_as,
            "loop": None if result is None else result.loop,
            "device": entry.worker.get("device"),
            "replay": None if entry.certificate is None else entry.certificate.replay,
            "uid": entry.uid,
            "run_id": run_id,
        },
        {path: text for path, text in _settings(entry).items() if path not in params},
    )


def _settings(entry: Entry) -> dict[str, Cell]:
    """Every field of the run of `entry`, as it was trained; addresses as MLflow shows them."""
    tree: Mapping[str, Any] = {} if entry.run is None else entry.run.model_dump(mode="json")
    return {path: _cell(path, value) for path, value in flatten(tree)}


def _cell(path: str, value: Any) -> Cell:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else as_override(value)
    return public.parameter(path, text)


def _time(at: float | None) -> datetime | None:
    return None if not at else datetime.fromtimestamp(at, UTC)
