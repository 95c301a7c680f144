"""Live progress: a view that redraws itself on a terminal, one plain line per trial elsewhere."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.command.errors import PlumblineError
from pipeline.network.shapes import compiled_with
from pipeline.run.config import ObjectiveConfig
from search.forecasting.estimator import Estimator
from search.forecasting.samples import process_of
from search.study.ranking import Ranking
from search.study.rungs import descent_of
from search.study.shown import clock, in_units, network, shown
from search.study.vocabulary import Entry

_STYLES = {"failed": "red", "pruned": "dim"}


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
        self._waits = ""
        self._compiled: set[tuple[str | None, str]] = set()  # by which worker, and what
        self._live = (
            Live(self._view(), console=console, refresh_per_second=2, transient=True)
            if console.is_interactive
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

    def waits(self, text: str) -> None:
        """Say what is waited for until the first trial is there."""
        if self._live:
            self._waits = text
            self._live.update(self._view())
        else:
            self.note(_sentence(text))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say what is waited for within the block, after the view; that it can't be said changes nothing."""
        status = self._console.status(text) if self._live else None
        with suppress(PlumblineError):
            if status is None:
                self.note(_sentence(text))
            else:
                status.start()
        try:
            yield
        finally:
            with suppress(PlumblineError):
                if status is not None:
                    status.stop()

    def update(self, running: Mapping[int, Entry]) -> None:
        """Show the trials that run now."""
        self._running = list(running.values())
        for entry in self._running:
            if entry.worker:
                self._waits = ""
            if entry.history and entry.run is not None and self._live:
                self._compiled.add((process_of(entry.worker), compiled_with(entry.run)))
        if self._live:
            self._live.update(self._view())

    def ended(self, entry: Entry) -> None:
        """Show a trial that ended: on a terminal it scrolls by, in one line unless it failed."""
        self._ended += 1
        self._ranking.add(entry)
        if self._estimator is not None:
            self._estimator.add(entry)
        if self._live is None or entry.state == "failed":
            self._console.print(self._line(entry), highlight=False, soft_wrap=True)
        else:
            line = self._short_line(entry)
            self._console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, entry: Entry) -> Text:
        params = " ".join(f"{path}={shown(value)}" for path, value in entry.params.items())
        parts = [
            *self._outcome(entry),
            params,
            self._cost(entry),
            f"{self._ended}/{self._target}",
            self._best_text(),
            f"left {self._left()}",
        ]
        return Text("  ".join(parts), style=_STYLES["failed"] if entry.state == "failed" else "")

    def _short_line(self, entry: Entry) -> Text:
        """What fits above a view that has the rest."""
        parts = [*self._outcome(entry), self._cost(entry), _params(entry)]
        style = _STYLES.get(entry.state, "")
        return Text("  ".join(parts), style)

    def _outcome(self, entry: Entry) -> list[str]:
        """How a trial ended, and with what."""
        outcome = f"{self._objective.metric} {entry.value:.4f}" if entry.value is not None else ""
        if entry.cost is not None:
            outcome += f" {in_units(self._objective.cost, entry.cost)}"
        reason = (entry.reason or "").splitlines()[:1]
        at = f" at epoch {_epoch(entry)}" if entry.state == "pruned" and entry.history else ""
        first = f"{self._noun} {entry.number}: {entry.state}{at}"
        return [first, *([outcome] if outcome else reason)]

    def _cost(self, entry: Entry) -> str:
        """The seconds of its epochs, and whose they are where another trial trained them."""
        said = [f"{entry.train_seconds:.1f} s"]
        for number, words in (
            (entry.same_as, "the same as"),
            (entry.prefix_of, "read off"),
            (entry.extends, "its first epochs those of"),
        ):
            said += [] if number is None else [f"{words} {self._noun} {number}"]
        return ", ".join([*said, *filter(None, [descent_of(entry, self._noun)])])

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
        return "?" if left is None else clock(left)

    def _view(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._target, completed=self._ended, width=20)
        count = f"{self._ended}/{self._target}"
        head.add_row(
            Text(self._name, style="bold"), bar, count, self._best_text(), f"left {self._left()}"
        )
        if self._waits:
            return Group(head, Text(f"{self._waits} ..."))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in (self._noun, "epoch", self._objective.metric, "running", "parameters"):
            table.add_column(column, justify="left" if column == "parameters" else "right")
        now = time.time()
        for entry in self._running:
            last = entry.history[-1].metrics.get(self._objective.metric) if entry.history else None
            table.add_row(
                str(entry.number),
                _epoch(entry) if entry.worker else "-",
                f"{last:.4f}" if last is not None else "-",
                clock(now - entry.started_at),
                Text(self._does(entry) + _params(entry), overflow="ellipsis", no_wrap=True),
            )
        return Group(head, table)

    def _does(self, entry: Entry) -> str:
        """What a running trial waits for, and where it comes from."""
        said = descent_of(entry, self._noun)
        if entry.worker and entry.run is not None and not entry.history:
            known = (process_of(entry.worker), compiled_with(entry.run)) in self._compiled
            said = said if known else f"compiling {network(entry.run.model)}"
        return f"{said}: " if said else ""


def _params(entry: Entry) -> str:
    return " ".join(
        f"{path.rpartition('.')[2]}={shown(value)}" for path, value in entry.params.items()
    )


def _epoch(entry: Entry) -> str:
    """How far a trial is."""
    last = entry.history[-1].epoch if entry.history else 0
    return f"{last}/{entry.settings['train.epochs']}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
