"""Which GPUs a process may use, as a driver that is not there tells it."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.command.cli import command
from pipeline.command.errors import UnavailableError
from search.machine.gpus import Gpu, visible_gpus
from search.optimize import main
from search.trial_table.trials import TrialTable
from tests.search.conftest import run_python

SMALL = Gpu("0", "NVIDIA T4", 15000, 0)
LARGE = Gpu("1", "NVIDIA A100-SXM4-80GB", 81000, 1)
SHARED = Gpu("2", "NVIDIA GB10", None, 2)

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
        pytest.param("MIG-dddd", [Gpu("MIG-dddd", "a MIG slice", None)], id="a slice of one"),
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
    ("script", "reason"),
    [
        pytest.param(
            "#!/bin/sh\necho No devices were found\nexit 6\n",
            "nvidia-smi ended with exit code 6: No devices were found",
            id="no driver",
        ),
        pytest.param("#!/bin/sh\nexit 0\n", "nvidia-smi lists no device", id="no devices"),
        pytest.param("no program", "nvidia-smi can't be run: ", id="broken"),
        pytest.param(None, "there is no nvidia-smi in PATH", id="not installed"),
    ],
)
def test_without_a_driver_there_are_no_gpus_and_where_one_is_required_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        install(tmp_path, script, monkeypatch)
    assert visible_gpus() == []
    with pytest.raises(UnavailableError, match=re.escape(reason)) as error:
        visible_gpus(required=True)
    assert "launcher.require_gpu=false" in str(error.value)


def test_a_required_gpu_that_is_hidden_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, DRIVER, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(UnavailableError, match=r"CUDA_VISIBLE_DEVICES='7' hides .*\(0, 1, 2\)"):
        visible_gpus(required=True)


def test_a_gpu_is_listed_with_its_name_and_free_memory() -> None:
    assert str(LARGE) == "GPU 1: NVIDIA A100-SXM4-80GB, 81,000 MiB free"
    assert str(SHARED) == "GPU 2: NVIDIA GB10"


@pytest.mark.parametrize("required", [True, False])
def test_a_study_that_requires_a_gpu_ends_with_69_and_creates_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    required: bool,
) -> None:
    """Without the requirement the next check is reached: there is no such data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["+study=smoke", "data=npz", "data.path=nowhere.npz"]
    words.append(f"launcher.require_gpu={str(required).lower()}")
    assert command(words, main, "search.optimize", "", lambda _: "") == 69
    said = "there is no nvidia-smi in PATH" if required else "nowhere.npz"
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def launched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, visible: str, setting: str
) -> "subprocess.CompletedProcess[str]":
    """A study whose backend sees no GPU, although the driver lists those that are `visible`."""
    install(folder, DRIVER, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    words = ["+study=smoke", "study.trials=4", "tracking=none", setting]
    words.append("launcher.trainer=tests.search.fakes.cpu_trainer")
    return run_python(["-m", "search.optimize", *words], folder)


@pytest.mark.slow
def test_a_study_that_requires_a_gpu_ends_with_69_where_the_backend_does_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = launched(tmp_path, monkeypatch, "0", "launcher.require_gpu=true")
    assert done.returncode == 69, done.stderr
    assert f"expected a GPU, but tensorflow {version('tensorflow')} sees none" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_study_lists_its_gpus_fills_them_and_says_where_the_backend_sees_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = launched(tmp_path, monkeypatch, "2,0", "launcher.workers_per_gpu=2")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["GPU 2: NVIDIA GB10", "GPU 0: NVIDIA T4, 15,000 MiB free"]
    assert "4 workers" in lines[2]
    told = [line for line in lines if "tensorflow 2.21.0 sees none" in line]
    assert len(told) == 1
    assert "plumbline[gpu]" in told[0]
    entries = TrialTable.load(f"sqlite:///{tmp_path}/mlruns/studies.db", "smoke").entries()
    assert {entry.worker["gpu"] for entry in entries} <= {"0", "2"}
    places = {(entry.worker["worker"], entry.worker["gpu"]) for entry in entries}
    assert places <= {("0", "2"), ("1", "0"), ("2", "2"), ("3", "0")}
