"""How far forecasts are off: six studies, each foretold, then run.

    python -m benchmarks.forecast mnist.npz

Each is in a folder of its own, so that its forecast goes by what it measured itself, and is smaller than
the study of its name: fewer trials, or fewer epochs. The wall time is that of the whole command, from its
start to its end. Prints a table for docs/forecast.md. Takes about ten minutes.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compare import machine
from search.forecasting.words import seconds_in

ROOT = Path(__file__).parents[1]
STUDIES = {
    "dropout": ("+study=dropout", "train.epochs=6", "study.trials=16"),
    "full": ("+study=full", "train.epochs=8", "study.trials=16"),
    "hidden_units": ("+study=hidden_units", "train.epochs=3"),
    "batch_size": ("+study=batch_size", "train.epochs=3"),
    "hyperband": (
        *("+study=dropout", "study.name=hyperband", "engine=keras_tuner", "oracle=hyperband"),
        *("train.epochs=9", "study.trials=26"),
    ),
    "asha": (
        *("+study=full", "study.name=asha", "pruner=asha", "pruner.reduction_factor=2"),
        *("train.epochs=8", "study.trials=20"),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """A study as it was foretold and as it went, in seconds. `asking`: what the forecast took, and again."""

    name: str
    median: float
    low: float
    high: float
    wall: float
    asking: tuple[float, float]

    @property
    def error(self) -> float:
        """By which fraction of the wall time the forecast was off."""
        return self.median / self.wall - 1

    @property
    def holds(self) -> bool:
        """Whether the wall time lies in the interval."""
        return self.low <= self.wall <= self.high

    def __str__(self) -> str:
        cells = [
            f"`{self.name}`",
            f"{self.median:.0f}",
            f"{self.low:.0f} to {self.high:.0f}",
            f"{self.wall:.0f}",
            f"{self.error:+.0%}",
            "yes" if self.holds else "no",
            f"{self.asking[0]:.0f}, {self.asking[1]:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


def measure(name: str, data: str, overrides: tuple[str, ...]) -> Outcome:
    """Foretell a study twice, then run it."""
    with tempfile.TemporaryDirectory() as folder:
        words = (*overrides, f"data.path={data}")
        told, first = _timed(folder, "search.forecast", words)
        told, again = _timed(folder, "search.forecast", words)
        line = next(line for line in told.splitlines() if "wall time" in line)
        times = re.findall(r"([\d.]+) (s|min|h)\b", line)
        median, low, high = (seconds_in(number, unit) for number, unit in times)
        said, wall = _timed(folder, "search.optimize", words)
        print(next((x for x in said.splitlines() if "busy" in x), ""), file=sys.stderr)
    return Outcome(name, median, low, high, wall, (first, again))


def _timed(folder: str, module: str, words: tuple[str, ...]) -> tuple[str, float]:
    command = [sys.executable, "-m", module, *words]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout, time.perf_counter() - began


def main() -> None:
    """Print the table, and how the goal was met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--only", nargs="*", default=list(STUDIES), choices=list(STUDIES))
    arguments = parser.parse_args()
    print(machine())
    print(
        "| study | forecast, s | 80 % | wall time, s | error | inside | asking, s: first, again |"
    )
    print("|---|---:|---:|---:|---:|---|---:|", flush=True)
    found = []
    for name in arguments.only:
        found.append(measure(name, arguments.data, STUDIES[name]))
        print(found[-1], flush=True)
    errors = [abs(each.error) for each in found]
    inside = sum(each.holds for each in found)
    print(
        f"\nMedian error {statistics.median(errors):.0%}, the largest {max(errors):.0%}; {inside} of "
        f"{len(found)} inside their interval."
    )


if __name__ == "__main__":
    main()
