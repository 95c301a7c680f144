"""Methods in a picture: regret against simulated time, and against trials, with bands."""

from collections.abc import Sequence

import numpy as np

from search.plots.marks import Line, Panel, Plot, Side
from search.plots.style import BLUE, GREEN, INK, MUTED, ORANGE, RED, time_unit
from search.simulate.compare import Method, quartiles
from search.simulate.methods import Ground

_COLOURS = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", INK, MUTED)
_POINTS = 60
_LEAST = 1e-5
"""A regret below it is drawn there: the axis is logarithmic."""


def plot(found: Ground, methods: Sequence[Method], best: float) -> Plot:
    """Medians, and faint lines at the quartiles."""
    unit, length = time_unit(found.seconds)
    times = np.linspace(0, found.seconds, _POINTS + 1)[1:]
    by_time, by_trials = list[Line](), list[Line]()
    for place, method in enumerate(methods):
        colour = _COLOURS[place % len(_COLOURS)]
        at = [quartiles(method.regret(best, time)) for time in times]
        by_time += _lines(times / length, at, colour, method.name)
        counts = sorted(len(course.values) for course in method.courses)
        trials = range(1, counts[len(counts) // 4] + 1)
        after = [quartiles(method.regret_after(best, number)) for number in trials]
        by_trials += _lines(np.array(trials, dtype=float), after, colour, "")
    up = Side(f"regret ({found.setup.run.objective.metric})", log=True)
    return Plot(
        f"{found.setup.study.name}: {len(methods)} methods, {found.config.repeats} studies each",
        "Medians; the thin lines are the quartiles. Lower is better.",
        [
            Panel(Side(f"{unit}, simulated, {found.workers} workers"), up, by_time),
            Panel(Side("trials that ended"), up, by_trials),
        ],
        width=12.0,
        height=6.0,
    )


def _lines(
    across: np.ndarray, at: Sequence[tuple[float, float, float]], colour: str, name: str
) -> list[Line]:
    found = []
    for which, width in ((1, 2.2), (0, 0.5), (2, 0.5)):
        points = [
            (float(x), max(each[which], _LEAST))
            for x, each in zip(across, at, strict=True)
            if np.isfinite(each[which])
        ]
        if points:
            found.append(Line(points, colour, width, name if which == 1 else "", stepped=True))
    return found
