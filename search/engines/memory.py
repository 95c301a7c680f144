"""Optuna's storage in memory, from which a trial may be shown a part."""

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState


class Memory(optuna.storages.InMemoryStorage):
    """The trials of one study. What samplers and pruners see of others, they get from `get_all_trials`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[int, int] | None = None

    @contextmanager
    def showing(self, first: int | None, own: int) -> Iterator[None]:
        """In the block only the `first` trials (None: all) and the trial `own` are there."""
        self._shown = None if first is None else (first, own)
        try:
            yield
        finally:
            self._shown = None

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """All trials that are shown."""
        trials = super().get_all_trials(study_id, deepcopy, states)
        if self._shown is None:
            return trials
        first, own = self._shown
        return [trial for trial in trials if trial.number < first or trial.number == own]

    def write_anew(
        self, trial_id: int, attrs: Mapping[str, Any], curve: Mapping[int, float]
    ) -> None:
        """Let a running trial have these system attributes and intermediate values, and no others."""
        trial = self.get_trial(trial_id)  # the one that is kept, not a copy
        trial.system_attrs = dict(attrs)
        trial.intermediate_values = dict(curve)
