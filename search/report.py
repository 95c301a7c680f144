"""The report of a study as one HTML page that opens offline; its figures go to MLflow too.

python -m search.report study=dropout
python -m search.report study.name=dropout report.path=reports/dropout.html
"""

import shutil
import sys
import tempfile
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
    from search.rendering.report import ReportConfig, publish, render
    from search.study.address import named
    from search.trial_table.storage import StorageConfig, errors_named
    from search.trial_table.trials import TrialTable

    storage = validated(StorageConfig, values["storage"], "storage")
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    config = validated(ReportConfig, values["report"], "report")
    with errors_named(storage.url), tempfile.TemporaryDirectory(prefix="plumbline-report-") as name:
        study = TrialTable.load(storage.url, named(values)).name
        source = Source(storage.url, study, tracking, values["data"]["path"])
        path = config.file(study)
        rendered = render(source, Path(name), pictures_of_trials=True)
        if rendered.problem:
            print(f"report: {rendered.problem}", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")  # until it is whole, the old page stays
        try:
            shutil.copy(Path(name) / "study" / "report.html", partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, opens in any browser, offline")
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


def _help(_: Path) -> str:
    return (
        "Takes the same storage.url and tracking.uri as the study. report.path: the page to write,\n"
        "NAME.html where it is not given; data.path: where the data lie now, for the hardest images.\n"
        "exit codes: 0 written, 2 no such study, 69 written, but the tracker can't be reached"
    )


if __name__ == "__main__":
    description = "Write a study's report as one HTML page, and publish its figures."
    sys.exit(command(sys.argv[1:], main, "search.report", description, _help))
