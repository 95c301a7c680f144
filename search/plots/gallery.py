"""All figures of a study, and where they go."""

from pathlib import Path

from matplotlib.figure import Figure

from pipeline.data import Dataset
from search.facts import Facts
from search.plots import course, parameters, trial
from search.plots.chart import chart, parameter
from search.plots.style import Draw
from search.plots.timeline import timeline
from search.study import Entry

FIGURES: dict[str, Draw] = {
    "chart": chart,
    "history": course.history,
    "importance": parameters.importance,
    "slices": parameters.slices,
    "parallel_coordinates": parameters.parallel,
    "contour": parameters.contour,
    "learning_curves": course.learning_curves,
    "timeline": timeline,
    "accuracy_against_time": course.cost,
}


def of_study(facts: Facts) -> dict[str, Draw]:
    """The figures that say something of this study, by name."""
    left_out = set()
    if parameter(facts) is None:
        left_out.add("chart")
    if len(facts.axes) < 2:
        left_out.add("contour")
    return {name: draw for name, draw in FIGURES.items() if name not in left_out}


def save(figure: Figure, file: Path) -> None:
    """`figure` as a PNG."""
    figure.savefig(file, format="png")


def save_study(facts: Facts, folder: Path) -> None:
    """All figures of a study as PNGs in `folder`."""
    for name, draw in of_study(facts).items():
        save(draw(facts), folder / f"{name}.png")


def save_trial(entry: Entry, dataset: Dataset, folder: Path) -> None:
    """Confusion matrix and hardest images of a trial, as far as it has them."""
    if entry.result is None or not entry.result.confusion:
        return
    save(trial.confusion(entry), folder / "confusion.png")
    if trial.pictured(dataset):
        save(trial.hardest(entry, dataset), folder / "hardest.png")
