"""Optuna as an engine: its samplers suggest, its pruners stop, its storage is the trial table."""

from collections.abc import Callable

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.space import Dimension, Range, Space, encode
from search.study import Trial
from search.trials import TrialTable

MakeSampler = Callable[..., optuna.samplers.BaseSampler]

_SEQUENCES = (optuna.samplers.GridSampler, optuna.samplers.QMCSampler)
"""Samplers whose seed names one sequence of trials, so that it must stay the same all along."""


class GridSampler(optuna.samplers.GridSampler):
    """Optuna's grid, without its call of `Study.stop`, which only works inside `Study.optimize`."""

    def after_trial(self, *_: object) -> None:
        """Nothing: the coordinator ends a study by its target."""


class OptunaEngine:
    """Asks and prunes on the trial table's own study.

    A sampler's random state dies with its process, so each trial gets a sampler of its own, seeded by
    the study's seed and the trial's number: a study that was resumed asks for the same trials as one
    that ran through, and never twice for the trials it began with.
    """

    def __init__(
        self,
        table: TrialTable,
        space: Space,
        make_sampler: MakeSampler,
        seed: int | None,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        self._table = table
        self._study = table.optuna_study
        self._distributions = {
            path: _distribution(dimension) for path, dimension in space.dimensions.items()
        }
        self._make_sampler = make_sampler
        self._seed = seed
        self._study.pruner = pruner

    def ask(self) -> Trial:
        self._study.sampler = self._sampler(len(self._study.get_trials(deepcopy=False)))
        return self._table.asked(self._study.ask(fixed_distributions=self._distributions))

    def resume(self, number: int) -> Trial:
        self._study.sampler = self._sampler(number)
        frozen = self._study.get_trials(deepcopy=False)[number]
        trial = optuna.Trial(self._study, frozen._trial_id)
        for path, distribution in self._distributions.items():
            _suggest(
                trial, path, distribution
            )  # what is stored, or what was not drawn before the end
        return self._table.asked(trial)

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        if trial.attempt > 1 and epoch in self._reported(trial.number):
            return False  # an attempt that was cut short got past this epoch
        asked = self._table.optuna_trial(trial.number)
        asked.report(value, epoch)
        return asked.should_prune()

    def _reported(self, number: int) -> dict[int, float]:
        return self._study.get_trials(deepcopy=False)[number].intermediate_values

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        sampler = self._make_sampler(seed=self._seed)
        if self._seed is None or isinstance(sampler, _SEQUENCES):
            return sampler
        # Not seed + number: trial 1 of seed 0 would be trial 0 of seed 1, and so on through both studies.
        mixed = np.random.SeedSequence((self._seed, number)).generate_state(1)
        return self._make_sampler(seed=int(mixed[0]))


def _suggest(trial: optuna.Trial, path: str, distribution: BaseDistribution) -> None:
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(path, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(
            path, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(
            path, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if not isinstance(dimension, Range):
        return CategoricalDistribution([encode(option) for option in dimension.options])
    if dimension.integer:
        return IntDistribution(
            int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)
