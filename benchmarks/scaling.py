"""How the cost of a trial grows: with workers, width, depth, batch size, and trials in the table.

    python -m benchmarks.scaling mnist.npz

Real studies on MNIST (two epochs a trial, tracked in MLflow), one axis at a time around 2 x 128 at batch
128; the last plot is of simulated trials that take no time, so that only asking and recording is left.
Writes scaling.json and scaling.png beside this file. Takes about ten minutes.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.compare import ended, machine, seconds_per_trial, study, workers_of
from benchmarks.simulate import simulate

HERE = Path(__file__).parent
AXES: dict[str, tuple[str, tuple[int, ...]]] = {
    "workers": ("launcher.workers", (1, 2)),
    "hidden units": ("model.hidden_units", (32, 64, 128, 256, 512, 1024)),
    "depth": ("model.depth", (1, 2, 3, 4)),
    "batch size": ("train.batch_size", (32, 64, 128, 256, 512)),
}
EPOCHS, TRIALS = 2, 8
TABLE = 2000


def trials_per_hour(data: str, *overrides: str) -> float:
    """Counted from when every worker has ended a trial."""
    with tempfile.TemporaryDirectory() as folder:
        study(folder, data, TRIALS, (f"train.epochs={EPOCHS}", *overrides))
        trials = ended(folder)
    return 3600 / seconds_per_trial([entry["at"] for entry in trials], workers_of(trials))


def table_milliseconds() -> dict[int, float]:
    """Milliseconds between the ends of trials that take no time, by trials in the table."""
    with tempfile.TemporaryDirectory() as folder:
        ends = simulate(Path(folder), 2, 0.0, 0.0, TABLE)["ended"]
    span = 20
    counts = (10, 20, 50, 100, 200, 500, 1000, TABLE - span)
    return {count: 1000 * (ends[count + span - 1] - ends[count - 1]) / span for count in counts}


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
        ax.set(xlabel=axis, ylim=(0, None))
        if axis not in ("workers", "depth"):
            ax.set_xscale("log", base=10 if axis == "trials in the table" else 2)
        else:
            ax.set_xticks(values)
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
