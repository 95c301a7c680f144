"""Grid search."""

from typing import Any

from search.engines.oracles.base import Oracle, Values
from search.engines.oracles.library import TrialStatus, keras_tuner


class GridOracle(Oracle, keras_tuner.oracles.GridSearchOracle):  # type: ignore[misc]
    """Every point once, in the order of the space: the last dimension changes first."""

    _last: Values | None = None

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
