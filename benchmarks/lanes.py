"""Trials an hour on one GPU: one at a time, two processes that share it, and lanes.

    python -m benchmarks.lanes mnist.npz
    python -m benchmarks.lanes mnist.npz --widths 128 --lanes 32 --seconds 240 tracking=none
    python -m benchmarks.lanes --small     # the bundled digits, in about two minutes on two CPU cores

Whole studies with `KERAS_BACKEND=jax`, tracked in MLflow: the same network at 2 x 128 and at 2 x 512, over
as many seeds as there are trials, 5 epochs of batch 128 each. Trials an hour count from when every place
for a trial has had its first one, so what a program compiles is not in them: it has a column of its own,
and so has what the places would do if a trial were its epochs alone. Accuracy is compared with one trial
at a time over the seeds that all have, pair by pair (t-test): lanes are to change nothing. OVERRIDES go
with each study. What the time doesn't suffice for is named below the table, which is for
benchmarks/README.md.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from scipy.stats import ttest_rel

from benchmarks.machine import EPOCHS, machine
from search.machine.gpus import visible_gpus
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable

ROOT = Path(__file__).parents[1]
_LEAST = 20.0  # seconds without which no study is begun
_LEAVE = 20.0  # for a study that is told to end


@dataclass(frozen=True)
class Way:
    """A way to run trials on one GPU: `processes` at once, each of `lanes` trials."""

    name: str
    processes: int = 1
    lanes: int = 1

    @property
    def places(self) -> int:
        """Trials at a time."""
        return self.processes * self.lanes


@dataclass(frozen=True)
class Found:
    """What came of a way. `values`: accuracy by seed. `busy`: of the GPU, in percent, where that is known."""

    rate: float
    alone: float
    compiling: float
    busy: float | None
    values: Mapping[int, float]


def ways(lanes: Sequence[int]) -> list[Way]:
    """All ways, the one that others are compared with first."""
    several = [Way(f"{width} lanes", lanes=width) for width in lanes]
    return [Way("one trial at a time"), *several, Way("two processes", processes=2)]


def study(
    way: Way, folder: str, trials: int, seconds: float, overrides: Sequence[str]
) -> list[Entry] | None:
    """The trials of a study in `folder`; None where they take longer than `seconds`."""
    command = [
        *(sys.executable, "-m", "search.optimize", "+study=learning_rate", "study.name=bench"),
        *("sampler=grid", "pruner=none", f"study.trials={trials}", "~study.space.train"),
        f"+study.space.train.seed={{low: 0, high: {trials - 1}, step: 1}}",
        # A new process after fifty trials would be counted, too.
        *("tracking.report=false", f"launcher.trials_per_worker={trials}"),
        f"launcher.workers={way.processes}",
        *([f"launcher.lanes={way.lanes}"] if way.lanes > 1 else []),
        *overrides,
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    if gpus := visible_gpus():
        env["CUDA_VISIBLE_DEVICES"] = gpus[0].index
    output = Path(folder) / "output"
    with output.open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            code = process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LEAVE)
                process.kill()
    if code:
        raise RuntimeError(output.read_text())
    return TrialTable.load(f"sqlite:///{folder}/mlruns/studies.db", "bench").entries()


def found(entries: Sequence[Entry], places: int) -> Found:
    """The figures of a study that had `places` for trials, and more trials than that."""
    results = [entry.result for entry in entries if entry.result is not None]
    ends = sorted(entry.ended_at for entry in entries if entry.ended_at is not None)
    if not len(results) == len(ends) == len(entries) > places:
        raise RuntimeError(f"expected more than {places} trials, all complete, got {len(results)}")
    seconds = [
        epoch.seconds for result in results for epoch in result.history[1:] or result.history
    ]
    busy = [
        value
        for result in results
        for name, value in result.system.items()
        if name.endswith("_utilization_percentage")
    ]
    epochs = statistics.mean(len(result.history) for result in results)
    return Found(
        rate=3600 * (len(ends) - places) / (ends[-1] - ends[places - 1]),
        alone=3600 * places / (epochs * statistics.median(seconds)),
        compiling=max(result.timings["compile_seconds"] for result in results),
        busy=statistics.mean(busy) if busy else None,
        values={
            entry.run.train.seed: entry.value
            for entry in entries
            if entry.run is not None and entry.value is not None
        },
    )


def row(name: str, one: Found, other: Found, seeds: int) -> str:
    """A row of the table: `other` beside `one`, trials one at a time."""
    chosen = [s for s in range(seeds) if s in one.values and s in other.values]
    ours, theirs = ([each.values[s] for s in chosen] for each in (one, other))
    cells = [
        name,
        f"{other.rate:,.0f}",
        f"{other.rate / one.rate:.2f}",
        f"{other.alone:,.0f}",
        f"{other.compiling:.1f}",
        "" if other.busy is None else f"{other.busy:.0f} %",
        f"{statistics.mean(theirs):.4f} ± {statistics.stdev(theirs):.4f}",
        "" if other is one else difference(ours, theirs),
    ]
    return f"| {' | '.join(cells)} |"


HEAD = """\
| | trials an hour | ratio | by epochs alone | compiling, s | GPU busy | val. accuracy | difference (95 %) |
|---|---|---|---|---|---|---|---|"""


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How far `theirs` are from `ours`, pair by pair: mean with its interval, and p of a t-test."""
    if list(ours) == list(theirs):
        return "none, to the last bit"
    tested = ttest_rel(theirs, ours)
    low, high = tested.confidence_interval(0.95)
    mean = statistics.mean(their - our for our, their in zip(ours, theirs, strict=True))
    return f"{mean:+.5f} ({low:+.5f} to {high:+.5f}), p = {tested.pvalue:.2g}"


