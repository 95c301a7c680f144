"""The report of a study as one HTML page that opens offline, or of several that are compared.

python -m search.report study=dropout
python -m search.report study.name=dropout report.path=reports/dropout.html
python -m search.report 'studies=[dropout,learning_rate]'
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.command.cli import command


def main(values: dict[str, Any]) -> int:
    """Write the page and publish the report. 69: it is written, but the tracker is away."""
    from pipeline.command.errors import UnavailableError
    from pipeline.command.redact import redact
    from pipeline.command.section import validated
    from pipeline.tracking.config import TrackingConfig
    from pipeline.tracking.database import database_of
    from search.analysis.facts import Source
    from search.comparison.asked import compared
    from search.rendering.document import write
    from search.rendering.publication import publish
    from search.rendering.report import ReportConfig, render
    from search.study.address import named
    from search.trial_table.storage import StorageConfig, errors_named
    from search.trial_table.trials import TrialTable

    storage = validated(StorageConfig, values["storage"], "storage")
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    config = validated(ReportConfig, values["report"], "report")
    if config.studies is not None:
        print("\n".join(compared(values, config, storage.url)))
        return 0
    with errors_named(storage.url), tempfile.TemporaryDirectory(prefix="plumbline-report-") as name:
        study = TrialTable.load(storage.url, named(values)).name
        source = Source(storage.url, study, tracking, values["data"]["path"])
        path = config.file(study)
        rendered = render(source, Path(name), pictures_of_trials=True)
        if rendered.problem:
            print(f"report: {rendered.problem}", file=sys.stderr)
        print(write((Path(name) / "study" / "report.html").read_text(encoding="utf-8"), path))
        database = database_of(str(tracking.uri))
        if tracking.name == "none" or (database is not None and not database.exists()):
            return 0  # nothing is published here
        try:
            published = publish(source, rendered)
        except Exception as error:
            raise UnavailableError(
                f"{path} is written, but it can't be published to {tracking.uri}: "
                f"{(str(error).splitlines() or [''])[0]}"
            ) from error
    print(
        f"Published with the study's run in {redact(str(tracking.uri))}"
        if published
        else "Not all of its runs are published yet: python -m search.publish, then this again."
    )
    return 0


def spelled_out(overrides: Sequence[str]) -> list[str]:
    """`overrides` with `studies=` by its full name."""
    return [f"report.{text}" if text.startswith("studies=") else text for text in overrides]


def _help(_: Path) -> str:
    return (
        "studies=[ONE,OTHER,...]: one page that compares them; it is published nowhere.\n"
        "report.path: the page to write, where it is not given NAME.html, or ONE+OTHER.html.\n"
        "data.path: where the data lie now, for the hardest images.\n"
        "Takes the same storage.url and tracking.uri as the study.\n\n"
        "exit codes: 0 written, 2 bad configuration or no such study, 69 written, but the tracker can't be\n"
        "reached, 74 input/output"
    )


if __name__ == "__main__":
    description = "Write a study's report as one HTML page and publish it, or compare several."
    sys.exit(command(spelled_out(sys.argv[1:]), main, "search.report", description, _help))
