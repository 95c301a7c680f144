"""What stands of a study as a whole in Optuna's storage, attribute by attribute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.command.redact import redact
from pipeline.tracking.database import database_of
from search.study.endings import Ending
from search.study.space import Stored
from search.study.vocabulary import About


@dataclass(frozen=True)
class Past:
    """A trial of another study, as an engine may know it: `trial` number of `study`.

    `params`: its point in the space of the study that learns from it. `value`: None where it was pruned.
    `cost`: where the objective has one. `curve`: the objective's metric by epoch.
    """

    study: str
    trial: int
    params: Mapping[str, Stored]
    value: float | None
    cost: float | None
    curve: Mapping[int, float]


@dataclass(frozen=True)
class WarmStart:
    """What a study learnt from others when it began. `studies`: those that were named.

    `left_out`: of which trials of theirs it did not, and why, in words.
    """

    studies: tuple[str, ...] = ()
    trials: tuple[Past, ...] = ()
    left_out: tuple[str, ...] = ()


class Attributes(BaseModel):
    """The attributes of a study, by their names in the storage.

    `uid`: of its run. `identity`: what its trials share. `about`: what its latest launch said of it, and
    `ending`: how that ended. `published`: what the tracker is known to have. `used_up`: what had nothing
    more to suggest, after how many trials. `retried`: when trials failed that were tried again since, in
    Unix seconds. `finalists`: who is to be compared, and how. `warm_start`: what it
    learnt from other studies.
    """

    model_config = ConfigDict(frozen=True)

    uid: str
    identity: dict[str, dict[str, str]]
    about: About | None = None
    ending: Ending | None = None
    published: dict[str, Any] | None = None
    used_up: dict[str, Any] | None = None
    retried: tuple[float, ...] = ()
    finalists: dict[str, Any] | None = None
    warm_start: WarmStart = WarmStart()

    def stored(self, name: str) -> Any:
        """One attribute as the storage takes it."""
        return self.model_dump(mode="json", include={name})[name]


def tracker_of(uri: str) -> str | None:
    """What to call the tracker at `uri` in a mark; None where its database file is not there."""
    file = database_of(uri)
    if file is None:
        return redact(uri)
    # It is relative to the folder one is in, and may have been deleted.
    return str(file.absolute()) if file.exists() else None
