"""Large imports without Python's garbage collector, which takes a third of their time for nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_only() -> Iterator[None]:
    """Keep the garbage collector from what is imported in the block, now and later: all of it stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
