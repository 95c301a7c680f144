"""Commands on studies, one a file; nothing imports one."""

import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.reading.opened import open_study as open_study

if sys.argv[:1] == ["-m"]:  # one of them starts, and nothing has begun yet: no traceback of imports
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def __getattr__(name: str) -> Any:
    """`from search import open_study` imports what that takes; `import search` nothing."""
    if name != "open_study":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from search.reading.opened import open_study

    return open_study