def main(asked: argparse.Namespace) -> None:
    """Measure, as far as the time goes, and print the tables."""
    until = time.monotonic() + asked.seconds
    card = ", ".join(gpu.name for gpu in visible_gpus()[:1]) or f"no GPU: {machine()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "keras", "optuna"))
    print(f"{card}; Python {platform.python_version()}, {versions}")
    skipped = []
    for width in asked.widths:
        print(f"\n2 x {width}, batch {asked.batch}, {asked.epochs} epochs\n\n{HEAD}", flush=True)
        one: Found | None = None
        for way in ways(asked.lanes):
            trials = max(asked.seeds, 2 * way.places)
            overrides = [
                *(
                    f"model.hidden_units={width}",
                    "model.dropout=0.3",
                    f"train.epochs={asked.epochs}",
                ),
                *(f"train.batch_size={asked.batch}", *asked.data, *asked.overrides),
            ]
            left, entries = until - time.monotonic(), None
            if left > _LEAST and (one is not None or not way.places > 1):
                with tempfile.TemporaryDirectory() as folder:
                    entries = study(way, folder, trials, left - _LEAVE, overrides)
            if entries is None:
                skipped.append(f"{way.name} at 2 x {width}")
                continue
            figures = found(entries, way.places)
            one = one or figures
            print(row(way.name, one, figures, asked.seeds), flush=True)
    if skipped:
        print(f"\nNot measured within {asked.seconds:.0f} s: {', '.join(skipped)}.")


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """What was asked for; `data` as overrides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", help="MNIST in Keras's layout; without it MNIST_PATH")
    parser.add_argument("--widths", type=int, nargs="+")
    parser.add_argument("--lanes", type=int, nargs="+")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=480.0, help="in which all has to be over")
    parser.add_argument("--small", action="store_true", help="the bundled digits, and few of all")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    asked = parser.parse_args(words)
    usual = {"widths": [128, 512], "lanes": [8, 32, 128], "seeds": 32, "epochs": EPOCHS}
    small = {"widths": [32], "lanes": [2, 4], "seeds": 8, "epochs": 3}
    for name, value in (small if asked.small else usual).items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    if asked.data is not None and "=" in asked.data:  # no path was given
        asked.overrides, asked.data = [asked.data, *asked.overrides], None
    path = asked.data or (None if asked.small else os.environ.get("MNIST_PATH"))
    if path is None and not asked.small:
        parser.error("expected the path of MNIST in Keras's layout, or MNIST_PATH (or --small)")
    asked.data = (
        ["data=digits"] if path is None else [f"data.path={json.dumps(str(Path(path).resolve()))}"]
    )
    return asked


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
