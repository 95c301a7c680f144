"""Every trial of a study, one row: as CSV, Parquet or JSON.

python -m search.table study.name=dropout
python -m search.table study.name=dropout table.path=dropout.parquet
"""

import sys
from pathlib import Path
from typing import Any

from pipeline.command.cli import command


def main(values: dict[str, Any]) -> int:
    """Write the table of the study; standard output gets it alone."""
    from pipeline.command.section import validated
    from pipeline.tracking.config import TrackingConfig
    from search.reading.files import STDOUT, TableConfig, write
    from search.reading.opened import read
    from search.study.address import named
    from search.trial_table.storage import StorageConfig

    path = validated(TableConfig, values["table"], "table").path
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    storage = validated(StorageConfig, values["storage"], "storage")
    study = read(storage.url, named(values), tracking)
    write(study.rows, path)
    if path != STDOUT:
        print(
            f"{path}: {len(study.rows.rows)} trials of {study.name}, {len(study.rows.heads)} columns"
        )
    return 0


def _help(_: Path) -> str:
    return (
        "Every trial, whatever its state: parameters, objective, test metrics, timings, costs, attempts,\n"
        "lineage, uid, its run in MLflow, and what does not vary (docs/studies.md has the columns).\n"
        "table.path: a name that ends in .csv, .parquet or .json; - is standard output, as CSV, the default\n"
        "Takes the same storage.url and tracking.uri as the study; nothing of them is changed.\n\n"
        "exit codes: 0 written, 2 bad configuration or no such study, 69 the database server can't be\n"
        "reached, 74 input/output"
    )


if __name__ == "__main__":
    description = "Write every trial of a study, one row, as CSV, Parquet or JSON."
    sys.exit(command(sys.argv[1:], main, "search.table", description, _help))
