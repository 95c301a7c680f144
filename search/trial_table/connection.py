"""Connections to a PostgreSQL server that may stop answering: no question is waited for without a bound."""

from collections.abc import Callable, Generator
from typing import Any

from sqlalchemy.engine import make_url

ANSWER_SECONDS = 60.0
"""How long a server may say nothing at all; for a lock of its own it waits half as long."""


def connector(url: str, arguments: dict[str, Any]) -> Callable[[], Any]:
    """A way to connect to the server at `url`, with `arguments` for the driver besides those in `url`.

    The connections raise the driver's OperationalError, and are closed, where no answer comes within
    ANSWER_SECONDS: TCP notices a machine that is gone, but not a server that was stopped. With their
    `unbounded` they wait for ever.
    """
    import psycopg

    class Connection(psycopg.Connection[Any]):
        unbounded = False

        def wait(self, gen: Any, interval: float = 0.1, *more: Any, **named: Any) -> Any:
            return super().wait(self._answered(gen, interval), interval, *more, **named)

        def _answered(self, gen: Any, interval: float) -> Generator[Any, Any, Any]:
            # Counted by steps, not by the clock: while this process itself is stopped none goes by.
            silent = 0.0
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    silent = 0.0 if ready else silent + interval
                    if silent >= ANSWER_SECONDS and not self.unbounded:
                        self.close()
                        raise psycopg.OperationalError(f"no answer for {ANSWER_SECONDS:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    parsed = make_url(url)
    words, named = parsed.get_dialect()().create_connect_args(parsed)
    return lambda: Connection.connect(*words, **{**arguments, **named})
