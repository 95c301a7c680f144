"""A report's files, and how they come beside their runs in MLflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from search.analysis.facts import MADE_OF, REPORT, Source

UNPUBLISHED = "its runs are not published yet"


@dataclass(frozen=True)
class Rendered:
    """A report as files. `problem`: what of it could not be drawn; `folders`: by the uid of their run.

    `study`: the uid of the study's own run. `made_of`: as `search.analysis.leaderboard` says it.
    """

    problem: str
    folders: Mapping[str, Path]
    study: str
    made_of: str


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
