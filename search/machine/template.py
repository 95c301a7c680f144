"""The process that workers are forked from: it imports once, and early, what takes each of them seconds."""

import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

from pipeline.command.signals import signals_held
from search.machine.cpus import usable_cpus

_PR_SET_PDEATHSIG = 1  # prctl(2)
_ROOM = 64  # bytes, of the 107 that the name of a socket may have: the template's adds up to 40
KERAS = "search.workers.worker.keras_trainer"
"""The trainer whose imports the template has."""

_PRELOAD = "search.machine.preload"
"""Imported by that process alone."""


def backend_of_workers() -> str:
    """What Keras trains with in a worker: workers have our environment."""
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def can_fork(threads: int) -> bool:
    """Whether workers of `threads` CPU threads may be forked after their imports.

    On Linux, where TensorFlow, one thread each and no GPU are all there is: then what was imported has
    started no thread and looked at no device, and a fork is as good as a new process. Elsewhere each
    worker is spawned, and so it is where the folder of temporary files has too long a name.
    """
    alone = sys.platform == "linux" and shutil.which("nvidia-smi") is None
    room = len(os.fsencode(tempfile.gettempdir())) <= _ROOM
    return alone and room and backend_of_workers() == "tensorflow" and threads == 1


def start_template() -> None:
    """Have the template there, which goes on importing; it ends with this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD])
    with signals_held():  # its forks hold them, too
        forkserver.ensure_running()


def begin_early(values: Mapping[str, Any]) -> None:
    """Start the template for the workers of a composed configuration, before that is checked.

    Not where there is one CPU, for which a study that is met already would have to wait.
    """
    match values.get("launcher"):
        case {"name": "local", "threads_per_worker": int(threads), "trainer": str(trainer)}:
            if trainer == KERAS and can_fork(threads) and usable_cpus() > 1:
                start_template()


@contextmanager
def starting(forked: bool) -> Iterator[ForkServerContext | SpawnContext]:
    """What starts a process that signals from a terminal don't reach, in the block.

    As a fork of the template, waited for, or a new one.
    """
    if forked:
        start_template()  # anew, where it died
        yield multiprocessing.get_context("forkserver")
    else:
        with signals_held():
            yield multiprocessing.get_context("spawn")


def end_with_parent() -> None:
    """On Linux, end this process when its parent ends, even while C code keeps Python's lock."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
