"""Which study a command is about."""

import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.command.errors import ConfigError
from pipeline.command.overrides import key
from pipeline.command.redact import redact
from pipeline.command.section import validated
from search.study.vocabulary import StudyConfig


def named(values: Mapping[str, Any]) -> str | None:
    """The study that `study.name` names, by the rule for a new one; None: it names none.

    Raises ConfigError, also for the other settings of `study`.
    """
    given = values["study"]["name"]
    named_so = values["study"] if given is not None else {**values["study"], "name": "any"}
    checked = validated(StudyConfig, named_so, "study")
    return None if given is None else checked.name


def by_rule(values: Mapping[str, Any], name: str, place: str) -> str:
    """`name` by the rule for a study that is made. Raises ConfigError; `place`: the setting that it names."""
    try:
        return str(named({**values, "study": {**values["study"], "name": name}}))
    except ConfigError as error:
        raise ConfigError(str(error).replace("study.name:", f"{place}:")) from None


def again(name: str, command: str) -> str:
    """How another command names a study: with the storage and the tracker that `command` was typed with."""
    words = shlex.split(redact(command))
    where = [word for word in words if key(word).partition(".")[0] in ("storage", "tracking")]
    return " ".join([name, shlex.join(where)]) if where else name


def of_finalists(uid: str) -> str:
    """The study that keeps the runs of the finalists of the study with that uid."""
    return f"finalists.{uid}"
