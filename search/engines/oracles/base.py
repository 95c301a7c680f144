"""What the oracles have in common. They know trials by number, and values as `Axis` gives them.

A suggestion depends on nothing but the seed, the trial's number and the trials before it.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.command.section import Section, validated
from search.engines.oracles.axis import axis
from search.engines.oracles.library import Trial, TrialStatus, keras_tuner
from search.study.space import Space, Stored, chain
from search.study.untried import Point, Runs
from search.study.vocabulary import Exhausted, Wait
from search.trial_table.attributes import Past

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
        self._space = space
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

    def learn(self, past: Sequence[Past]) -> None:
        """Take in trials of other studies; one that was pruned has no value, and teaches nothing."""
        for place, each in enumerate(past):
            if each.value is not None:
                trial = self._trial(f"past {place}", each.params)
                trial.score, trial.status = each.value, TrialStatus.COMPLETED
                self.trials[trial.trial_id] = trial

    def suggest(
        self, number: int, at: Mapping[str, Stored] = MappingProxyType({})
    ) -> Values | Wait | Exhausted:
        """What trial `number` should try. It is not in the study until `add`. `at`: what is given of it."""
        self._seed_state = self.seed = int(
            np.random.SeedSequence((self._root, number)).generate_state(1)[0]
        )
        spare = self._runs.untried(self.seed, at) if at else {}
        if spare is None:
            return Exhausted()
        suggested = self.populate_space(str(number))  # type: ignore[attr-defined]
        if suggested["status"] == TrialStatus.RUNNING:
            values = dict(suggested["values"])
            goes_on = "tuner/trial_id" in values
            return values if goes_on or not at else self._completed(at, values, spare)
        return Wait() if suggested["status"] == TrialStatus.IDLE else Exhausted()

    def add(self, number: int, point: Mapping[str, Stored]) -> None:
        """Trial `number` runs at `point`."""
        trial = self._trial(str(number), point)
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

    def _trial(self, name: str, point: Mapping[str, Stored]) -> Trial:
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = self._values(point)
        hyperparameters.ensure_active_values()
        return Trial(hyperparameters, name, TrialStatus.RUNNING)

    def _completed(self, at: Mapping[str, Stored], values: Values, spare: Point) -> Values:
        """The point that is given, completed by `values`; where that is on record or lacks one, `spare`."""
        point: Point = {}
        for path in self.axes:
            if self._space.is_active(path, point):
                if path not in at and path not in values:
                    point = spare
                    break
                point[path] = at[path] if path in at else self.axes[path].stored(values[path])
        plan = {name: value for name, value in values.items() if name.startswith("tuner/")}
        return {**self._values(point if self._runs.is_new(point) else spare), **plan}

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
