"""How a study stands: what is on record of it, and whether a launch is under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from search.analysis.finalists import Finalists
from search.analysis.leaderboard import finalists_of
from search.analysis.wording import shown
from search.steering.launches import Launch, latest
from search.study.endings import Ending
from search.study.ranking import Ranking
from search.study.vocabulary import About, Entry
from search.trial_table.lock import HALF, is_held
from search.trial_table.storage import attribute
from search.trial_table.trials import TrialTable
from search.trial_table.writing import Storage


@dataclass(frozen=True)
class Standing:
    """A study at one moment. `held`: a launch, or another command that writes, has it.

    `launch`: the latest one. `ending`: how that ended, where none is under way. `half`: what was begun to be
    done to the whole study, `rename` or `delete`, and not completed.
    """

    about: About
    entries: Sequence[Entry]
    finalists: Finalists | None
    ending: Ending
    held: bool
    launch: Launch | None
    half: str | None

    @property
    def state(self) -> str:
        """In one word, that of the summary file where there is one."""
        if self.half is not None:
            return f"half {self.half}d"
        if self.held:
            return "running" if self.launch is None or self.launch.heard is None else "stopping"
        return self.ending.state.replace("_", " ")

    @cached_property
    def ended(self) -> list[Entry]:
        """All trials but those that run, or are to run again."""
        return [entry for entry in self.entries if entry.state != "running"]

    @cached_property
    def running(self) -> list[Entry]:
        """The trials that run; where no launch is under way they are to run again."""
        return [entry for entry in self.entries if entry.state == "running"]

    @property
    def best(self) -> str:
        """The answer's mean with its spread, where a verdict stands; else the best value, or `-`."""
        verdict = None if self.finalists is None else self.finalists.verdict
        if verdict is not None and verdict.answer is not None:
            confirmed = verdict.of(verdict.answer).confirmed
            if confirmed is not None:
                return shown(confirmed)
        ranking = Ranking(self.about.objective, self.entries)
        return f"{ranking[0].value:.4f}" if ranking else "-"

    @property
    def active_at(self) -> float | None:
        """When a launch or a trial last began or ended, in Unix seconds; None: that is not on record."""
        times = [at for entry in self.entries for at in (entry.started_at, entry.ended_at) if at]
        return max([*times, *([self.launch.at] if self.launch else [])], default=None)

    @property
    def seconds(self) -> float:
        """Of the epochs that its trials trained, all workers together; what was read off is not counted."""
        epochs = ((entry.started_at, epoch) for entry in self.ended for epoch in entry.history)
        return sum(epoch.seconds for began, epoch in epochs if epoch.finished_at >= began)


def standing(storage: Storage, name: str) -> Standing:
    """How the study `name` stands. Raises StorageError where it is damaged."""
    # First the lock: a launch that ends meanwhile has left all that it did.
    held = is_held(storage, name)
    table = TrialTable(storage, name)
    half = attribute(storage, name, HALF)
    return Standing(
        about=table.about(),
        entries=table.entries(),
        finalists=finalists_of(table),
        ending=table.ending(),
        held=held,
        launch=latest(storage, name),
        half=None if half is None else half["do"],
    )
