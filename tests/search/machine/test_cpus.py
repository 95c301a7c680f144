"""CPUs that this process may use."""

import os
from pathlib import Path

import pytest

from search.machine.cpus import usable_cpus

V1 = "7:cpuset:/\n2:cpu,cpuacct:/slurm/job_7\n1:memory:/elsewhere\n0::/\n"


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),  # a container
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "1600000 100000"}, 8),  # a quota of more than there are
        ("0::/\n", {"cpu.max": "250000 100000"}, 2),  # two and a half
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/user/job\n", {"user/job/cpu.max": "300000 100000"}, 3),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000", "user/cpu.max": "400000 100000"}, 4),
        ("0::/on/the/host\n", {"cpu.max": "300000 100000"}, 3),  # whose path is not seen from here
        (V1, {"cpu/slurm/job_7": (150_000, 50_000)}, 3),
        (V1, {"cpu/slurm": (200_000, 100_000), "cpu/slurm/job_7": (-1, 100_000)}, 2),
        (V1, {"cpu": (200_000, 100_000)}, 2),  # a container again
        (V1, {}, 8),
        ("0::/\n", {"cpu.max": "what is this"}, 8),
        ("", {}, 8),
    ],
)
def test_a_quota_is_kept_to_wherever_it_is_set(
    tmp_path: Path, groups: str, files: dict[str, str | tuple[int, int]], expected: int
) -> None:
    (tmp_path / "self").write_text(groups)
    for name, content in files.items():
        if isinstance(content, str):
            file = tmp_path / "tree" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        else:
            folder = tmp_path / "tree" / name
            folder.mkdir(parents=True, exist_ok=True)
            for field, value in zip(("quota", "period"), content, strict=True):
                (folder / f"cpu.cfs_{field}_us").write_text(f"{value}\n")
    assert usable_cpus(tmp_path / "self", tmp_path / "tree") == expected


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "not there", tmp_path) == 8


def test_there_is_one_cpu_at_least() -> None:
    assert usable_cpus() >= 1
