"""What MLflow's GPU monitor sees of a trial, with a driver library that is faked."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from search.machine.gpu_meter import GpuMeter
from tests.faults.launch import eventually


class FakeNvml(ModuleType):
    """Two GPUs of 100 MB, as the library of the driver tells it. `used`: MB by GPU."""

    NVMLError = RuntimeError

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.used = [10, 20]

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=self.used[handle] * 1e6, total=100e6)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=90 + handle)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 50_000

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: int) -> int:
        return 100_000


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """The driver's library; MLflow imports its monitor anew to see it."""
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delitem(sys.modules, "mlflow.system_metrics.metrics.gpu_monitor", raising=False)
    return fake


def test_a_trial_gets_the_means_of_its_own_gpu_by_mlflows_names(nvml: FakeNvml) -> None:
    notes: list[str] = []
    meter = GpuMeter(notes.append, seconds=0.01)
    meter.begin(7, 1)
    eventually(lambda: meter._values(7))
    nvml.used[1] = 40
    before = len(next(iter(meter._values(7).values())))
    eventually(lambda: len(next(iter(meter._values(7).values()))) > before + 1)
    meter.close()
    metrics = meter.end(7)
    assert set(metrics) == {
        "system/gpu_1_memory_usage_megabytes",
        "system/gpu_1_memory_usage_percentage",
        "system/gpu_1_utilization_percentage",
        "system/gpu_1_power_usage_watts",
        "system/gpu_1_power_usage_percentage",
    }
    assert metrics["system/gpu_1_utilization_percentage"] == 91
    assert 20 < metrics["system/gpu_1_memory_usage_megabytes"] < 40
    assert meter.end(7) == {}
    assert notes == []


def test_a_trial_shorter_than_the_interval_has_the_sample_of_its_end(nvml: FakeNvml) -> None:
    meter = GpuMeter(print, seconds=3600)
    eventually(lambda: meter._monitor)
    for number in range(2):  # the second within a second of the first
        meter.begin(number, 0)
        assert meter.end(number)["system/gpu_0_memory_usage_megabytes"] == nvml.used[0]
    meter.close()


@pytest.mark.parametrize("missing", ["library", "driver"])
def test_what_keeps_the_monitor_from_measuring_is_said_once(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "library":
        monkeypatch.setitem(sys.modules, "pynvml", None)
        monkeypatch.delitem(sys.modules, "pynvml")
        monkeypatch.setattr(sys, "meta_path", [_Without("pynvml"), *sys.meta_path])
    else:

        def fails() -> None:
            raise nvml.NVMLError("no driver")

        monkeypatch.setattr(nvml, "nvmlInit", fails)
    notes: list[str] = []
    meter = GpuMeter(notes.append, seconds=0.01)
    meter.begin(0, 0)
    eventually(lambda: notes)
    assert meter.end(0) == {}
    assert len(notes) == 1
    assert "tracking.system_metrics=false" in notes[0]


class _Without:
    """A finder for which one module is not there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, *_: object) -> None:
        if name == self._name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
