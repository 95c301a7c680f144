"""What a person reads at the end of a study: the leaderboard and the best parameters."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.config import ObjectiveConfig
from search.records import pasted, shown
from search.study import Entry


def ranked(entries: Sequence[Entry], objective: ObjectiveConfig) -> list[Entry]:
    """The complete trials, best first; of equals the earlier one."""
    sign = -1 if objective.maximizes else 1
    complete = [entry for entry in entries if entry.state == "complete" and entry.value is not None]
    return sorted(complete, key=lambda entry: (sign * (entry.value or 0.0), entry.number))


def leaderboard(entries: Sequence[Entry], objective: ObjectiveConfig, rows: int = 10) -> Table:
    """The best `rows` trials with their parameters, objective, test metrics and seconds."""
    table = Table(box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    best = ranked(entries, objective)[:rows]
    params = list(best[0].params) if best else []
    for path in params:
        table.add_column(_header(path.rpartition(".")[2]), justify="right")
    for name in (objective.metric, "test_accuracy", "best_epoch", "seconds"):
        table.add_column(_header(name), justify="right")
    for entry in best:
        result = entry.result
        if result is None:
            continue
        table.add_row(
            str(entry.number),
            *(shown(entry.params.get(path)) for path in params),
            f"{result.value:.4f}",
            f"{result.test['test_accuracy']:.4f}",
            str(result.best_epoch),
            f"{result.timings['seconds_total']:.1f}",
        )
    return table


def _header(name: str) -> str:
    """`name` so that a narrow table can break it."""
    return name.replace("_", " ")


def summary(entries: Sequence[Entry], objective: ObjectiveConfig) -> RenderableType:
    """The leaderboard, how the trials ended, and the best parameters to paste back."""
    states = [entry.state for entry in entries]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("complete", "pruned", "failed", "running")
        if state in states
    )
    best = ranked(entries, objective)
    parts: list[RenderableType] = [Text(f"{len(entries)} trials: {counts}")]
    for entry in entries:
        if entry.state == "failed":
            first_line = next(iter((entry.reason or "").splitlines()), "no reason was recorded")
            parts.append(Text(f"  trial {entry.number} failed: {first_line}", style="red"))
    if best:
        parts += [
            Text(),
            leaderboard(entries, objective),
            Text(f"\nBest parameters (trial {best[0].number}):"),
            Text(f"  {pasted(best[0].params)}", style="bold", no_wrap=True, overflow="ignore"),
        ]
    return Group(*parts)
