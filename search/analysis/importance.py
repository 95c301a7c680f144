"""How much each parameter mattered, by PED-ANOVA (Watanabe et al. 2023), whatever engine asked."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import optuna

from search.analysis.facts import Facts
from search.trial_table.terms import distributions

_FEWEST = 10
"""Complete trials below which an importance would be noise."""


@dataclass(frozen=True)
class Importance:
    """Shares that add up to 1, largest first, by path; or none, and `why`. `caveat`: how to read them."""

    shares: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    caveat: str = ""


def importance(facts: Facts) -> Importance:
    """The importance of every parameter for being among the best tenth of the complete trials."""
    complete = facts.state("complete")
    paths = list(facts.space.dimensions)
    if len(paths) < 2:
        return Importance(why=f"Only {paths[0]} varies: there is nothing to compare it with.")
    if len(complete) < _FEWEST:
        return Importance(
            why=f"Too few trials to tell: {len(complete)} complete, at least {_FEWEST} are needed."
        )
    if len({entry.value for entry in complete}) < 2:
        return Importance(why="All trials have the same value: nothing made a difference.")
    study = optuna.create_study(direction=facts.objective.direction)
    spaces = distributions(facts.space)
    for entry in complete:  # under conditions each trial has parameters of its own
        params = {path: entry.params[path] for path in paths if path in entry.params}
        known = {path: spaces[path] for path in params}
        study.add_trial(
            optuna.trial.create_trial(value=entry.value, params=params, distributions=known)
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is experimental in name
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    if not all(math.isfinite(share) for share in found.values()) or sum(found.values()) <= 0:
        return Importance(why="The best trials are spread like all others: nothing stands out.")
    few = len(complete) < 10 * len(paths)
    caveat = f"From {len(complete)} trials" + (": a rough estimate." if few else ".")
    return Importance(dict(sorted(found.items(), key=lambda item: -item[1])), caveat=caveat)
