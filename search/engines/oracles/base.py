"""What the oracles have in common. They know trials by number, and values as `Axis` gives them.

A suggestion depends on nothing but the seed, the trial's number and the trials before it.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.command.section import Section, validated
from search.engines.oracles.axis import axis
from search.engines.oracles.library import Trial, TrialStatus, keras_tuner
from search.study.space import Space, Stored, chain
from search.study.untried import Point, Runs
from search.study.vocabulary import Exhausted, Wait

Values = dict[str, Any]
"""KerasTuner's values by override path; those under `tuner/...` are Hyperband's."""


class Arguments(Section):
    """What every oracle takes. `seed`: None is one that is drawn for the study."""

    seed: Annotated[int, Field(ge=0)] | None = None


class Oracle:
    """Base of the four oracles; each inherits from this and then from KerasTuner's class.

    `create_trial` and `end_trial` are not used: they count failures, print, lock, and write files.
    """

    arguments: ClassVar[type[Arguments]] = Arguments
    continues = False
    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]

    def __init__(self, **arguments: Any) -> None:
        checked = validated(self.arguments, arguments)
        # KerasTuner takes 0 for no seed.
        super().__init__(seed=1, **checked.model_dump(exclude={"seed"}))  # type: ignore[call-arg]
        self._max_collisions = 200  # KerasTuner's 20 miss a rare branch of a conditional space

    def begin(
        self, direction: Literal["maximize", "minimize"], space: Space, runs: Runs, seed: int
    ) -> None:
        """Take the space up. Raises ConfigError where it does not suit the oracle."""
        self._runs = runs
        self._root = seed
        self.objective = keras_tuner.Objective("value", direction[:3])
        self.hyperparameters = keras_tuner.HyperParameters()
        self.axes = {path: axis(dimension) for path, dimension in space.dimensions.items()}
        for path, each in self.axes.items():
            with ExitStack() as scope:
                for condition in reversed(chain(path, space.conditions)):
                    values = [self.axes[condition.path].told(value) for value in condition.values]
                    scope.enter_context(
                        self.hyperparameters.conditional_scope(condition.path, values)
                    )
                each.add_to(self.hyperparameters, path)

    def suggest(self, number: int) -> Values | Wait | Exhausted:
        """What trial `number` should try. It is not in the study until `add`."""
        self._seed_state = self.seed = int(
            np.random.SeedSequence((self._root, number)).generate_state(1)[0]
        )
        suggested = self.populate_space(str(number))  # type: ignore[attr-defined]
        if suggested["status"] == TrialStatus.RUNNING:
            return dict(suggested["values"])
        return Wait() if suggested["status"] == TrialStatus.IDLE else Exhausted()

    def add(self, number: int, point: Mapping[str, Stored]) -> None:
        """Trial `number` runs at `point`."""
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = self._values(point)
        hyperparameters.ensure_active_values()
        trial = Trial(hyperparameters, str(number), TrialStatus.RUNNING)
        self.trials[trial.trial_id] = self.ongoing_trials[trial.trial_id] = trial
        self._runs.add(point)

    def place(self, number: int, notes: Mapping[str, Any], continues: int | None) -> None:
        """Take trial `number` of an earlier launch into the oracle's plan, if it has one."""

    def end(self, number: int, score: float | None) -> None:
        """Trial `number` ended with `score`, or failed."""
        trial = self.ongoing_trials.pop(str(number))
        trial.score = score
        trial.status = TrialStatus.FAILED if score is None else TrialStatus.COMPLETED

    def point(self, values: Values) -> Point:
        """The point of the space that KerasTuner's `values` stand for."""
        active = [path for path in self.axes if path in values]
        return {path: self.axes[path].stored(values[path]) for path in active}

    def _values(self, point: Mapping[str, Stored]) -> Values:
        return {path: self.axes[path].told(value) for path, value in point.items()}

    def _duplicate(self, values: Values) -> bool:
        """Whether the run is on record: KerasTuner takes two ways to write one for two."""
        return not self._runs.is_new(self.point(values))

    def _random_values(self) -> Values | None:
        """A new point at random; where KerasTuner gives up after some collisions, one of those left."""
        values: Values | None = super()._random_values()  # type: ignore[misc]
        if values is not None or (left := self._runs.untried(self.seed)) is None:
            return values
        return self._values(left)
