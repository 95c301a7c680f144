"""Optuna as an engine: its samplers suggest, its pruners stop."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.space import Space, Stored
from search.study import Entry, Suggestion
from search.trials import TO_OPTUNA, distributions

MakeSampler = Callable[..., optuna.samplers.BaseSampler]

_SEQUENCES = (optuna.samplers.GridSampler, optuna.samplers.QMCSampler)
"""Samplers whose seed names one sequence of trials, so that it must stay the same all along."""


_SHARED = ("_search_space", "_group_decomposed_search_space")
"""Where Optuna's samplers remember which parameters all trials have, lest they read every trial again."""


class GridSampler(optuna.samplers.GridSampler):
    """Optuna's grid, without its call of `Study.stop`, which only works inside `Study.optimize`."""

    def after_trial(self, *_: object) -> None:
        """Nothing: the coordinator ends a study by its target."""


class OptunaEngine:
    """Asks and prunes on a study in memory, made from what the trial table remembers.

    A sampler's random state dies with its process, so each trial gets a sampler of its own, seeded by
    the study's seed and the trial's number: a study that was resumed asks for the same trials as one
    that ran through, and never twice for the trials it began with.
    """

    continues = False

    def __init__(
        self,
        name: str,
        direction: Literal["maximize", "minimize"],
        metric: str,
        space: Space,
        make_sampler: MakeSampler,
        seed: int | None,
        pruner: optuna.pruners.BasePruner,
        entries: Sequence[Entry],
    ) -> None:
        self._storage = optuna.storages.InMemoryStorage()
        sampler = make_sampler(seed=seed)
        # The name is the study's own: Hyperband assigns brackets by it.
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            direction=direction,
            sampler=sampler,
            pruner=pruner,
        )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._metric = metric
        self._space = space
        self._distributions = distributions(space)
        self._make_sampler = make_sampler
        self._seed = seed
        self._is_sequence = isinstance(sampler, _SEQUENCES)
        self._size = space.size()
        self._tried: set[str] = set()
        self._shared = {name: vars(sampler)[name] for name in _SHARED if name in vars(sampler)}
        for entry in entries:
            self._replay(entry)

    def ask(self) -> Suggestion | Literal["exhausted"]:
        if len(self._tried) == self._size:
            return "exhausted"
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = self._sampler(number)
        vars(self._study.sampler).update(self._shared)
        asked = self._study.ask()
        params: dict[str, Stored] = {}
        for path, distribution in self._distributions.items():
            if self._space.is_active(path, params):
                params[path] = self._suggest(asked, path, distribution)
        self._tried.add(_point(params))
        return Suggestion(params, notes=self.notes(number))

    def report(self, number: int, epoch: int, value: float) -> bool:
        trial_id = self._trial_id(number)
        self._storage.set_trial_intermediate_value(trial_id, epoch, value)
        # An attempt that was cut short may have left later epochs, which this one has yet to reach.
        frozen = copy.copy(self._storage.get_trial(trial_id))
        values = frozen.intermediate_values
        frozen.intermediate_values = {step: values[step] for step in values if step <= epoch}
        return self._study.pruner.prune(self._study, frozen)

    def notes(self, number: int) -> Mapping[str, Any]:
        """What samplers and pruners wrote down of a trial and, until then, of the study."""
        trial = self._storage.get_trial(self._trial_id(number))
        study = self._storage.get_study_system_attrs(self._study_id)
        notes = {"trial": trial.system_attrs, "study": study}
        return {} if notes == {"trial": {}, "study": {}} else json.loads(json.dumps(notes))

    def tell(self, entry: Entry) -> None:
        value = entry.value if entry.state == "complete" else None
        self._study.tell(entry.number, value, state=TO_OPTUNA[entry.state])

    def _replay(self, entry: Entry) -> None:
        """Take in a trial of an earlier launch, as it stood there when that ended."""
        self._tried.add(_point(entry.params))
        notes = {"trial": {}, "study": {}, **entry.notes}
        reported = {epoch.epoch: epoch.metrics[self._metric] for epoch in entry.history}
        last = reported[max(reported)] if reported else None
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TO_OPTUNA[entry.state],
                value={"complete": entry.value, "pruned": last}.get(entry.state),
                params=dict(entry.params),
                distributions={path: self._distributions[path] for path in entry.params},
                system_attrs=notes["trial"],
                intermediate_values=reported,
            )
        )
        for key, value in notes["study"].items():
            self._storage.set_study_system_attr(self._study_id, key, value)

    def _suggest(self, trial: optuna.Trial, path: str, distribution: BaseDistribution) -> Stored:
        """A value for `path`, as the space has it; Optuna is to remember that very one."""
        suggested = _suggested(trial, path, distribution)
        value = self._space.canonical(path, suggested)
        if value != suggested:
            internal = distribution.to_internal_repr(value)
            self._storage.set_trial_param(trial._trial_id, path, internal, distribution)
        return value

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        if self._seed is None:
            return self._make_sampler(seed=None)
        # Not seed + number: trial 1 of seed 0 would be trial 0 of seed 1, and so on in both studies.
        mixed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        if not self._is_sequence:
            return self._make_sampler(seed=mixed)
        sampler = self._make_sampler(seed=self._seed)
        if isinstance(sampler, optuna.samplers.QMCSampler):
            # It draws at random until a trial has not failed: not the point that failed once more.
            random = optuna.samplers.RandomSampler(seed=mixed)
            sampler = self._make_sampler(seed=self._seed, independent_sampler=random)
        return sampler


def _point(params: Mapping[str, Stored]) -> str:
    """The same for the same point, whatever the order of its parameters."""
    return json.dumps(params, sort_keys=True)


def _suggested(trial: optuna.Trial, path: str, distribution: BaseDistribution) -> Stored:
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            path, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            path, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)
    return trial.suggest_categorical(path, distribution.choices)
