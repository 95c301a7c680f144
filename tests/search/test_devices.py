"""Which GPUs a process may use, as a driver that is not there tells it."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from search.devices import Gpu, visible_gpus

SMALL = Gpu("0", "NVIDIA T4", 15000)
LARGE = Gpu("1", "NVIDIA A100-SXM4-80GB", 81000)
SHARED = Gpu("2", "NVIDIA GB10", None)

DRIVER = f"""#!{sys.executable}
import sys
assert sys.argv[1:] == [
    "--query-gpu=index,uuid,name,memory.free", "--format=csv,noheader,nounits"
]
print("0, GPU-aaaa, NVIDIA T4, 15000")
print("1, GPU-bbbb, NVIDIA A100-SXM4-80GB, 81000")
print("2, GPU-cccc, NVIDIA GB10, [N/A]")
"""


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`script` as nvidia-smi."""
    file = folder / "nvidia-smi"
    file.write_text(script)
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("chosen", "gpus"),
    [
        pytest.param(None, [SMALL, LARGE, SHARED], id="not set"),
        pytest.param("2,0", [SHARED, SMALL], id="indices in their order"),
        pytest.param("GPU-bbbb", [replace(LARGE, index="GPU-bbbb")], id="a uuid"),
        pytest.param(
            "GPU-cccc, 1", [replace(SHARED, index="GPU-cccc"), LARGE], id="uuid and index"
        ),
        pytest.param("1,7,0", [LARGE], id="as CUDA, only those before an unknown one"),
        pytest.param("", [], id="empty"),
        pytest.param("-1", [], id="none"),
    ],
)
def test_the_gpus_are_those_of_the_driver_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, gpus: list[Gpu]
) -> None:
    install(tmp_path, DRIVER, monkeypatch)
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == gpus


@pytest.mark.parametrize(
    "script",
    ["#!/bin/sh\nexit 9\n", "#!/bin/sh\nexit 0\n", "no program", None],
    ids=["no driver", "no devices", "broken", "not installed"],
)
def test_without_a_driver_there_are_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        install(tmp_path, script, monkeypatch)
    assert visible_gpus() == []
