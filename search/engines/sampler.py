"""A sampler of Optuna's that never suggests what is on record."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.engines.memory import Memory
from search.engines.weighed import Weighed
from search.study.space import Space
from search.study.untried import Point, Runs

MakeSampler = Callable[..., BaseSampler]

ASKED = 20
"""How often a sampler is asked before a point is taken at random: a small space it knows by then."""


class GridSampler(optuna.samplers.RandomSampler):
    """Every point of a finite space once, in an order that the seed shuffles.

    That is what a sampler that suggests nothing of its own comes to beside `NewSampler`.
    """


class NewSampler(BaseSampler):
    """Asks a sampler until it suggests a run that is not on record, each time from another random state.

    A random state dies with its process, so that each trial has a sampler of its own, seeded by the
    study's seed, the trial's number and how often was asked: a study that was resumed asks for the same
    trials as one that ran through.
    `spare`: a point that is new, for the trial whose sampler does not come to one. `at`: what of the
    point is given. `strayed`: whether the last trial has another point than its sampler's.
    `before`: how many trials there are that are not the study's own. `storage`: what holds them, of which
    a sampler sees those that are `weighed`.
    """

    def __init__(
        self,
        make: MakeSampler,
        seed: int,
        space: Space,
        distributions: Mapping[str, BaseDistribution],
        runs: Runs,
        before: int,
        storage: Memory,
        weighed: Weighed,
    ) -> None:
        self._make = make
        self._seed = seed
        self._space = space
        self._distributions = dict(distributions)
        self._runs = runs
        self._first = make(seed=seed)
        self._before = before
        self._storage = storage
        self._weighed = weighed
        self.spare: Point = {}
        self.at: Point = {}
        self.strayed = False

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The whole space: all parameters are sampled together, so that a point can be refused."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A new point, with the parameters that count."""
        is_whole = self.at.keys() == self.spare.keys()
        asked = 0 if is_whole or isinstance(self._first, GridSampler) else ASKED
        for attempt in range(asked):
            sampler = self._sampler(trial.number - self._before, attempt)
            point = self._point(sampler, study, trial)
            if self._runs.is_new(point):
                self.strayed = bool(self.at)
                return point
        self.strayed = True
        return self.spare

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never called: no parameter is left over."""
        raise NotImplementedError

    def _point(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> Point:
        sampler.before_trial(study, trial)
        # A Study keeps the trials that it was first asked for until the next one is suggested.
        other = optuna.load_study(study_name=study.study_name, storage=self._storage, sampler=self)
        with self._storage.showing(self._weighed.kinds()):
            together = sampler.infer_relative_search_space(other, trial)
        point: Point = {}
        with self._storage.showing(self._weighed.numbers()):
            values = sampler.sample_relative(study, trial, together)
            for path, distribution in self._distributions.items():
                if path in self.at:
                    point[path] = self.at[path]
                elif self._space.is_active(path, point):
                    value = values.get(path)
                    if path not in values:
                        value = sampler.sample_independent(study, trial, path, distribution)
                    point[path] = self._space.canonical(path, value)
        return point

    def _sampler(self, number: int, attempt: int) -> BaseSampler:
        seed = mixed(self._seed, number, *([attempt] if attempt else []))
        if not isinstance(self._first, optuna.samplers.QMCSampler):
            return self._make(seed=seed)
        # Its seed names one sequence, of which each call takes the next point. It draws at random until
        # a trial has not failed: not the point that failed once more.
        independent = optuna.samplers.RandomSampler(seed=seed)
        return self._make(seed=self._seed, independent_sampler=independent)


def mixed(*numbers: int) -> int:
    """A seed for these. Not their sum: trial 1 of seed 0 would be trial 0 of seed 1, and so on."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
