"""Publish what the trial table holds and the tracker does not, after an outage for instance.

python -m search.publish
python -m search.publish study.name=dropout tracking.uri=http://127.0.0.1:5000
python -m search.publish relocate=true
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.command.cli import command
from pipeline.command.section import Section

if TYPE_CHECKING:
    from pipeline.tracking.record import RunRecord
    from search.analysis.facts import Source
    from search.analysis.finalists import Finalists
    from search.trial_table.trials import TrialTable


class PublishConfig(Section):
    """`relocate`: whether MLflow's database is to name the folders of a project that was moved."""

    relocate: bool


_PATIENCE_SECONDS = 5.0  # how long a tracker that does not answer is tried again


def main(values: dict[str, Any]) -> int:
    """Publish every study in the storage, or the one that is named. 69: the tracker is still away."""
    from pipeline.command.errors import ConfigError
    from pipeline.command.section import validated
    from pipeline.tracking.config import TrackingConfig
    from search.analysis.facts import Source
    from search.study.address import named
    from search.trial_table.storage import StorageConfig, errors_named
    from search.trial_table.trials import TrialTable

    url = validated(StorageConfig, values["storage"], "storage").url
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    name = named(values)
    if validated(PublishConfig, {"relocate": values["relocate"]}).relocate:
        _relocate(str(tracking.uri))
    with errors_named(url):
        names = TrialTable.names(url) if name is None else [TrialTable.load(url, name).name]
        if tracking.name == "none":
            raise ConfigError("tracking: is off (choose tracking=mlflow)")
        for study in names:
            _publish(Source(url, study, tracking, values["data"]["path"]))
    return 0


def _relocate(uri: str) -> None:
    """Have MLflow's database name the folders of this project, which was moved; say which."""
    from pipeline.command.errors import ConfigError
    from pipeline.tracking.database import database_of
    from pipeline.tracking.relocation import relocate

    database = database_of(uri)
    if database is None or not database.exists():
        raise ConfigError(f"relocate: expected a tracking.uri of a database file, got {uri}")
    moved = relocate(database)
    for each in moved:
        print(f"{each.there} is now {each.here}")
    print(f"{database}: {len(moved)} experiments relocated")


def _publish(source: "Source") -> None:
    """Publish a study that no launch has now, and its report."""
    from pipeline.command.errors import UnavailableError
    from pipeline.tracking.address import runs_page
    from pipeline.tracking.config import open_publisher
    from search.analysis.leaderboard import finalists_of
    from search.telling.runs import Records
    from search.trial_table.lock import LockedError, study_lock
    from search.trial_table.trials import TrialTable

    study, tracking = source.name, source.tracking
    try:
        with study_lock(source.url, study, wait=False) as storage:
            table = TrialTable(storage, study)
            entries = [entry for entry in table.entries() if entry.state != "running"]
            records = Records(table.about(), table.uid, table.retried)
            finalists = finalists_of(table)
            publisher = open_publisher(tracking, print)
            assert publisher is not None
            found = [records.of_study(entries, table.ending()), *map(records.of_trial, entries)]
            found += _of_verdict(finalists)
            for record in found:
                publisher.update(record)
            waiting = publisher.close(_PATIENCE_SECONDS, hurry=False)
            if not waiting:
                table.mark_published(str(tracking.uri), table.ending().status)
    except LockedError:
        print(f"{study}: is running, and publishes by itself")
        return
    if waiting:
        raise UnavailableError(
            f"{study}: {waiting} of {len(found)} runs can't be published to "
            f"{tracking.uri} now; nothing is lost, try again later"
        )
    back = f", {publisher.restored} of them from MLflow's trash" if publisher.restored else ""
    print(f"{study}: {publisher.changed} runs published{back}, {len(entries)} trials in all")
    page = runs_page(tracking, study, ascending=not table.about().objective.maximizes)
    print(f"Compare the trials:{page}")
    if tracking.report and entries:
        _publish_report(source, table, finalists)


def _of_verdict(finalists: "Finalists | None") -> "list[RunRecord]":
    """The runs of the comparison that ended, and those that they are nested in."""
    if finalists is None or not finalists.rows:
        return []
    from search.telling.verdict import VerdictRecords

    return VerdictRecords(finalists).all()


def _publish_report(source: "Source", table: "TrialTable", finalists: "Finalists | None") -> None:
    """Publish the study's report, unless the tracker has one that would say the same."""
    from pipeline.command.errors import UnavailableError
    from pipeline.tracking.mlflow import MlflowTracker, TrackingError
    from search.analysis.facts import MADE_OF
    from search.analysis.leaderboard import made_of

    try:
        tracker = MlflowTracker(str(source.tracking.uri))
        same = tracker.tags(source.name, table.uid).get(MADE_OF) == made_of(
            table.entries(), finalists
        )
        if same and tracker.has(source.name, table.uid, "report"):
            return
        from search.rendering.report import render_and_publish  # it takes seconds to import

        problem = render_and_publish(source)
    except (TrackingError, OSError) as error:
        raise UnavailableError(
            f"{source.name}: its runs are published, its report can't be to {source.tracking.uri} now: "
            f"{(str(error).splitlines() or [''])[0]}; nothing is lost, try again later"
        ) from error
    print(f"{source.name}: its report is published{f', but {problem}' if problem else ''}")


def _help(_: Path) -> str:
    return (
        "Takes the same storage.url and tracking.uri as the study. Publishing twice changes nothing.\n"
        "data.path: where the data lie now, for the pictures of a report.\n"
        "relocate=true first mends MLflow's database where the project's folder was moved or copied."
    )


if __name__ == "__main__":
    description = "Publish what the trial table holds and the tracker does not."
    sys.exit(command(sys.argv[1:], main, "search.publish", description, _help))
