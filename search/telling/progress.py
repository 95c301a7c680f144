"""Live progress: a view that redraws itself on a terminal, one plain line per trial elsewhere."""

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.run.config import ObjectiveConfig
from search.forecasting.estimator import Estimator
from search.study.ranking import Ranking
from search.study.shown import in_units, shown
from search.study.vocabulary import Entry


class Progress:
    """Follows a study of `target` trials. `ended`: what the table held at the start; `noun`: for one."""

    def __init__(
        self,
        console: Console,
        name: str,
        target: int,
        workers: int,
        objective: ObjectiveConfig,
        ended: list[Entry],
        noun: str = "trial",
        estimator: Estimator | None = None,
    ) -> None:
        self._console = console
        self._name = name
        self._target = target
        self._workers = workers
        self._objective = objective
        self._noun = noun
        self._ended = len(ended)
        self._estimator = estimator
        self._ranking = Ranking(objective, ended)
        self._running: list[Entry] = []
        self._live = (
            Live(self._view(), console=console, refresh_per_second=2, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, running: Mapping[int, Entry]) -> None:
        """Show the trials that run now."""
        self._running = list(running.values())
        if self._live:
            self._live.update(self._view())

    def ended(self, entry: Entry) -> None:
        """Show a trial that ended: on a terminal only failures stay on the screen."""
        self._ended += 1
        self._ranking.add(entry)
        if self._estimator is not None:
            self._estimator.add(entry)
        if self._live is None or entry.state == "failed":
            self._console.print(self._line(entry), highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, entry: Entry) -> Text:
        params = " ".join(f"{path}={shown(value)}" for path, value in entry.params.items())
        outcome = f"{self._objective.metric} {entry.value:.4f}" if entry.value is not None else ""
        if entry.cost is not None:
            outcome += f" {in_units(self._objective.cost, entry.cost)}"
        reason = (entry.reason or "").splitlines()[:1]
        parts = [
            f"{self._noun} {entry.number}: {entry.state}",
            *([outcome] if outcome else reason),
            params,
            self._cost(entry),
            f"{self._ended}/{self._target}",
            self._best_text(),
            f"left {self._left()}",
        ]
        return Text("  ".join(parts), style="red" if entry.state == "failed" else "")

    def _cost(self, entry: Entry) -> str:
        """What the trial took, and why it may be less than it would have been."""
        if entry.same_as is not None:
            return f"the same as {self._noun} {entry.same_as}"
        if entry.prefix_of is not None:
            return f"read off {self._noun} {entry.prefix_of}"
        seconds = (entry.ended_at or entry.started_at) - entry.started_at
        begun = "" if entry.extends is None else f" (after {self._noun} {entry.extends})"
        return f"{seconds:.1f} s{begun}"

    def _best_text(self) -> str:
        if not self._ranking:
            return "best -"
        best = self._ranking[0]
        what = (
            f"mean of {best.seeds} seeds" if best.seeds > 1 else f"{self._noun} {best.entry.number}"
        )
        front = f"front of {len(self._ranking.front)}, " if self._ranking.front else ""
        return f"{front}best {best.value:.4f} ({what})"

    def seconds_left(self) -> float | None:
        """How long the rest takes; None where that can't be told yet."""
        if self._estimator is None:
            return None
        left = max(0, self._target - self._ended)
        return self._estimator.left(left, self._running, self._workers)

    def _left(self) -> str:
        left = self.seconds_left()
        if left is None:
            return "?"
        minutes, seconds = divmod(round(left), 60)
        return f"{minutes}:{seconds:02d}"

    def _view(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._target, completed=self._ended, width=20)
        count = f"{self._ended}/{self._target}"
        head.add_row(
            Text(self._name, style="bold"), bar, count, self._best_text(), f"left {self._left()}"
        )
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in (self._noun, "epoch", self._objective.metric, "seconds", "parameters"):
            table.add_column(column, justify="left" if column == "parameters" else "right")
        now = time.time()
        for entry in self._running:
            last = entry.history[-1].metrics.get(self._objective.metric) if entry.history else None
            params = " ".join(
                f"{path.rpartition('.')[2]}={shown(value)}" for path, value in entry.params.items()
            )
            table.add_row(
                str(entry.number),
                _epoch(entry),
                f"{last:.4f}" if last is not None else "-",
                f"{now - entry.started_at:.0f}",
                Text(params, overflow="ellipsis", no_wrap=True),
            )
        return Group(head, table)


def _epoch(entry: Entry) -> str:
    """How far a trial is; `-` before a worker has it, and where another process knows that alone."""
    if not entry.worker:
        return "-"
    return f"{entry.history[-1].epoch if entry.history else 0}/{entry.settings['train.epochs']}"
