"""The studies of a storage, one a line; and one of them in full."""

import io
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from pipeline.command.errors import StorageError
from pipeline.run.config import run_config
from search.analysis.facts import Facts
from search.analysis.leaderboard import counts, summary
from search.forecasting.estimator import Estimator
from search.steering.standing import Standing, standing
from search.study.shown import clock, shown
from search.study.vocabulary import About
from search.telling.progress import Progress
from search.trial_table.storage import described_in, reading

_HEADS = ("study", "state", "trials", "best", "last active", "seconds", "question")
_NUMBERS = ("trials", "best", "last active", "seconds")


def all_of(url: str, only: str | None = None) -> tuple[list[Standing], list[StorageError]]:
    """Every study in the storage at `url`, by name, or `only` one; and what can't be read of others."""
    found, damage = [], []
    with reading(url) as storage:
        for name in described_in(storage) if only is None else [only]:
            try:
                found.append(standing(storage, name))
            except StorageError as error:
                damage.append(error)
    return found, damage


def one_of(url: str, name: str) -> Standing:
    """The study `name` in the storage at `url`."""
    with reading(url) as storage:
        return standing(storage, name)


def as_lines(studies: Sequence[Standing], width: int | None) -> list[str]:
    """The heads, and a line for each study; on a terminal that is narrow the question has one of its own.

    `width`: of the terminal, None for a pipe or a file.
    """
    metrics = {each.about.objective.metric for each in studies}
    heads = list(_HEADS)
    if len(metrics) == 1:
        heads[heads.index("best")] = metrics.copy().pop()
    rows = [heads, *(_cells(each, with_metric=len(metrics) > 1) for each in studies)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads) - 1)]
    lines, below = [], []
    for row in rows:
        padded = (
            cell.rjust(size) if head in _NUMBERS else cell.ljust(size)
            for head, cell, size in zip(_HEADS, row, widths, strict=False)
        )
        lines.append("  ".join(padded))
        below.append(row[-1])
    if width is None or all(
        len(a) + 2 + len(b) <= width for a, b in zip(lines, below, strict=True)
    ):
        return [f"{line}  {question}".rstrip() for line, question in zip(lines, below, strict=True)]
    told = [lines[0].rstrip()]
    for line, question in zip(lines[1:], below[1:], strict=True):
        told += [line.rstrip(), *([f"  {question}"] if question else [])]
    return told


def _cells(study: Standing, with_metric: bool) -> list[str]:
    about = study.about
    metric = f" {about.objective.metric}" if with_metric and study.best != "-" else ""
    return [
        about.name,
        study.state,
        f"{len(study.ended)}/{about.trials}",
        f"{study.best}{metric}",
        "-" if study.active_at is None else f"{_age(study.active_at)} ago",
        f"{study.seconds:.0f}",
        " ".join((about.question or "").split()),
    ]


def _age(at: float) -> str:
    """How long ago that was, in its largest unit."""
    seconds = max(0.0, time.time() - at)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def headline(study: Standing) -> str:
    """Whether it runs, and where; else how its latest launch ended."""
    about, launch = study.about, study.launch
    done = f"{len(study.ended)} of {about.trials} trials ({counts(study.ended) or 'none yet'})"
    if study.half is not None:
        return f"{about.name}: half {study.half}d; the same command completes that. {done}"
    if not study.held:
        return f"{about.name}: {study.ending.words}. {done}"
    where = "" if launch is None else f" on {launch.host} for {_age(launch.at)}"
    does = f"is {study.state}{where}"
    left = seconds_left(study) if len(study.ended) < about.trials else None
    more = "" if left is None else f", about {left:.0f} s left"
    return f"{about.name}: {does}. {done}{more}"


def seconds_left(study: Standing) -> float | None:
    """How long the rest takes if trials go on as they did; None where that is not known."""
    progress = progress_of(study, Console(file=io.StringIO()))
    progress.update({entry.number: entry for entry in study.running})
    return progress.seconds_left()


def progress_of(study: Standing, console: Console) -> Progress:
    """What shows how `study` goes on from here."""
    workers = 1 if study.launch is None else study.launch.workers
    about, ended = study.about, study.ended
    facts = Facts.of(about, study.entries)
    base = run_config(facts.config)
    estimator = Estimator.of(base, facts.space, about.dataset, ended, prunes=_prunes(about))
    return Progress(
        console, about.name, about.trials, workers, about.objective, ended, estimator=estimator
    )


def _prunes(about: About) -> bool:
    return about.search.get("pruner", "NopPruner") != "NopPruner"


def in_full(study: Standing) -> RenderableType:
    """How a study stands: its state, what runs now, its leaderboard and its answer."""
    about = study.about
    said: list[RenderableType] = [Text(headline(study))]
    if about.question:
        said.append(Text(about.question))
    now = time.time()
    for entry in study.running:
        what = " ".join(f"{path}={shown(value)}" for path, value in entry.params.items())
        does = "waits" if entry.run is None else f"runs for {clock(now - entry.started_at)}"
        line = f"  trial {entry.number} {does if study.held else 'is to run again'}  {what}"
        said.append(Text(line, no_wrap=True, overflow="ellipsis"))
    said += [Text(), summary(study.entries, about.objective, about.name, study.finalists)]
    if not study.held and study.ending.exit_code != 0:
        said += [
            Text("\nTo go on:"),
            Text(f"  {about.command}", "bold", no_wrap=True, overflow="ignore"),
        ]
    return Group(*said)
