"""Memory of a worker, trial after trial: what leaks, and what recycling gives back.

    python -m benchmarks.memory mnist.npz --trials 100

Trains networks of one shape and of ever new shapes in this process, an epoch each, as a worker does,
and prints its resident memory. A worker is replaced after `launcher.trials_per_worker` (50) trials.
"""

import argparse
from pathlib import Path

EVERY = 10


def resident_mib() -> float:
    """Resident memory of this process (Linux)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def main() -> None:
    """Print a line every ten trials."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--shapes", action="store_true", help="a new shape for each trial")
    arguments = parser.parse_args()

    from pipeline.network.backend import limit_threads

    limit_threads(1)
    from pipeline.command.collector import imports_only

    with imports_only():
        from pipeline.training.execute import execute
    from pipeline.command.compose import compose
    from pipeline.data import load
    from pipeline.run.config import run_config

    base = run_config(compose([f"data.path={arguments.data}", "train.epochs=1", "model.depth=2"]))
    dataset = load(base.data)
    for number in range(1, arguments.trials + 1):
        width = 64 + number if arguments.shapes else 128
        model = base.model.model_copy(update={"hidden_units": width})
        train = base.train.model_copy(update={"seed": number})
        run = base.model_copy(update={"model": model, "train": train})
        execute(run, dataset, lambda _: False)
        if number == 1 or number % EVERY == 0:
            print(f"{number:4d} trials: {resident_mib():.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
