"""The memory of a process is read where the system tells of it."""

import os
import sys

import pytest

from search.machine.memory import peak_of


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_a_process_had_some_memory_at_its_height() -> None:
    assert 10 < (peak_of(os.getpid()) or 0) < 100_000


def test_of_a_process_that_is_not_there_nothing_is_told() -> None:
    assert peak_of(2**30) is None
