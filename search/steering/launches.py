"""A launch that is under way, as the study's table knows of it, and what it is asked from elsewhere."""

import contextlib
import socket
import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from pipeline.command.section import Section
from search.trial_table.postgres import LostError
from search.trial_table.storage import attribute, damage_named
from search.trial_table.writing import Storage
from search.workers.stopping import Wish


class Launch(Section):
    """The latest launch of a study. Whether it is under way, the study's lock tells, and nothing else.

    `host`: the machine that it is on. `at`: when it began, in Unix seconds. `heard`: the wish that it has
    taken in.
    """

    id: str
    host: str
    at: float
    workers: int
    heard: Wish | None = None


class Request(Section):
    """What the launch of that id is asked: no other one heeds it."""

    launch: str
    wish: Wish


S = TypeVar("S", bound=Section)

_NAMES: dict[type[Section], str] = {Launch: "launch", Request: "request"}
"""The attributes of a study that keep them."""


def announce(storage: Storage, study: str, workers: int) -> Callable[[], Wish | None]:
    """Record that a launch of `study` is under way; asks what it is asked from elsewhere.

    `storage`: that of the lock, which the launch holds.
    """
    launch = Launch(id=uuid.uuid4().hex, host=socket.gethostname(), at=time.time(), workers=workers)
    _write(storage, study, launch)

    def asked() -> Wish | None:
        nonlocal launch
        with contextlib.suppress(LostError):  # the next look asks again
            request = _read(storage, study, Request)
            if request and request.launch == launch.id and request.wish != launch.heard:
                heard = launch.model_copy(update={"heard": request.wish})
                _write(storage, study, heard)
                launch = heard
        return launch.heard

    return asked


def latest(storage: Storage, study: str) -> Launch | None:
    """The latest launch of `study`; None: it was one of a version that did not say."""
    return _read(storage, study, Launch)


def ask(storage: Storage, study: str, launch: Launch, wish: Wish) -> None:
    """Ask that `launch` to stop."""
    _write(storage, study, Request(launch=launch.id, wish=wish))


def _read(storage: Storage, study: str, kind: type[S]) -> S | None:
    found = attribute(storage, study, _NAMES[kind])
    with damage_named(storage.url, f"the {_NAMES[kind]} of {study!r}"):
        return None if found is None else kind.model_validate(found)


def _write(storage: Storage, study: str, value: Section) -> None:
    study_id = storage.get_study_id_from_name(study)
    storage.set_study_user_attr(study_id, _NAMES[type(value)], value.model_dump())
