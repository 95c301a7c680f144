"""Imported by the template of workers, see `search.machine.template`: makes ready what they all need."""

import os
from contextlib import suppress

from pipeline.network.backend import lean_imports, limit_threads
from search.machine.template import end_with_parent

end_with_parent()
_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 1)  # nobody who reads the output of the study waits for this process
os.dup2(_nowhere, 2)
limit_threads(1)
# A worker imports again what failed here, and tells of it.
with suppress(Exception), lean_imports():
    import pipeline.training.execute  # noqa: F401
