"""Artifacts of a project that was moved: MLflow's database keeps their folders by absolute paths."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.command.errors import StorageError

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow writes down where artifacts lie."""


@dataclass(frozen=True)
class Moved:
    """An experiment whose artifacts MLflow would write to `there`, though those it has lie in `here`.

    `recorded`: `there` as MLflow's database has it.
    """

    recorded: str
    there: Path
    here: Path


def check_place(database: Path | None, experiment: str, recorded: str) -> None:
    """Raise StorageError where MLflow would put artifacts where the project was before it was moved."""
    place = None if database is None else moved(database, recorded)
    if place is not None:
        raise StorageError(
            f"artifacts of {experiment} would go to {place.there}, as MLflow has it on record, but the "
            f"project lies in {place.here.parents[1]} (python -m search.publish relocate=true mends that)"
        )


def moved(database: Path, recorded: str) -> Moved | None:
    """An experiment's artifact location, if it is that of another folder than `database` lies in now.

    None where it is this one's, or of the user's own choice: then no such folder lies beside `database`.
    """
    if (there := local_folder(recorded)) is None:
        return None
    here = database.absolute().parent / "mlruns" / there.name
    if there == here or not (here.is_dir() or Path(recorded) == here):
        return None
    if there.exists() and here.exists() and there.samefile(here):  # by way of a link
        return None
    return Moved(recorded, there, here)


def local_folder(recorded: str) -> Path | None:
    """The folder of an artifact location; None where that is no folder of this machine."""
    parts = urlsplit(recorded)
    # MLflow decodes plain paths, too.
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def location(folder: Path) -> str | None:
    """An artifact location for `folder` whose plain path MLflow would decode to another; else None."""
    return folder.absolute().as_uri() if "%" in str(folder.absolute()) else None


def relocate(database: Path) -> list[Moved]:
    """Have MLflow's SQLite `database` name the folders in which the artifacts lie now; which were moved."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute("SELECT artifact_location FROM experiments").fetchall()
        found = [moved(database, recorded) for (recorded,) in rows]
        # All that lay there: also experiments without a run, which have no folder yet.
        roots = {each.recorded.rpartition("/")[0]: each.here.parent for each in found if each}
        for old, root in roots.items():
            new = location(root) or str(root)
            for table, column in _COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE substr({column}, 1, ?) = ?",
                    (f"{new}/", len(old) + 2, len(old) + 1, f"{old}/"),
                )
    return [each for each in found if each is not None]
