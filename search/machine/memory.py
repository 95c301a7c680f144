"""How much memory a process had at its height."""

import re
from contextlib import suppress
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def peak_of(pid: int) -> float | None:
    """Of the process `pid`, in MiB, with what it shares; None where the system does not tell."""
    with suppress(OSError):  # no Linux, or it is gone
        if found := _PEAK.search(Path(f"/proc/{pid}/status").read_text(encoding="utf-8")):
            return int(found[1]) / 2**10
    return None
