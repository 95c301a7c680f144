"""A study's report as files, made from the trial table."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.command.errors import PlumblineError, UnavailableError
from pipeline.command.section import Section
from pipeline.data import Dataset, load
from pipeline.tracking.experiments import run_pages
from search.analysis.facts import Facts, Source
from search.analysis.finalists import Finalists
from search.analysis.front import as_csv as front_as_csv
from search.analysis.leaderboard import as_csv, as_markdown, made_of
from search.plots.gallery import save_study, save_trial
from search.rendering.page import page, usual_settings
from search.rendering.publication import UNPUBLISHED, Rendered, publish
from search.trial_table.trials import TrialTable


class ReportConfig(Section):
    """`path`: the file that `python -m search.report` writes; None: it is called as what it is about.

    `studies`: names of those that are compared; None: it is about one.
    """

    path: Annotated[str, Field(min_length=1)] | None = None
    studies: list[str] | None = None

    @field_validator("studies", mode="before")
    @classmethod
    def _listed(cls, studies: object) -> object:
        if isinstance(studies, str) and "," in studies:
            raise ValueError(f"report.studies: expected a list (report.studies=[{studies}])")
        return [studies] if isinstance(studies, str) else studies

    @field_validator("path")
    @classmethod
    def _is_no_folder(cls, path: str | None) -> str | None:
        if path is not None and (path.endswith("/") or Path(path).is_dir()):
            raise ValueError(f"report.path: expected a file, got the folder {path}")
        return path

    def file(self, name: str) -> Path:
        """The file for a page about `name`."""
        return Path(self.path or f"{name}.html")


def render(source: Source, folder: Path, pictures_of_trials: bool) -> Rendered:
    """Make the report of a study in `folder`, its own files in `folder/study`.

    `pictures_of_trials`: the confusion matrices and hardest images of the best ones, too; those that
    are in `folder` from the last time are not drawn again.
    """
    table = TrialTable.load(source.url, source.name)
    facts = Facts.recorded(table)
    finalists = Finalists.recorded(facts, table)
    of_study = folder / "study"
    shutil.rmtree(of_study, ignore_errors=True)
    of_study.mkdir()
    folders, problem = {table.uid: of_study}, ""
    if pictures_of_trials:
        of_trials, problem = _trials(facts, source, folder)
        folders |= of_trials
        for best in list(of_trials.values())[:1]:
            for picture in best.glob("*.png"):
                shutil.copy(picture, of_study / f"best_{picture.name}")
    save_study(facts, of_study, finalists)
    try:
        runs = run_pages(source.tracking, source.name)
    except UnavailableError as error:
        runs, problem = {}, problem or f"no links to runs: {error}"
    for name, text in {
        "leaderboard.csv": as_csv(facts.entries, facts.objective),
        "front.csv": front_as_csv(facts, finalists),
        "leaderboard.md": as_markdown(facts.entries, facts.objective),
        "report.html": page(facts, of_study, finalists, runs),
    }.items():
        (of_study / name).write_text(text, encoding="utf-8")
    return Rendered(problem, folders, table.uid, made_of(facts.entries, finalists))


def _trials(facts: Facts, source: Source, folder: Path) -> tuple[dict[str, Path], str]:
    """The pictures of the best trials, by uid from the best on, and what is missing of them."""
    best = facts.ranked[: source.tracking.keep_models]
    chosen = [entry for entry in best if entry.result is not None and entry.result.hardest]
    folders = {entry.uid: folder / entry.uid for entry in chosen}
    new = [entry for entry in chosen if not folders[entry.uid].exists()]
    if not new:
        return folders, ""
    dataset = _data_of(facts, source.data)
    for entry in new:
        half = folder / "half"  # of one that was killed, too
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        save_trial(entry, dataset if isinstance(dataset, Dataset) else None, half)
        half.rename(folders[entry.uid])
    return folders, "" if isinstance(dataset, Dataset) else f"no validation images: {dataset}"


def _data_of(facts: Facts, path: str | None) -> Dataset | str:
    """The data of a study, from `path`, or else from where they lay when it ran; or why they can't be had.

    MNIST may lie where it is looked for usually by now; it is never downloaded for a report.
    """
    recorded, about = facts.data, facts.about
    anywhere = recorded.model_copy(update={"path": None})
    places = [anywhere] if recorded.name in ("digits", "mnist") else []
    if path is not None:
        places = [recorded.at(path)]
    elif recorded.name != "digits":
        places.insert(0, recorded.at(recorded.path or about.dataset.source))
    problem = ""
    for place in places:
        try:
            dataset = load(place, download=False)
            dataset.check(about.dataset.digest, about.name)
        except (PlumblineError, OSError) as error:
            problem = problem or str(error)
        else:
            return dataset
    return problem


def render_and_publish(source: Source) -> str:
    """The last report, made and published; what is missing of it, or nothing."""
    with tempfile.TemporaryDirectory(prefix="plumbline-report-") as name:
        rendered = render(source, Path(name), pictures_of_trials=True)
        return rendered.problem if publish(source, rendered) else UNPUBLISHED


class Maker:
    """Makes a study's report in `folder`, step by step."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        self._folder = folder

    def report(self) -> str:
        """One while the study runs: without pictures of trials, and nobody waits for its runs."""
        publish(self._source, render(self._source, self._folder, pictures_of_trials=False))
        return ""

    def prepare(self) -> str:
        """Do what can be done ahead: draw the trials that are best by now."""
        table = TrialTable.load(self._source.url, self._source.name)
        facts = Facts.recorded(table)
        folders, problem = _trials(facts, self._source, self._folder)
        for folder in folders.values() if problem else ():
            shutil.rmtree(folder)  # drawn with the last report, which says what is missing
        facts.importance  # noqa: B018  # what it imports takes a second
        return ""

    def draw(self) -> Rendered:
        """The last report, to be published."""
        return render(self._source, self._folder, pictures_of_trials=True)


def warm() -> None:
    """Import and read what the first report would take its time for, half a second."""
    import scipy.stats  # noqa: F401  # which it does when it is asked for something

    usual_settings()
