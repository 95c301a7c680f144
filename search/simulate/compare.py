"""Methods beside each other, on the same record: what each came to, how fast, and which differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.simulate.play import Course
from search.simulate.record import Floats

SHARES = (0.25, 0.5, 1.0)
"""Parts of the time after which methods are compared."""


@dataclass(frozen=True)
class Method:
    """A method, as it is called here, and its courses, one for each repeat."""

    name: str
    courses: tuple[Course, ...]

    def regret(self, best: float, seconds: float) -> Floats:
        """Of each repeat, how much worse than the `best` network its choice is; infinite without one."""
        values = np.array([course.at(seconds) for course in self.courses])
        return np.where(np.isnan(values), math.inf, np.abs(best - values))

    def regret_after(self, best: float, trials: int) -> Floats:
        """The same after so many trials; infinite where a study did not get there."""
        values = np.array([course.after(trials) for course in self.courses])
        return np.where(np.isnan(values), math.inf, np.abs(best - values))

    def reached(self, best: float, within: float, seconds: float) -> Floats:
        """When each repeat had a network within that of the best; infinite where it had none in time."""
        found = []
        for course in self.courses:
            good = np.flatnonzero(np.abs(best - course.values) <= within)
            at = float(course.times[good[0]]) if len(good) else math.inf
            found.append(at if at <= seconds else math.inf)
        return np.array(found)


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods, from 1, the best; `p`: of the hypothesis that none differs.

    Two whose ranks differ by less than `critical` can't be told apart at 5 % (Demšar 2006, section 3.2.2:
    Friedman's test with Iman and Davenport's correction, then Nemenyi's).
    """

    means: Floats
    p: float
    critical: float


def ranks(regrets: Floats) -> Ranks:
    """Those of methods x repeats: a repeat has the same luck for all, and is a block."""
    from scipy.stats import f, rankdata, studentized_range  # it takes a third of a second to import

    methods, repeats = regrets.shape
    means = np.array([rankdata(column) for column in regrets.T]).mean(axis=0)
    if methods < 2 or repeats < 2:
        return Ranks(means, math.nan, math.nan)
    chi = (
        12
        * repeats
        / (methods * (methods + 1))
        * (np.sum(means**2) - methods * (methods + 1) ** 2 / 4)
    )
    left = repeats * (methods - 1) - chi
    p = (
        0.0
        if left <= 0
        else float(f.sf((repeats - 1) * chi / left, methods - 1, (methods - 1) * (repeats - 1)))
    )
    quantile = studentized_range.ppf(0.95, methods, np.inf) / math.sqrt(2)
    critical = float(quantile * math.sqrt(methods * (methods + 1) / (6 * repeats)))
    return Ranks(means, p, critical)


def quartiles(values: Floats) -> tuple[float, float, float]:
    """The median between the quartiles, of values that may be infinite: each is one of them."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf")
    return float(low), float(median), float(high)


def best_of(methods: Sequence[Method], found: float, maximizes: bool) -> float:
    """The best network that is known of: `found` elsewhere, or by one of the methods."""
    values = [found, *(float(value) for m in methods for c in m.courses for value in c.values[-1:])]
    known = [value for value in values if not math.isnan(value)]
    return max(known) if maximizes else min(known)
