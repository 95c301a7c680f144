"""What stands of a study as a whole in Optuna's storage, attribute by attribute."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.command.redact import redact
from pipeline.tracking.database import database_of
from search.study.endings import Ending
from search.study.vocabulary import About


class Attributes(BaseModel):
    """The attributes of a study, by their names in the storage.

    `uid`: of its run. `identity`: what its trials share. `about`: what its latest launch said of it, and
    `ending`: how that ended. `published`: what the tracker is known to have. `used_up`: what had nothing
    more to suggest, after how many trials. `retried`: when trials failed that were tried again since, in
    Unix seconds. `finalists`: who is to be compared, and how.
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
