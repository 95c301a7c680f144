"""A GPU that is not there: its driver, its library, and a trainer that says that it computes on it."""

import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from pipeline.run.config import RunConfig
from pipeline.run.result import OnEpoch, Outcome, State
from search.workers.worker import Data, Trainer
from tests.gpu.looking import COPIES, RESIDENT, SEES
from tests.search.fakes import ResourceExhaustedError, curve_trainer

DRIVER = f"""#!{sys.executable}
import sys
if "-L" in sys.argv:
    print("GPU 0: NVIDIA T4 (UUID: GPU-aaaa)")
elif "--query-gpu=uuid" in sys.argv:
    print("GPU-aaaa")
else:
    print("0, GPU-aaaa, NVIDIA T4, 15000")
"""

LIBRARY = """
from types import SimpleNamespace
NVMLError = RuntimeError
nvmlInit = lambda: None
nvmlDeviceGetCount = lambda: 1
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetMemoryInfo = lambda _: SimpleNamespace(used=5e9, total=15e9)
nvmlDeviceGetUtilizationRates = lambda _: SimpleNamespace(gpu=40)
nvmlDeviceGetPowerUsage = lambda _: 50_000
nvmlDeviceGetEnforcedPowerLimit = lambda _: 70_000
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands that are started find a GPU."""
    driver = folder / "nvidia-smi"
    driver.write_text(DRIVER)
    driver.chmod(0o755)
    (folder / "pynvml.py").write_text(LIBRARY)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def trainer(data: Data, threads: int) -> Trainer:
    """Trains along a curve, and has no memory for 64 layers."""
    made = curve_trainer(data, threads)
    about = {**made.about, SEES: str(len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))}

    def train(
        run: RunConfig, on_epoch: OnEpoch, start: State | None, milestones: Collection[int]
    ) -> Outcome:
        if run.model.depth == 64:
            raise ResourceExhaustedError("OOM when allocating tensor with shape[32768,32768]")
        time.sleep(0.1)  # so that two of them run at once
        outcome = made.train(run, on_epoch, start, milestones)
        outcome.result.system["peak_gpu_memory_mib"] = 321.0
        about.update({COPIES: "3", RESIDENT: "cuda:0"})
        return outcome

    return Trainer(train, about)
