"""Optuna's storage in memory, from which a trial may be shown a part."""

import copy
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState


class Memory(optuna.storages.InMemoryStorage):
    """The trials of one study. What samplers and pruners see of others, they get from `get_all_trials`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: Sequence[int] | None = None

    @contextmanager
    def showing(self, numbers: Sequence[int] | None) -> Iterator[None]:
        """In the block only the trials of these numbers (None: all) are there."""
        self._shown = numbers
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
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = super().get_all_trials(study_id, deepcopy=False)
        shown = [trials[number] for number in self._shown]
        found = [trial for trial in shown if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def write_anew(
        self, trial_id: int, attrs: Mapping[str, Any], curve: Mapping[int, float]
    ) -> None:
        """Let a running trial have these system attributes and intermediate values, and no others."""
        trial = self.get_trial(trial_id)  # the one that is kept, not a copy
        trial.system_attrs = dict(attrs)
        trial.intermediate_values = dict(curve)
