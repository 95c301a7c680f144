"""Means over seeds with their intervals; tests of paired differences, and of networks on the same rows.

SciPy is imported where it is used: that takes half a second, and most reports have no verdict.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.command.section import Section

DIGITS = 12
"""Decimal places that a difference is rounded to: what is beyond them comes from binary fractions."""

Rows = NDArray[np.float64]


class Estimate(Section):
    """A mean over `seeds` values, with its confidence interval.

    `low`, `high`: None where the spread is not known: of one value, or where all values are the same.
    """

    value: float
    low: float | None = None
    high: float | None = None
    seeds: int

    def metrics(self, name: str) -> dict[str, float]:
        """The value as `name` and the ends of its interval, as far as known, for whoever keeps numbers."""
        ends = {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}
        return {key: value for key, value in ends.items() if value is not None}

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


class Difference(Estimate):
    """The mean of paired differences to `to`.

    `p`: how probable so large a difference is where there is none beyond the margin, corrected for all
    that was compared; None with one seed.
    """

    to: str
    p: float | None


def estimate(values: Sequence[float] | Rows, confidence: float) -> Estimate:
    """The mean of `values` and its t interval, which covers with a probability of `confidence`."""
    return estimates(np.array([values], np.float64), confidence)[0]


def estimates(rows_KxN: Rows, confidence: float | Rows) -> list[Estimate]:  # noqa: N803 (a shape)
    """The same of each row; `confidence` is one for all, or one for each."""
    seeds = rows_KxN.shape[1]
    means = rows_KxN.mean(axis=1)
    if seeds < 2:
        return [Estimate(value=float(mean), seeds=seeds) for mean in means]
    known = np.ptp(rows_KxN, axis=1) > 0
    errors = np.where(known, rows_KxN.std(axis=1, ddof=1) / math.sqrt(seeds), 1.0)
    from scipy import stats

    bounds = zip(*stats.t.interval(confidence, seeds - 1, means, errors), strict=True)
    return [
        Estimate(value=float(mean), low=float(low), high=float(high), seeds=seeds)
        if spread
        else Estimate(value=float(mean), seeds=seeds)
        for mean, (low, high), spread in zip(means, bounds, known, strict=True)
    ]


def less(high: Sequence[float] | Rows, low: Sequence[float] | Rows) -> Rows:
    """The differences of two samples, pair by pair."""
    return np.round(np.asarray(high, np.float64) - np.asarray(low, np.float64), DIGITS)


def chances(differences_KxN: Rows, margin: float) -> list[float | None]:  # noqa: N803 (a shape)
    """How probable so large a mean is, for each of K rows, were the true one at most `margin`.

    Twice the one-sided p-value of the paired t-test: which of the two is called the better one was
    seen in the same data. Where a row has no spread there is no t, and the sign test takes its place.
    None with one pair.
    """
    from scipy import stats

    count, seeds = differences_KxN.shape
    if seeds < 2:
        return [None] * count
    found = [1.0] * count
    spread = np.ptp(differences_KxN, axis=1) > 0
    if spread.any():
        test = stats.ttest_1samp(differences_KxN[spread], margin, axis=1, alternative="greater")
        for row, p in zip(np.flatnonzero(spread), test.pvalue, strict=True):
            found[row] = min(1.0, 2 * float(p))
    for row in np.flatnonzero(~spread):
        if differences_KxN[row, 0] > margin:
            found[row] = float(stats.binomtest(seeds, seeds).pvalue)
    return list(found)


def mcnemar(one_alone: int, other_alone: int) -> float:
    """How probable so uneven a split is of the rows that only one of two networks is right on.

    Exact and two-sided, were both as often right (McNemar, Psychometrika 12, 1947).
    """
    from scipy import stats

    rows = one_alone + other_alone
    return float(stats.binomtest(one_alone, rows).pvalue) if rows else 1.0
