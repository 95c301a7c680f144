"""How many CPUs this process may use: what the machine has, less what it is kept from."""

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")


def usable_cpus(groups: Path = _GROUPS, root: Path = _ROOT) -> int:
    """The CPUs of its affinity, or fewer where the quota of a cgroup (a container's, a job's) is less.

    At least 1. `groups`: the file with the cgroups of this process; `root`: where their tree is mounted.
    """
    if hasattr(os, "sched_getaffinity"):
        cpus = float(len(os.sched_getaffinity(0)))
    else:
        cpus = float(os.cpu_count() or 1)
    return max(1, int(min([cpus, *_quotas(groups, root)])))


def _quotas(groups: Path, root: Path) -> Iterator[float]:
    """The quotas, in CPUs, of all cgroups that this process is in, and of those around them."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        tree = root / "cpu" if controllers else root  # v1 has a tree for each controller
        inner = tree / path.lstrip("/")
        # In a container the path may be the host's, and what is mounted is the container's own part.
        for folder in (inner, *inner.parents):
            if folder.is_relative_to(tree):
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    try:
        if (file := folder / "cpu.max").exists():  # cgroup v2
            quota, period = file.read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except (OSError, ValueError):  # a cgroup without the cpu controller
        return
