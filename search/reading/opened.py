"""A study in Python, to be read: `from search import open_study`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.command.compose import compose
from pipeline.command.errors import UnavailableError
from pipeline.command.section import as_override, validated
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.experiments import run_ids
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.analysis.leaderboard import counts, finalists_of
from search.analysis.verdict import Verdict
from search.reading import rows
from search.reading.rows import Rows
from search.study.endings import Ending
from search.study.ranking import Configuration
from search.study.vocabulary import Entry
from search.trial_table.storage import StorageConfig, chosen_in, reading
from search.trial_table.trials import TrialTable

if TYPE_CHECKING:
    import pandas as pd


def open_study(
    name: str | None = None, *, storage: str | None = None, tracking: str | None = None
) -> "OpenStudy":
    """The study `name`, as it stands on record now; None: the only one that there is. Nothing is written.

    `storage`: URL of the trial table, `tracking`: URI of MLflow, which is asked for its run ids alone; None:
    as conf/ has them, in the working folder. Raises ConfigError where there is no such study, StorageError
    where it is damaged, UnavailableError where a server can't be reached.
    """
    typed = {"storage.url": storage, "tracking.uri": tracking}
    values = compose(
        [f"{path}={as_override(url)}" for path, url in typed.items() if url is not None]
    )
    return read(
        validated(StorageConfig, values["storage"], "storage").url,
        name,
        validated(TrackingConfig, values["tracking"], "tracking"),
    )


def read(url: str, name: str | None, tracking: TrackingConfig) -> "OpenStudy":
    """The study `name` in the storage at `url`, as `open_study`."""
    with reading(url) as storage:
        table = TrialTable(storage, chosen_in(storage, name))
        facts = Facts.recorded(table)
        return OpenStudy(facts, finalists_of(table), table.ending(), tracking)


@dataclass(frozen=True)
class OpenStudy:
    """A study as it stood when it was opened. `facts`: what its report is made of, too.

    `finalists`: the comparison of its best configurations, None where nobody asked for one. `ending`: how
    its latest launch ended, where none is running.
    """

    facts: Facts
    finalists: Finalists | None
    ending: Ending
    tracking: TrackingConfig

    @property
    def name(self) -> str:
        return self.facts.about.name

    @property
    def trials(self) -> tuple[Entry, ...]:
        """All trials by number, whatever their state."""
        return self.facts.entries

    @property
    def best(self) -> Configuration | None:
        """The configuration that leads: its `value`, `params`, `spread`, and the `entry` that stands for it.

        It is the best of single runs, unless the seed varies; see `verdict`. None: no trial is complete.
        """
        return self.facts.ranking[0] if self.facts.ranking else None

    @property
    def front(self) -> Sequence[Configuration]:
        """Those that none beats in value and cost, cheapest first; none where the study has no cost."""
        return self.facts.ranking.front

    @property
    def verdict(self) -> Verdict | None:
        """Whether it is better than the others, over fresh seeds; None: `search.finalists` did not say."""
        return None if self.finalists is None else self.finalists.verdict

    def frame(self) -> "pd.DataFrame":
        """Every trial whatever its state, one row; see `search.reading.rows.trials`."""
        return as_frame(self.rows)

    def curves(self) -> "pd.DataFrame":
        """Every epoch of every trial, one row: `trial`, `epoch`, its metrics, its seconds."""
        return as_frame(rows.epochs(self.facts))

    @cached_property
    def rows(self) -> Rows:
        """What `frame` is made of."""
        return rows.trials(self.facts, self._run_ids)

    @property
    def _run_ids(self) -> Mapping[str, str]:
        try:
            return run_ids(self.tracking, self.name)
        except UnavailableError as error:
            print(f"run_id is empty: {error}", file=sys.stderr)
            return {}

    def __repr__(self) -> str:
        ended, target = len(self.facts.ended), self.facts.about.trials
        return f"<study {self.name}: {ended} of {target} trials ({counts(self.trials) or 'none'})>"


def as_frame(table: Rows) -> "pd.DataFrame":
    """The table in pandas: whole numbers stay whole where some are missing, times are in UTC.

    A column that holds numbers and text, as a choice of widths may, is text.
    """
    import pandas as pd  # only here: it takes half a second

    kinds = {int: "Int64", bool: "boolean", str: "string"}
    columns = {}
    for head in table.heads:
        cells = table.column(head)
        found = {type(cell) for cell in cells if cell is not None}
        if found == {int, float}:
            found = {float}
        if len(found) > 1:
            cells = [c if c is None or isinstance(c, str) else as_override(c) for c in cells]
            found = {str}
        columns[head] = pd.Series(cells, dtype=kinds.get(*found) if len(found) == 1 else None)
    return pd.DataFrame(columns)
