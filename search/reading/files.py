"""The table of a study's trials as a file, which appears whole or not at all."""

import csv
import json
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

from pydantic import Field, field_validator

from pipeline.command.section import Section
from search.reading.opened import as_frame
from search.reading.rows import Cell, Rows

STDOUT = "-"


class TableConfig(Section):
    """Where the table goes. `path`: a file, whose suffix says which format; `-`: standard output, as CSV."""

    path: Annotated[str, Field(min_length=1)]

    @field_validator("path")
    @classmethod
    def _is_of_a_format(cls, path: str) -> str:
        if path != STDOUT and Path(path).suffix.lower() not in _FORMATS:
            raise ValueError(
                f"table.path: expected a name that ends in {', '.join(_FORMATS)}, or - for standard output, "
                f"got {path}"
            )
        return path


def write(table: Rows, path: str) -> None:
    """Write `table` to `path`, in the format of its suffix; `-` is standard output, as CSV."""
    if path == STDOUT:
        _csv(table, sys.stdout)
        return
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")  # until it is whole, the old one stays
    try:
        _FORMATS[file.suffix.lower()](table, partial)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _csv(table: Rows, out: TextIO) -> None:
    writer = csv.DictWriter(out, table.heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({head: _text(cell) for head, cell in row.items()} for row in table.rows)


def _text(cell: Cell) -> Cell:
    return cell.isoformat() if isinstance(cell, datetime) else cell


def _to_csv(table: Rows, file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        _csv(table, out)


def _to_json(table: Rows, file: Path) -> None:
    """A list of objects, one a line; what a trial has not is null."""
    rows = [{head: _json(row.get(head)) for head in table.heads} for row in table.rows]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _json(cell: Cell) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None  # JSON has no such numbers
    return _text(cell)


def _to_parquet(table: Rows, file: Path) -> None:
    as_frame(table).to_parquet(file, index=False)


_FORMATS: Mapping[str, Callable[[Rows, Path], None]] = {
    ".csv": _to_csv,
    ".parquet": _to_parquet,
    ".json": _to_json,
}
