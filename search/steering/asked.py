"""What is asked of the studies in a storage, checked at the door, and done."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import field_validator, model_validator
from rich.console import Console

from pipeline.command.errors import ConfigError, StorageError
from pipeline.command.redact import redact
from pipeline.command.section import Section, did_you_mean, validated
from pipeline.tracking.config import TrackingConfig
from search.steering import moving
from search.steering.listing import all_of, as_lines, in_full, one_of
from search.steering.retrying import retry
from search.steering.stopping import stop
from search.steering.watching import watch
from search.study.address import by_rule, named
from search.trial_table.storage import StorageConfig, chosen_in, damage_named, place, reading

_OWN = {"to": "rename", "now": "stop", "yes": "delete", "tracking": "delete"}
"""Settings that belong to one of the things that can be done."""


class StudiesConfig(Section):
    """What is to be done, and how. `to`: the new name. `now`: at once. `yes`: without being asked first.

    `tracking`: runs in MLflow, too.
    """

    do: str
    to: str | None
    now: bool
    yes: bool
    tracking: bool

    @field_validator("do")
    @classmethod
    def _can_be_done(cls, do: str) -> str:
        if do not in _DOES:
            hint = did_you_mean(do, _DOES) or f" (show {do} shows the study of that name)"
            raise ValueError(f"studies.do: expected one of {', '.join(_DOES)}, got {do}{hint}")
        return do

    @model_validator(mode="after")
    def _fits_together(self) -> "StudiesConfig":
        for setting, do in _OWN.items():
            if getattr(self, setting) not in (None, False) and self.do != do:
                raise ValueError(
                    f"studies.{setting}: is for {do}, not for {self.do} (leave it out)"
                )
        if self.do == "rename" and self.to is None:
            raise ValueError("studies.to: is missing (python -m search.studies rename NAME NEW)")
        return self


@dataclass(frozen=True)
class Asked:
    """What is to be done with which study of which storage. `name`: None where none was said.

    `summary`: the study's summary file, by this command's configuration.
    """

    config: StudiesConfig
    storage: StorageConfig
    tracking: TrackingConfig
    name: str | None
    summary: Path
    screen: Console

    def do(self) -> int:
        """Do it; the exit code."""
        return _DOES[self.config.do](self)

    @property
    def study(self) -> str:
        """The study that it is about, the only one if none was said. Raises ConfigError."""
        with reading(self.storage.url) as storage:
            return chosen_in(storage, self.name)

    @property
    def named_study(self) -> str:
        """The same, for what can't be undone: it must have been said which."""
        if self.name is None:
            raise ConfigError(f"study.name: is missing (search.studies {self.config.do} NAME)")
        return self.study


def read(values: Mapping[str, Any]) -> Asked:
    """Check what was asked. Raises ConfigError; nothing is looked at yet."""
    config = validated(StudiesConfig, values["studies"], "studies")
    if config.to is not None:
        to = by_rule(values, config.to, "studies.to")
        config = config.model_copy(update={"to": to})
    tracking = validated(TrackingConfig, values["tracking"], "tracking")
    if config.tracking and tracking.name == "none":
        raise ConfigError(
            "studies.tracking: MLflow is off (choose tracking=mlflow, or leave it out)"
        )
    return Asked(
        config,
        validated(StorageConfig, values["storage"], "storage"),
        tracking,
        named(values),
        Path(values["study"]["summary"]),
        Console(highlight=False, markup=False),
    )


def _list(asked: Asked) -> int:
    url = asked.storage.url
    studies, damage = all_of(url, asked.name and asked.study)
    if studies:
        width = asked.screen.width if asked.screen.is_terminal else None
        print("\n".join(as_lines(studies, width)))
    elif not damage:
        print(f"{place(url)}: no study yet (python -m search.optimize +study=dropout makes one)")
    for error in damage:
        print(f"error: {redact(str(error))}", file=sys.stderr)
    return StorageError.exit_code if damage else 0


def _show(asked: Asked) -> int:
    asked.screen.print(in_full(one_of(asked.storage.url, asked.study)), crop=False)
    return 0


def _watch(asked: Asked) -> int:
    return watch(asked.storage.url, asked.study, asked.screen).ending.exit_code


def _stop(asked: Asked) -> int:
    print(stop(asked.storage.url, asked.study, "now" if asked.config.now else "finish"))
    return 0


def _retry(asked: Asked) -> int:
    print(retry(asked.storage.url, asked.study))
    return 0


def _rename(asked: Asked) -> int:
    name, to = asked.named_study, str(asked.config.to)
    for line in moving.rename(asked.storage, asked.tracking, name, to, asked.summary):
        print(line)
    return 0


def _delete(asked: Asked) -> int:
    name, with_runs = asked.named_study, asked.config.tracking
    if not asked.config.yes and not _agreed(asked, name):
        print("Nothing is deleted.")
        return 1
    for line in moving.delete(asked.storage, asked.tracking, name, with_runs, asked.summary):
        print(line)
    return 0


def _agreed(asked: Asked, name: str) -> bool:
    """Ask a person whether the study is to be deleted."""
    if not sys.stdin.isatty():
        raise ConfigError(
            "studies.yes: nobody can be asked here whether to delete it (yes=true does)"
        )
    url = asked.storage.url
    with moving.whole(url, name, completes="delete") as storage, damage_named(url, name):
        count = storage.get_n_trials(storage.get_study_id_from_name(name))
    also = " with its runs in MLflow" if asked.config.tracking else ""
    print(f"Delete {name}, {count} trials{also}? This can't be undone. [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


_DOES: Mapping[str, Callable[[Asked], int]] = {
    "list": _list,
    "show": _show,
    "watch": _watch,
    "stop": _stop,
    "retry": _retry,
    "rename": _rename,
    "delete": _delete,
}
