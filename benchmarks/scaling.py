"""How the cost of a trial grows: with workers, width, depth, batch size, and trials in the table.

    python -m benchmarks.scaling mnist.npz

Real studies on MNIST (two epochs a trial, tracked in MLflow), one axis at a time around 2 x 128 at batch
128. A trial's time is the median time from one end to the next on the same worker, so that a moment in
which the machine did something else counts for one trial only. The last plot is of simulated trials that
take no time: only asking and recording is left, the median over fifty trials.
Writes scaling.json and scaling.png beside this file. Takes about twelve minutes.
"""

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.compare import ended, machine, study
from benchmarks.simulate import simulate

HERE = Path(__file__).parent
AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "workers": ("launcher.workers", (1, 2)),
    "hidden units": ("model.hidden_units", (32, 64, 128, 256, 512, 1024)),
    "depth": ("model.depth", (1, 2, 3, 4)),
    "batch size": ("train.batch_size", (32, 64, 128, 256, 512)),
}
EPOCHS, TRIALS = 2, 16
TABLE, SPAN = 10_000, 50


def trials_per_hour(data: str, *overrides: str) -> float:
    """Of all workers together, once each has ended its first trial."""
    with tempfile.TemporaryDirectory() as folder:
        study(folder, data, TRIALS, (f"train.epochs={EPOCHS}", *overrides))
        trials = ended(folder)
    ends: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        ends[trial["worker"]["worker"]].append(trial["at"])
    seconds = [after - end for each in ends.values() for end, after in pairwise(sorted(each))]
    return 3600 * len(ends) / statistics.median(seconds)


def table_milliseconds() -> dict[int, float]:
    """Milliseconds between the ends of trials that take no time, by trials in the table."""
    with tempfile.TemporaryDirectory() as folder:
        ends = simulate(Path(folder), 1, 0.0, 0.0, TABLE)["ended"]
    seconds = [after - end for end, after in pairwise(ends)]
    counts = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, TABLE - SPAN - 1)
    return {count: 1000 * statistics.median(seconds[count : count + SPAN]) for count in counts}


def measure(data: str) -> dict[str, Any]:
    """Every figure of the plots."""
    found: dict[str, Any] = {"machine": machine(), "epochs": EPOCHS}
    for axis, (path, values) in AXES.items():
        found[axis] = {}
        for value in values:
            found[axis][value] = trials_per_hour(data, f"{path}={value}")
            print(f"{path}={value}: {found[axis][value]:.0f} trials an hour", flush=True)
    found["trials in the table"] = table_milliseconds()
    return found


def plot(found: dict[str, Any], file: Path) -> None:
    """One plot for each axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 3.2), layout="constrained")
    axes = figure.subplots(1, len(AXES) + 1)
    for axis, ax in zip([*AXES, "trials in the table"], axes, strict=True):
        values = [int(value) for value in found[axis]]
        ax.plot(values, list(found[axis].values()), marker="o")
        ax.set(xlabel=axis, ylim=(0, 1.08 * max(found[axis].values())))
        if axis not in ("workers", "depth"):
            ax.set_xscale("log")
        if axis in AXES:
            ax.set_xticks(values, [str(value) for value in values])
            ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(f"trials per hour ({found['epochs']} epochs)")
    axes[-1].set_ylabel("coordinator: ms a trial")
    figure.savefig(file, dpi=110)


def main() -> None:
    """Measure, then write the figures and their plots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda path: str(Path(path).resolve()))
    found = measure(parser.parse_args().data)
    (HERE / "scaling.json").write_text(json.dumps(found, indent=1) + "\n")
    plot(found, HERE / "scaling.png")


if __name__ == "__main__":
    main()
