"""Configurations with values made by hand, for what is judged of them."""

import math
from typing import Any

import numpy as np

from search.analysis.plan import Contender, Plan
from search.analysis.verdict import Verdict

PLAN = Plan(metric="val_accuracy", direction="maximize")
SHORT = PLAN.model_copy(update={"seeds": 5, "max_seeds": 5})


def noise(mean: float, sd: float, count: int, key: int) -> list[float]:
    return [float(v) for v in mean + sd * np.random.default_rng(key).standard_normal(count)]


def contender(name: str, mean: float = 0.978, sd: float = 0.0008, **changes: Any) -> Contender:
    """One with all the values that a plan can ask for; its noise depends on its name alone."""
    key = sum(name.encode())
    known: dict[str, Any] = {
        "name": name,
        "parameters": 118_282,
        "seconds": 8.0,
        "default": name == "default",
        "race": dict(enumerate(noise(mean, sd, 30, key))),
        "confirmation": dict(enumerate(noise(mean, sd, 30, key + 1000))),
    }
    return Contender(**known | changes)


def flat(name: str, value: float | None, **changes: Any) -> Contender:
    """One whose every seed gives `value`."""
    same = dict.fromkeys(range(30), value)
    return contender(name, **{"race": same, "confirmation": same} | changes)


def lost(name: str, part: str = "race", mean: float = 0.978, **changes: Any) -> Contender:
    """One of which a seed diverged."""
    each = contender(name, mean, **changes)
    return Contender(**{**each.model_dump(), part: getattr(each, part) | {2: math.nan}})


def study() -> list[Contender]:
    """One far ahead, one near it, one behind, and the default far behind."""
    return [
        contender("a", 0.9800, study=0.9815),
        contender("b", 0.9798, study=0.9806),
        contender("c", 0.9780, study=0.9803),
        contender("default", 0.9740),
    ]


def state(verdict: Verdict) -> dict[str, str]:
    return {each.name: each.state for each in verdict.standings}
