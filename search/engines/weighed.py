"""Which trials TPE weighs, so that asking takes no longer in a study of ten thousand."""

import math
from bisect import insort
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from pipeline.run.config import Direction

WEIGHED = 500
"""So many of the newest trials that ended TPE weighs, and as many of the newest that run."""

BEST = 50
"""And so many of the best, whenever they ended: of more than 250 it takes the best 25 for good."""


def weighs(kind: str, settings: Mapping[str, Any]) -> int | None:
    """How many of the newest trials a sampler weighs, by the name of its class; None: all.

    It draws at random until it has seen `n_startup_trials`, so that it may see as many.
    """
    startup = settings.get("n_startup_trials")
    most = max(WEIGHED, startup if isinstance(startup, int) else 0)
    return most if kind == "TPESampler" else None


_Rank = tuple[float, float, float]


class Weighed:
    """The numbers of those trials of a study that its sampler weighs.

    TPE parts the best trials, by rank, from all others, in which the newest count most: what is left
    out are old trials that were not good. Of two objectives those are kept that none beats in both.
    `most`: how many of the newest; None: all trials are weighed.
    """

    def __init__(self, directions: Sequence[Direction], most: int | None) -> None:
        self._signs = [-1 if direction == "maximize" else 1 for direction in directions]
        self._most = most
        self._first_of: dict[tuple[TrialState, frozenset[str]], int] = {}
        self._running: dict[int, None] = {}
        self._newest: list[int] = []
        self._best: list[tuple[_Rank, int]] = []
        self._front: list[tuple[Sequence[float], int]] = []
        self._ended = 0

    def runs(self, number: int) -> None:
        """Trial `number` runs from now on; numbers grow."""
        self._running[number] = None

    def ended(self, trial: FrozenTrial) -> None:
        """A trial ended so."""
        self._running.pop(trial.number, None)
        if trial.state == TrialState.FAIL:  # which says nothing
            return
        kind = trial.state, frozenset(trial.params)
        self._first_of[kind] = min(trial.number, self._first_of.get(kind, trial.number))
        if self._most is None:
            return
        self._ended += 1
        insort(self._newest, trial.number)
        del self._newest[: -self._most]
        if len(self._signs) == 1:
            insort(self._best, (self._rank(trial), trial.number))
            del self._best[BEST:]
        elif trial.state == TrialState.COMPLETE:
            losses = [sign * value for sign, value in zip(self._signs, trial.values, strict=True)]
            self._add_to_front(losses, trial.number)

    def numbers(self) -> list[int] | None:
        """The trials to be weighed, by number; None: all."""
        if self._most is None or max(self._ended, len(self._running)) <= self._most:
            return None
        best = [number for _, number in (*self._best, *self._front)]
        return sorted({*best, *self._newest, *list(self._running)[-self._most :]})

    def kinds(self) -> list[int] | None:
        """The first trial of each set of parameters that a trial had; None: none has ended yet.

        What parameters the trials share, they show as all would, whose distributions never change.
        """
        return sorted(self._first_of.values()) or None

    def _rank(self, trial: FrozenTrial) -> _Rank:
        """By what TPE ranks trials of one objective: complete ones, then pruned ones by how late."""
        sign = self._signs[0]
        if trial.state == TrialState.COMPLETE:
            return 0, 0, sign * trial.values[0]
        step, value = max(trial.intermediate_values.items(), default=(-1, 0.0))
        return 1, -step, math.inf if math.isnan(value) else sign * value

    def _add_to_front(self, losses: Sequence[float], number: int) -> None:
        if any(_covers(other, losses) for other, _ in self._front):
            return
        self._front = [each for each in self._front if not _covers(losses, each[0])]
        self._front.append((losses, number))


def _covers(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))
