"""A launch is told to stop from elsewhere, in another process or on another machine."""

import time

from pipeline.command.errors import UnavailableError
from search.steering.launches import ask, latest
from search.trial_table.lock import is_held
from search.trial_table.storage import open_storage, reading
from search.trial_table.writing import Storage
from search.workers.stopping import Wish

_ANSWER_SECONDS = 20.0
_POLL_SECONDS = 0.1


def stop(url: str, name: str, wish: Wish) -> str:
    """Have the launch of the study `name` that is under way stop; what came of that, in a sentence.

    Never another one that has begun since. Raises UnavailableError where it does not answer.
    """
    with reading(url) as storage:
        if not is_held(storage, name):
            return f"{name}: no launch is running."
    storage = open_storage(url)
    try:
        return _stop(storage, name, wish)
    finally:
        storage.engine.dispose()


def _stop(storage: Storage, name: str, wish: Wish) -> str:
    asked: str | None = None
    until = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < until:
        launch = latest(storage, name)
        if launch is not None and asked is None:
            ask(storage, name, launch, wish)
            asked = launch.id
        if not is_held(storage, name):
            return f"{name}: the launch that was running has ended."
        if launch is not None and launch.id != asked:
            return (
                f"{name}: the launch that was running has ended, and another one has begun since."
            )
        if launch is not None and launch.heard in (wish, "now"):
            stops = "stops at once" if launch.heard == "now" else "finishes what runs, and stops"
            return f"{name}: the launch on {launch.host} {stops}."
        time.sleep(_POLL_SECONDS)
    raise UnavailableError(
        f"{name}: the launch that is running has not answered within {_ANSWER_SECONDS:g} s (it is still "
        "starting, telling of its end, stopped itself as by Ctrl-Z, or of a version that does not listen; "
        "what it was asked stays asked of it)"
    )
