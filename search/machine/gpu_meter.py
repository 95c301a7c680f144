"""How busy the GPUs are while trials run, through MLflow's own monitor. Nothing here touches a worker."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SAMPLE_SECONDS = 10.0
"""As MLflow samples."""

_FRESH_SECONDS = 1.0  # trials that end together share a sample


@dataclass
class _Seen:
    prefix: str
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class GpuMeter:
    """Samples all GPUs from a thread, and at the end of a trial says what its own did meanwhile.

    A GPU that trials share is seen as a whole. `note` is told, once, why nothing can be measured.
    """

    def __init__(self, note: Callable[[str], None], seconds: float = SAMPLE_SECONDS) -> None:
        self._note = note
        self._seconds = seconds
        self._monitor: Any = None
        self._running: dict[int, _Seen] = {}
        self._sampled_at = float("-inf")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-meter", daemon=True)
        self._thread.start()

    def begin(self, number: int, gpu: int) -> None:
        """Trial `number` runs from now on, on what the driver calls `gpu`."""
        with self._lock:
            self._running[number] = _Seen(f"gpu_{gpu}_")

    def end(self, number: int) -> dict[str, float]:
        """Means over the trial by MLflow's names, with a sample of its end; empty without a monitor."""
        if time.monotonic() - self._sampled_at > _FRESH_SECONDS or not self._values(number):
            self._sample()
        means = {name: sum(seen) / len(seen) for name, seen in self._values(number).items()}
        with self._lock:
            self._running.pop(number, None)
        return means

    def close(self) -> None:
        """Sample no more."""
        self._closing.set()

    def _values(self, number: int) -> dict[str, list[float]]:
        with self._lock:
            return dict(self._running[number].values) if number in self._running else {}

    def _run(self) -> None:
        try:  # here, because importing MLflow takes a second or two
            from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

            self._monitor = GPUMonitor()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  # whatever it is, the study goes on without
            self._note(
                f"tracking.system_metrics: {error} "
                "(it is part of plumbline[gpu]; tracking.system_metrics=false goes without)"
            )
            return
        while not self._closing.wait(self._seconds):
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            if self._monitor is None:
                return
            self._monitor.collect_metrics()
            sample = self._monitor.aggregate_metrics()
            self._monitor.clear_metrics()
            self._sampled_at = time.monotonic()
            for seen in self._running.values():
                for name, value in sample.items():
                    if name.startswith(seen.prefix):
                        seen.values[f"system/{name}"].append(float(value))
