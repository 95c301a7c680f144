"""Which method the record of MNIST favours for a budget: what docs/samplers.md found, in a line."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from search.study.dimension import Range
from search.study.space import Space


class _Found(NamedTuple):
    """What was best in the time of so many `trials`, and which methods can't be told from it."""

    trials: int
    best: str
    alike: Sequence[str]


_FOUND = (
    _Found(10, "cmaes", ("tpe + asha", "tpe + median", "random + median")),
    _Found(25, "cmaes", ("tpe + median", "tpe", "qmc", "random + median", "tpe + asha")),
    _Found(50, "tpe", ("cmaes", "tpe + median", "qmc", "random + median")),
    _Found(100, "tpe", ("cmaes",)),
)
"""Of the methods of Optuna's engine; 50 studies each on two workers (`python -m search.simulate`)."""

_SAMPLERS = {
    "TPESampler": "tpe",
    "CmaEsSampler": "cmaes",
    "QMCSampler": "qmc",
    "RandomSampler": "random",
}
_PRUNERS = {"NopPruner": "", "MedianPruner": " + median", "SuccessiveHalvingPruner": " + asha"}


def advice(trials: int, space: Space, search: Mapping[str, str]) -> str | None:
    """What the record says of a study of so many trials; None of a space that it says nothing of.

    `search`: what suggests and prunes, by the names of their classes.
    """
    if sum(isinstance(each, Range) for each in space.dimensions.values()) < 2:
        return None
    found = min(_FOUND, key=lambda each: abs(each.trials - trials))
    text = f"on the record of MNIST {found.best} did best in the time of {found.trials} trials"
    sampler = _SAMPLERS.get(search.get("sampler", ""))
    pruner = _PRUNERS.get(search.get("pruner", ""))
    if sampler is None or pruner is None:
        return f"{text} (docs/samplers.md)."
    ours = f"{sampler}{pruner}"
    if ours == found.best:
        return f"{text}, as this study has it (docs/samplers.md)."
    told = "can't be told from it" if ours in found.alike else "did worse"
    return f"{text}; {ours}, as this study has it, {told} (docs/samplers.md)."
