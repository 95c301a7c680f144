"""Who leads: the complete trials, best first, for the terminal, for tables and as Markdown."""

import csv
import io
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.config import ObjectiveConfig
from search.records import pasted, shown
from search.study import Entry

_COLUMNS = 4  # parameters beside each other in 80 columns


def ranked(entries: Sequence[Entry], objective: ObjectiveConfig) -> list[Entry]:
    """The complete trials, best first; of equals the earlier one."""
    sign = -1 if objective.maximizes else 1
    complete = [entry for entry in entries if entry.state == "complete" and entry.value is not None]
    return sorted(complete, key=lambda entry: (sign * (entry.value or 0.0), entry.number))


def counts(entries: Sequence[Entry]) -> str:
    """How the trials ended: `28 complete, 2 failed`."""
    states = [entry.state for entry in entries]
    known = ("complete", "pruned", "failed", "running")
    return ", ".join(f"{states.count(state)} {state}" for state in known if state in states)


def cause(entry: Entry) -> str:
    """Why a trial failed, in one line."""
    return next(iter((entry.reason or "").strip().splitlines()), "no reason was recorded")


def columns(best: Sequence[Entry], objective: ObjectiveConfig) -> list[str]:
    """The heads of a leaderboard: the parameters that vary stand after the trial's number."""
    params = dict.fromkeys(path for entry in best for path in entry.params)
    return ["trial", *params, objective.metric, "test_accuracy", "best_epoch", "seconds"]


def row(entry: Entry, heads: Sequence[str]) -> list[str]:
    """The cells of `entry` under `heads`."""
    result = entry.result
    facts = {path: shown(value) for path, value in entry.params.items()}
    facts["trial"] = str(entry.number)
    if result is not None:
        facts[heads[-4]] = f"{result.value:.4f}"
        facts["test_accuracy"] = f"{result.test['test_accuracy']:.4f}"
        facts["best_epoch"] = str(result.best_epoch)
        facts["seconds"] = f"{result.timings['seconds_total']:.1f}"
    return [facts.get(head, "") for head in heads]


def leaderboard(entries: Sequence[Entry], objective: ObjectiveConfig, rows: int = 10) -> Table:
    """The best `rows` trials with their parameters, objective, test metrics and seconds."""
    table = Table(box=None, pad_edge=False)
    best = ranked(entries, objective)[:rows]
    heads = columns(best, objective)
    params = heads[1:-4]
    many = len(params) > _COLUMNS  # then they share one, the last
    shown_heads = [head for head in heads if not (many and head in params)]
    for head in shown_heads:  # in words, so that a narrow table can break them
        table.add_column(head.rpartition(".")[2].replace("_", " "), justify="right")
    if many:
        table.add_column("parameters")
    for entry in best:
        cells = dict(zip(heads, row(entry, heads), strict=True))
        together = " ".join(
            f"{path.rpartition('.')[2]}={shown(value)}" for path, value in entry.params.items()
        )
        table.add_row(*(cells[head] for head in shown_heads), *([together] if many else []))
    return table


def as_csv(entries: Sequence[Entry], objective: ObjectiveConfig) -> str:
    """All complete trials, best first, with all digits of what was measured."""
    best = ranked(entries, objective)
    heads = columns(best, objective)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for entry in best:
        cells = dict(zip(heads, row(entry, heads), strict=True))
        cells |= {path: str(value) for path, value in entry.params.items()}
        if entry.result is not None:
            cells[objective.metric] = str(entry.result.value)
            cells["test_accuracy"] = str(entry.result.test["test_accuracy"])
        writer.writerow(cells.values())
    return text.getvalue()


def as_markdown(entries: Sequence[Entry], objective: ObjectiveConfig, rows: int = 20) -> str:
    """The best `rows` trials as a Markdown table."""
    best = ranked(entries, objective)[:rows]
    heads = columns(best, objective)
    lines = [heads, ["---:"] * len(heads), *(row(entry, heads) for entry in best)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{len(entries)} trials: {counts(entries)}\n\n{table}\n"


def summary(entries: Sequence[Entry], objective: ObjectiveConfig) -> RenderableType:
    """The leaderboard, how the trials ended, and the best parameters to paste back."""
    best = ranked(entries, objective)
    parts: list[RenderableType] = [Text(f"{len(entries)} trials: {counts(entries)}")]
    for entry in entries:
        if entry.state == "failed":
            parts.append(Text(f"  trial {entry.number} failed: {cause(entry)}", style="red"))
    if best:
        parts += [
            Text(),
            leaderboard(entries, objective),
            Text(f"\nBest parameters (trial {best[0].number}):"),
            Text(f"  {pasted(best[0].params)}", style="bold", no_wrap=True, overflow="ignore"),
        ]
    return Group(*parts)
