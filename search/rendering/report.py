"""A study's report as files: made from the trial table, and put beside its runs in MLflow."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.command.errors import PlumblineError
from pipeline.command.section import Section
from pipeline.data import Dataset, load
from search.analysis.facts import MADE_OF, REPORT, Facts, Source
from search.analysis.finalists import Finalists
from search.analysis.front import as_csv as front_as_csv
from search.analysis.leaderboard import as_csv, as_markdown, made_of
from search.plots.gallery import save_study, save_trial
from search.rendering.page import page
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable


class ReportConfig(Section):
    """`path`: the file that `python -m search.report` writes."""

    path: Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class Rendered:
    """A report as files. `problem`: what of it could not be drawn; `folders`: by the uid of their run.

    `study`: the uid of the study's own run. `made_of`: as `search.analysis.leaderboard` says it.
    """

    problem: str
    folders: Mapping[str, Path]
    study: str
    made_of: str


def render(source: Source, folder: Path, pictures_of_trials: bool) -> Rendered:
    """Make the report of a study in `folder`, its own files in `folder/study`.

    `pictures_of_trials`: the confusion matrices and hardest images of the best ones, too.
    """
    table = TrialTable.load(source.url, source.name)
    about, entries = table.about(), table.entries()
    used_up = len(entries) < about.trials and table.is_finished(about.trials)
    facts = Facts.of(about, entries, used_up)
    finalists = Finalists.recorded(facts, table)
    of_study = folder / "study"
    of_study.mkdir()
    folders = {table.uid: of_study}
    problem = ""
    if pictures_of_trials:
        chosen = _pictured(facts, source.tracking.keep_models)
        data = facts.data.at(source.data)
        try:
            folders |= _trials(facts, folder, chosen, load(data)) if chosen else {}
        except (PlumblineError, OSError) as error:  # data that are gone cost their pictures only
            problem = f"no validation images: {error}"
    save_study(facts, of_study, finalists)
    for name, text in {
        "leaderboard.csv": as_csv(facts.entries, facts.objective),
        "front.csv": front_as_csv(facts, finalists),
        "leaderboard.md": as_markdown(facts.entries, facts.objective),
        "report.html": page(facts, of_study, finalists),
    }.items():
        (of_study / name).write_text(text, encoding="utf-8")
    return Rendered(problem, folders, table.uid, made_of(facts.entries, finalists))


def _pictured(facts: Facts, best: int) -> list[Entry]:
    """The best trials of which there are pictures."""
    return [e for e in facts.ranked[:best] if e.result is not None and e.result.hardest]


def _trials(
    facts: Facts, folder: Path, chosen: Sequence[Entry], dataset: Dataset
) -> dict[str, Path]:
    """The pictures of trials, those of the first one for the study's page too."""
    if dataset.digest != facts.about.dataset.digest:
        raise PlumblineError(f"{dataset.source}: is not the data that the study was run on")
    folders = {}
    for entry in chosen:
        folders[entry.uid] = folder / str(entry.number)
        folders[entry.uid].mkdir()
        save_trial(entry, dataset, folders[entry.uid])
    for picture in folders[chosen[0].uid].glob("*.png"):
        shutil.copy(picture, folder / "study" / f"best_{picture.name}")
    return folders


def publish(source: Source, rendered: Rendered) -> bool:
    """Log the files as artifacts of their runs; False where a run is not published yet.

    Last of all a tag on the study's run says what its report is made of.
    """
    from pipeline.tracking.mlflow import MlflowTracker

    tracker = MlflowTracker(str(source.tracking.uri))
    logged = [
        tracker.log_files(source.name, uid, folder, REPORT if uid == rendered.study else None)
        for uid, folder in rendered.folders.items()
    ]
    return all(logged) and tracker.tag(source.name, rendered.study, {MADE_OF: rendered.made_of})


def render_and_publish(source: Source, last: bool) -> str:
    """The report, made anew and published; what is missing of it, or nothing."""
    with tempfile.TemporaryDirectory(prefix="plumbline-report-") as name:
        rendered = render(source, Path(name), pictures_of_trials=last)
        if not publish(source, rendered) and last:
            return "its runs are not published yet"
    return rendered.problem
