"""What coordination costs: how long workers wait, and how much of a core the coordinator takes.

python benchmarks/overhead.py                # 30 trials of 5 epochs of 0.3 s, on workers that only sleep
python benchmarks/overhead.py --seconds 2.4  # of 2.4 s each
python benchmarks/overhead.py --keras        # 30 trials of Keras on the bundled digits
python benchmarks/overhead.py --profile      # and where the coordinator's time goes, by function

The study is tracked in MLflow, in a folder that is thrown away. The clock runs from the first trial
that a worker takes up to the end of the last; imports before and the publication after don't count.
"""

import argparse
import os
import pstats
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRIALS, EPOCHS, SECONDS = 30, 5, 1.5


def main() -> int:
    """Run the study and print what it says of its workers and its coordinator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that a trial takes")
    arguments = parser.parse_args()
    overrides = [
        "+study=smoke",
        f"study.trials={TRIALS}",
        f"train.epochs={EPOCHS}",
        "launcher.workers=2",
        "pruner=none",
    ]
    if not arguments.keras:
        overrides.append("launcher.trainer=tests.faults.fakes.make_trainer")
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PLUMBLINE_EPOCH_SECONDS": str(arguments.seconds / EPOCHS),
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        how = ["-m", "cProfile", "-o", str(profile)] if arguments.profile else []
        done = subprocess.run(
            [sys.executable, *how, "-m", "search.optimize", *overrides],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            print(done.stdout + done.stderr, file=sys.stderr)
            return done.returncode
        print(next(line for line in done.stdout.splitlines() if "workers busy" in line))
        if arguments.profile:
            pstats.Stats(str(profile)).sort_stats("tottime").print_stats(25)
    return 0


if __name__ == "__main__":
    sys.exit(main())
