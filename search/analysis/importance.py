"""How much each parameter mattered, by PED-ANOVA (Watanabe et al. 2023), whatever engine asked.

A study is one sample of trials, and another would give other importances. So trials are drawn again with
replacement, and what is told is what nearly all of these samples tell: which parameter comes first, which
second, and so on up to the first place that changes.
"""

import math
import warnings
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from pipeline.run.config import ObjectiveConfig
from search.study.ranking import SEED
from search.study.space import Space
from search.study.vocabulary import Entry
from search.trial_table.terms import TO_OPTUNA, distributions

FEWEST = 20
"""Complete trials below which samples agree by chance: of ten, one trial is the best tenth."""

_SAMPLES = 20
_AGREE = 19
"""So many of the samples have the parameters that are told of in the same places."""

_LARGEST = 150
"""Trials in a sample at most, which bounds what they cost; smaller ones agree less often, not more."""

_BEST_SHARE, _BEST_TRIALS = 0.1, 5
"""What counts as the best: a tenth of the trials, and five at least, as Optuna advises."""

_TOO_FEW = "Too few trials to say"


@dataclass(frozen=True)
class Share:
    """A parameter's share of all importance, and between which ends it lies in nine of ten samples."""

    path: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """`settled`: the parameters whose place the trials tell, the most important first. `others`: all others.

    `samples`: how it was found out, in words. `why`: the reason where
    nothing is settled.
    """

    settled: tuple[Share, ...] = ()
    others: tuple[str, ...] = ()
    samples: str = ""
    why: str = ""

    @property
    def rest(self) -> float:
        """The share of `others` together."""
        return max(0.0, 1 - sum(each.value for each in self.settled))


def importance(space: Space, objective: ObjectiveConfig, complete: Sequence[Entry]) -> Importance:
    """The importance of every parameter of `space` for being among the best of the `complete` trials.

    A place is settled where 19 of 20 samples of the trials have the same parameters in it and before it.
    A seed that varies to repeat trials is no parameter.
    """
    paths = [path for path in space.dimensions if path != SEED]
    if len(paths) < 2:
        return Importance(why=f"Only {paths[0] if paths else SEED} varies: nothing to compare.")
    if len(complete) < FEWEST:
        return Importance(
            why=f"{_TOO_FEW}: {len(complete)} complete, at least {FEWEST} are needed."
        )
    if len({entry.value for entry in complete}) < 2:
        return Importance(why="All trials have the same value: nothing made a difference.")
    trials = _in_optunas_terms(space, complete, paths)
    shares = _shares(objective, trials, paths)
    if not all(map(math.isfinite, shares.values())) or sum(shares.values()) <= 0:
        return Importance(why="The best trials are spread like all others: nothing stands out.")
    places = sorted(paths, key=lambda path: -shares[path])
    generator, size = np.random.default_rng(0), min(len(trials), _LARGEST)
    samples = [
        _shares(objective, [trials[i] for i in generator.integers(len(trials), size=size)], paths)
        for _ in range(_SAMPLES)
    ]
    settled = _settled(places, samples)
    if not settled:
        return Importance(
            others=tuple(places),
            why=f"{_TOO_FEW}: drawn again, the {len(complete)} complete ones put another parameter first.",
        )
    return Importance(
        tuple(_share(path, shares, samples) for path in places[:settled]),
        tuple(places[settled:]),
        f"{_AGREE} of {_SAMPLES} samples drawn from the {len(complete)} complete trials have this order",
    )


def _settled(places: Sequence[str], samples: Sequence[Mapping[str, float]]) -> int:
    """How many of `places`, from the first on, nearly all samples have in the same order."""
    orders = [sorted(places, key=lambda path: -sample[path]) for sample in samples]
    same = [
        sum(order[:count] == places[:count] for order in orders) for count in range(len(places) + 1)
    ]
    return max(count for count, agreeing in enumerate(same) if agreeing >= _AGREE)


def _share(path: str, shares: Mapping[str, float], samples: Sequence[Mapping[str, float]]) -> Share:
    low, high = np.quantile([sample[path] for sample in samples], [0.05, 0.95])
    return Share(path, shares[path], float(low), float(high))


class _Sample(optuna.Study):
    """A study of given trials, which are stored nowhere."""

    def __init__(self, objective: ObjectiveConfig, trials: list[FrozenTrial]) -> None:
        storage = InMemoryStorage()
        study = optuna.create_study(storage=storage, direction=objective.direction)
        super().__init__(study.study_name, storage)
        self._given = trials

    def get_trials(
        self, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        return self._given


def _shares(
    objective: ObjectiveConfig, trials: list[FrozenTrial], paths: Sequence[str]
) -> dict[str, float]:
    """The share of each of `paths` by these trials; 0 for one that none of them has."""
    best = max(_BEST_SHARE, min(_BEST_TRIALS / len(trials), 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is experimental in name
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best)
        found = evaluator.evaluate(_Sample(objective, trials))
    whole = sum(found.values()) or 1.0
    return {path: found.get(path, 0.0) / whole for path in paths}


def _in_optunas_terms(
    space: Space, complete: Sequence[Entry], paths: Sequence[str]
) -> list[FrozenTrial]:
    """The trials for Optuna; under conditions each has parameters of its own."""
    kinds = distributions(space)
    trials = []
    for entry in complete:
        params = {path: entry.params[path] for path in paths if path in entry.params}
        trials.append(
            FrozenTrial(
                number=entry.number,
                trial_id=entry.number,
                state=TO_OPTUNA["complete"],
                value=entry.value,
                params=params,
                distributions={path: kinds[path] for path in params},
                datetime_start=None,
                datetime_complete=None,
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
        )
    return trials
