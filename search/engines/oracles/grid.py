"""Grid search."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search.engines.oracles.base import Oracle, Values
from search.engines.oracles.library import TrialStatus, keras_tuner
from search.study.space import Stored
from search.study.vocabulary import Exhausted, Wait


class GridOracle(Oracle, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Every point once, in the order of the space: the last dimension changes first."""

    _last: Values | None = None

    def suggest(
        self, number: int, at: Mapping[str, Stored] = MappingProxyType({})
    ) -> Values | Wait | Exhausted:
        """As of every oracle. A point that is given takes none out of the row."""
        before = self._last
        suggested = super().suggest(number, at)
        self._last = before if at else self._last
        return suggested

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The first point that was not tried.

        KerasTuner's waits for trials to end, as they may bring new dimensions: one worker would
        have work at a time.
        """
        while True:
            if self._last is None:
                point = dict(self.hyperparameters.values)  # the defaults
            else:
                point = self._get_next_combination(self._last)
            if point is None:
                return {"status": TrialStatus.STOPPED}
            self._last = point
            if not self._duplicate(point):
                return {"status": TrialStatus.RUNNING, "values": point}
