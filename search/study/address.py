"""Which study a command is about."""

from collections.abc import Mapping
from typing import Any

from pipeline.command.section import validated
from search.study.vocabulary import StudyConfig


def named(values: Mapping[str, Any]) -> str | None:
    """The study that `study.name` names, by the rule for a new one; None: it names none.

    Raises ConfigError.
    """
    section = values["study"]
    return None if section["name"] is None else validated(StudyConfig, section, "study").name
