"""What coordination costs: how long workers wait, and how much of a core the coordinator takes.

python benchmarks/overhead.py                # trials of 5 epochs of 0.3 s, on two workers that only sleep
python benchmarks/overhead.py --seconds 2.4  # of 2.4 s each
python benchmarks/overhead.py --keras        # trials of Keras on the bundled digits
python benchmarks/overhead.py --profile      # and where the coordinator's time goes, by function

Two studies, of 20 trials and of 80, are tracked in MLflow, in a folder that is thrown away. What the
longer one took more than the shorter one is what 60 trials cost; the rest is paid once: the import of
MLflow and its new database. A study's clock runs from the first trial that a worker takes up to the end
of the last.
"""

import argparse
import os
import pstats
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHORT, LONG, WORKERS, EPOCHS, SECONDS = 20, 80, 2, 5, 1.5
USAGE = re.compile(
    r"([\d.]+) s: workers busy ([\d.]+)% .* coordinator ([\d.]+)% .* tracking ([\d.]+)%"
)


def study(trials: int, seconds: float, keras: bool, profile: bool) -> dict[str, float]:
    """Seconds of a study of `trials` trials: on the clock, `busy` of a worker, CPU of both threads."""
    overrides = [
        "+study=smoke",
        f"study.trials={trials}",
        f"train.epochs={EPOCHS}",
        f"launcher.workers={WORKERS}",
        "pruner=none",
    ]
    if not keras:
        overrides.append("launcher.trainer=tests.faults.fakes.make_trainer")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PLUMBLINE_EPOCH_SECONDS": str(seconds / EPOCHS),
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "profile"
        how = ["-m", "cProfile", "-o", str(stats)] if profile else []
        done = subprocess.run(
            [sys.executable, *how, "-m", "search.optimize", *overrides],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        if profile:
            pstats.Stats(str(stats)).sort_stats("tottime").print_stats(25)
    found = USAGE.search(done.stdout)
    if found is None:
        raise RuntimeError(done.stdout)
    wall, busy, coordinator, tracking = map(float, found.groups())
    return {
        "wall": wall,
        "busy": wall * busy / 100,
        "coordinator": wall * coordinator / 100,
        "tracking": wall * tracking / 100,
    }


def main() -> None:
    """Run both studies and print what a trial costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that a trial takes")
    arguments = parser.parse_args()
    short = study(SHORT, arguments.seconds, arguments.keras, False)
    long = study(LONG, arguments.seconds, arguments.keras, arguments.profile)
    more = {name: long[name] - short[name] for name in long}
    trials, wall = LONG - SHORT, more["wall"]
    print(f"{WORKERS * wall / trials:.2f} s a trial: workers busy {more['busy'] / wall:.1%}")
    for name in ("coordinator", "tracking"):
        once = short[name] - SHORT * more[name] / trials
        print(
            f"{name}: {1000 * more[name] / trials:.0f} ms a trial, "
            f"{more[name] / wall:.1%} of a core; once {once:.1f} s"
        )


if __name__ == "__main__":
    main()
