"""A bound for a whole call to a peer: clients bound each read, and one that drips is read for ever."""

import functools
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def bounded(seconds: float) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function raise TimeoutError where it takes longer than `seconds`.

    Nothing can end the call itself: it goes on in a thread that ends with the process.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            ended: dict[str, Any] = {}

            def run() -> None:
                try:
                    ended["result"] = function(*args, **kwargs)
                except BaseException as error:  # noqa: BLE001  # raised below, in the caller's thread
                    ended["error"] = error

            thread = threading.Thread(target=run, name=function.__name__, daemon=True)
            thread.start()
            thread.join(seconds)
            if "error" in ended:
                raise ended["error"]
            if "result" not in ended:
                raise TimeoutError(f"no answer within {seconds:g} s")
            result: T = ended["result"]
            return result

        return call

    return decorate
