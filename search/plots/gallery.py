"""All figures of a study, and where they go."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.data import Dataset
from pipeline.run.config import Cost
from search.analysis.facts import Facts
from search.analysis.finalists import Finalists
from search.plots import png, trial
from search.plots.chart import chart, parameter, shows_objective
from search.plots.course import history, learning_curves
from search.plots.front import against_multiply_adds, against_parameters, against_time
from search.plots.marks import Plot
from search.plots.parameters import contour, importance, pair, parallel, slices, steady
from search.plots.timeline import timeline
from search.plots.verdict import verdict
from search.study.vocabulary import Entry

_COSTS = {
    "accuracy_against_time": against_time,
    "accuracy_against_parameters": against_parameters,
}
"""Those that have intervals where a verdict does."""

FRONTS: dict[Cost, str] = {
    "train_seconds": "accuracy_against_time",
    "parameters": "accuracy_against_parameters",
    "multiply_adds": "accuracy_against_multiply_adds",
}
"""What comes first in a study that searched this front."""

FIGURES: dict[str, Callable[[Facts], Plot]] = {
    "chart": chart,
    "history": history,
    "slices": slices,
    "parallel_coordinates": parallel,
    "contour": contour,
    "importance": importance,
    "learning_curves": learning_curves,
    **_COSTS,
    "timeline": timeline,
}
"""The figures of a study by the names of their files, in the order of the report."""

VERDICT = "verdict"
"""The same of its finalists, where a verdict stands."""


def of_study(facts: Facts, finalists: Finalists | None = None) -> dict[str, Plot]:
    """The figures that say something of this study, by name; first its verdict's where one stands."""
    left_out = set()
    if parameter(facts) is None:
        left_out.add("chart")
    elif shows_objective(facts):
        left_out.add("slices")
    if len(facts.varied) < 2:
        left_out |= {"contour", "importance"} | ({"slices"} if not facts.varied else set())
    elif pair(facts) is None:  # which the importance says
        left_out.add("contour")
    if len(steady(facts)) < 2:
        left_out.add("parallel_coordinates")
    if len({entry.result.parameters for entry in facts.valued if entry.result}) < 2:
        left_out.add("accuracy_against_parameters")
    figures = {
        name: _COSTS[name](facts, finalists) if name in _COSTS else plot(facts)
        for name, plot in FIGURES.items()
        if name not in left_out
    }
    if (cost := facts.objective.cost) is not None:
        plot = _COSTS.get(FRONTS[cost], against_multiply_adds)
        figures = {FRONTS[cost]: plot(facts, finalists), **figures}
    if finalists is None or finalists.verdict is None:
        return figures
    return {VERDICT: verdict(finalists), **figures}


def save(figure: Figure, file: Path) -> None:
    """Write `figure` as a PNG, drawn once: `savefig` draws first to see how large all is, and again."""
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]


def save_study(facts: Facts, folder: Path, finalists: Finalists | None = None) -> None:
    """Write all figures of a study as PNGs into `folder`."""
    for name, plot in of_study(facts, finalists).items():
        save(png.draw(plot), folder / f"{name}.png")


def save_trial(entry: Entry, dataset: Dataset | None, folder: Path) -> None:
    """Write confusion matrix and hardest images of a trial, as far as it has them.

    `dataset`: None where there is none to take images from.
    """
    if entry.result is None or not entry.result.confusion:
        return
    save(trial.confusion(entry), folder / "confusion.png")
    if dataset is not None and trial.pictured(dataset.shape):
        save(trial.hardest(entry, dataset), folder / "hardest.png")
