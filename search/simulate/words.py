"""What a comparison came to, for people to read."""

import math
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from search.forecasting.words import duration
from search.simulate.compare import SHARES, Method, Ranks, quartiles
from search.simulate.methods import Ground


def head(found: Ground) -> list[str]:
    """What is compared on what, line by line."""
    surrogate, record, study = found.surrogate, found.record, found.setup.study
    repeats = found.config.repeats
    seeds = "no configuration has two seeds: what it misses stands for their noise"
    if surrogate.noise is not None:
        seeds = f"seeds differ by {surrogate.noise:.4f} there"
    return [
        f"{study.name} on the record {record.name}: {len(record.params)} runs of {len(surrogate)} "
        "configurations.",
        f"Between them a surrogate: {surrogate.metric} is off by {surrogate.error:.4f} where a configuration "
        f"is left out, among the better half; {seeds}.",
        *(f"Within the record: {what}." for what in found.narrowed),
        f"{repeats} {'study' if repeats == 1 else 'studies'} of each method, of {duration(found.seconds)} "
        f"on {found.workers} workers; the best network has {found.best:.4f}.",
    ]


def table(found: Ground, methods: Sequence[Method], best: float, ranked: Ranks) -> Table:
    """A row for each method, the best rank first."""
    drawn = Table(box=None, pad_edge=False)
    parts = [f"{share:.0%}" for share in SHARES]
    for name in ("method", "trials", "pruned", *parts, "quartiles", "rank", "found after"):
        drawn.add_column(name, justify="left" if name == "method" else "right")
    for place in np.argsort(ranked.means, kind="stable").tolist():
        method = methods[place]
        ends = [quartiles(method.regret(best, share * found.seconds)) for share in SHARES]
        reached = method.reached(best, found.config.within, found.seconds)
        median = quartiles(reached)[1]
        drawn.add_row(
            method.name,
            f"{np.mean([len(course.times) for course in method.courses]):.0f}",
            f"{np.mean([course.pruned for course in method.courses]):.0f}",
            *(_number(each[1]) for each in ends),
            f"{_number(ends[-1][0])}-{_number(ends[-1][2])}",
            f"{ranked.means[place]:.2f}",
            f"{duration(median) if math.isfinite(median) else '-'} ({np.mean(np.isfinite(reached)):.0%})",
        )
    return drawn


def tail(found: Ground, methods: Sequence[Method], ranked: Ranks) -> list[str]:
    """Which methods differ, and how to read the table."""
    said = [
        f"{', '.join(f'{share:.0%}' for share in SHARES)} of the time: the median regret, in 0.0001, which "
        "is how far the network that a study chooses is from the best one of the space, without the luck of "
        "its seed; the quartiles are those at the end. Found after: the median time to a network within "
        f"{found.config.within:g} of the best, and how many of the studies had one.",
    ]
    if math.isnan(ranked.critical):
        return [*said, "One method, or one study of each: which is better is not said."]
    if ranked.p >= 0.05:
        return [*said, f"The methods can't be told apart (Friedman, p = {ranked.p:.2g})."]
    order = np.argsort(ranked.means, kind="stable").tolist()
    first = ranked.means[order[0]]
    alike = [methods[n].name for n in order if ranked.means[n] - first < ranked.critical]
    return [
        *said,
        f"The mean ranks at the end differ (Friedman, p = {ranked.p:.1g}); two that are nearer than "
        f"{ranked.critical:.2f} can't be told apart at 5 % (Nemenyi).",
        f"The best, and what can't be told from it: {', '.join(alike)}.",
    ]


def _number(value: float) -> str:
    """Ten-thousandths: what is met here has four places."""
    return f"{1e4 * value:.1f}" if math.isfinite(value) else "none"
