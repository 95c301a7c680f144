"""What the benchmarks have in common: the length of a trial, and the name of the machine."""

import os
import platform
from pathlib import Path

EPOCHS = 5
"""Of every trial."""


def machine() -> str:
    """The processor and its number of cores."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return f"{model}, {os.cpu_count()} cores"
