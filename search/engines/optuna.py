"""Optuna as an engine: its samplers suggest, its pruners stop."""

import copy
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna

from pipeline.run.config import Direction
from search.engines.memory import Memory
from search.engines.sampler import GridSampler, MakeSampler, NewSampler, mixed
from search.engines.weighed import Weighed
from search.study.space import Space, Stored
from search.study.untried import Runs
from search.study.vocabulary import Curve, Exhausted, Suggestion, Told
from search.trial_table.attributes import Past
from search.trial_table.terms import TO_OPTUNA, distributions, values

__all__ = ["GridSampler", "OptunaAlgorithm", "takes_two"]


class OptunaAlgorithm:
    """A study of Optuna's in memory, made from what the trial table remembers.

    Trials of other studies, `past`, come before its own, whose numbers are counted from 0 all the same.
    `weighs`: how many of the newest trials its sampler weighs, as `Weighed`; None: all.
    """

    continues = False

    def __init__(
        self,
        directions: Sequence[Direction],
        space: Space,
        runs: Runs,
        make_sampler: MakeSampler,
        seed: int,
        pruner: optuna.pruners.BasePruner,
        past: Sequence[Past] = (),
        weighs: int | None = None,
    ) -> None:
        self._space = space
        self._runs = runs
        self._seed = seed
        self._distributions = distributions(space)
        self._before = len(past)
        self._weighed = Weighed(directions, weighs)
        self._storage = Memory()
        self._sampler = NewSampler(
            make_sampler,
            seed,
            space,
            self._distributions,
            runs,
            self._before,
            self._storage,
            self._weighed,
        )
        # Hyperband assigns brackets by the name: the same seed gives the same ones, whatever the study's.
        name = f"seed {seed}"
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=directions,
            sampler=self._sampler,
            pruner=pruner,
        )
        self._study_id = self._storage.get_study_id_from_name(name)
        self._study.add_trials(map(self._of_another, past))
        for trial in self._study.get_trials(deepcopy=False):
            self._weighed.ended(trial)
        self._asked_attrs: list[Mapping[str, Any]] = []  # of each trial, when it was suggested

    def add(self, suggestion: Suggestion) -> None:
        notes = {"trial": {}, "pruner": {}, "study": {}, **suggestion.notes}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=dict(suggestion.params),
                distributions={path: self._distributions[path] for path in suggestion.params},
                system_attrs={**notes["trial"], **notes["pruner"]},
            )
        )
        self._weighed.runs(self._before + len(self._asked_attrs))
        for key, value in notes["study"].items():
            self._storage.set_study_system_attr(self._study_id, key, value)
        self._asked_attrs.append(notes["trial"])
        self._runs.add(suggestion.params)

    def suggest(self, at: Mapping[str, Stored] = MappingProxyType({})) -> Suggestion | Exhausted:
        number = len(self._asked_attrs)
        spare = self._runs.untried(mixed(self._seed, number), at)
        if spare is None:
            return Exhausted()
        self._sampler.spare, self._sampler.at = spare, dict(at)
        params = self._study.ask().relative_params
        trial_id = self._trial_id(number)
        if self._sampler.strayed:  # what the sampler wrote down is of points that were not taken
            self._storage.write_anew(trial_id, {}, {})
        for path, value in params.items():
            distribution = self._distributions[path]
            internal = distribution.to_internal_repr(value)
            self._storage.set_trial_param(trial_id, path, internal, distribution)
        attrs = {"trial": self._storage.get_trial(trial_id).system_attrs}
        attrs["study"] = self._storage.get_study_system_attrs(self._study_id)
        notes = _as_json(attrs)
        self._weighed.runs(self._before + number)
        self._asked_attrs.append(notes.get("trial", {}))
        self._runs.add(params)
        return Suggestion(params, notes=notes)

    def prunes(self, number: int, curve: Curve, known: int | None) -> bool:
        trial_id = self._trial_id(number)
        if len(curve) == 1:  # an attempt before this one may have got past its first epoch
            self._storage.write_anew(trial_id, self._asked_attrs[number], {})
        trial = copy.copy(self._storage.get_trial(trial_id))
        trial.intermediate_values = dict(curve)
        own = number + self._before
        seen = None if known is None else [*range(known + self._before), own]
        with self._storage.showing(seen):
            return bool(self._study.pruner.prune(self._study, trial))

    def notes(self, told: Told) -> Mapping[str, Any]:
        """What the pruner wrote down of the attempt that ended."""
        asked = self._asked_attrs[told.number]
        if not told.curve:
            self._storage.write_anew(self._trial_id(told.number), asked, {})
        attrs = self._storage.get_trial(self._trial_id(told.number)).system_attrs
        return _as_json({"pruner": {key: attrs[key] for key in attrs if key not in asked}})

    def tell(self, told: Told) -> None:
        trial = self._storage.get_trial(self._trial_id(told.number))
        self._storage.write_anew(self._trial_id(told.number), trial.system_attrs, told.curve)
        state = TO_OPTUNA[told.state]
        self._study.tell(told.number + self._before, values(told.value, told.cost), state=state)
        self._weighed.ended(self._storage.get_trial(self._trial_id(told.number)))

    def _trial_id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(
            self._study_id, number + self._before
        )

    def _of_another(self, past: Past) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            state=TO_OPTUNA["pruned" if past.value is None else "complete"],
            params=dict(past.params),
            distributions={path: self._distributions[path] for path in past.params},
            values=values(past.value, past.cost),
            intermediate_values=dict(past.curve),
        )


def takes_two(make_sampler: MakeSampler, directions: Sequence[Direction]) -> bool:
    """Whether a sampler suggests by two objectives: one that can't, says so as soon as it is asked."""
    try:
        study = optuna.create_study(sampler=make_sampler(seed=0), directions=directions)
        study.ask().relative_params  # noqa: B018  # the sampler is asked here, and not before
    except ValueError:
        return False
    return True


def _as_json(notes: Mapping[str, Any]) -> dict[str, Any]:
    """What of `notes` is not empty, as the table gives it back."""
    kept: dict[str, Any] = json.loads(json.dumps({key: notes[key] for key in notes if notes[key]}))
    return kept
