"""What is to be compared, checked at the door, and done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.command.errors import ConfigError
from search.comparison.compared import COLOURS, groups, read
from search.comparison.page import page
from search.rendering.document import write
from search.rendering.report import ReportConfig
from search.study.address import by_rule

_PLACE = "report.studies"
_LONGEST = 240  # bytes of a file's name: systems take 255, and a suffix is added to it


def compared(values: Mapping[str, Any], config: ReportConfig, url: str) -> list[str]:
    """Write the page that compares the studies asked for in the storage at `url`; what is to be told of it.

    Raises ConfigError before anything is written, StorageError where a study is damaged.
    """
    names = names_of(values, config)
    path = _file(names, config)
    studies = read(url, names)
    said, together = [write(page(studies), path)], groups(studies)
    if len(together) > 1:
        said.append("Not all of them can be compared; drawn apart, for reasons that it names, are")
        said += (f"  {', '.join(study.name for study in group)}" for group in together)
    return said


def names_of(values: Mapping[str, Any], config: ReportConfig) -> list[str]:
    """The names of the studies. Raises ConfigError where they are not several, each once."""
    if (other := values["study"]["name"]) is not None:
        raise ConfigError(
            f"{_PLACE}: expected either several studies or one, got study.name={other} too (leave one out)"
        )
    names = [by_rule(values, name, _PLACE) for name in config.studies or ()]
    if len(names) < 2:
        one = f"study.name={names[0]} is the report of one" if names else "studies=[ONE,OTHER]"
        raise ConfigError(f"{_PLACE}: expected two or more, got {len(names)} ({one})")
    if len(names) > len(COLOURS):
        raise ConfigError(
            f"{_PLACE}: expected at most {len(COLOURS)}, got {len(names)}, whose colours can't be told "
            "apart (compare some of them)"
        )
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"{_PLACE}: {name} is named twice (leave one out)")
    return names


def _file(names: Sequence[str], config: ReportConfig) -> Path:
    """`report.path`, or the names with a + between, which no name has in itself."""
    file = config.file("+".join(names))
    if config.path is None and len(file.name.encode()) > _LONGEST:
        raise ConfigError(
            "report.path: is missing, as the names together are too long for a file's (report.path=PAGE.html)"
        )
    return file
