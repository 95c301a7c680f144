"""Memory of workers: before their first trial, and trial after trial.

    python -m benchmarks.memory mnist.npz --trials 100

First two workers as a launch has them, when each has imported all and taken up its first trial: resident
memory, and the share of it that is its own: of what they were forked with each counts its part. Then
networks of one shape, or of ever new ones, are trained in this process, an epoch each, as a worker does:
what leaks, and what recycling gives back. A worker is replaced after `launcher.trials_per_worker` (50).
"""

import argparse
from pathlib import Path

EVERY = 10
WORKERS = 2


def memory_mib(field: str, pid: int | str = "self") -> float:
    """Linux's figure of a process: `Rss`, resident memory; `Pss`, pages that others share in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields[field].split()[0]) / 1024


def idle(data: str) -> None:
    """Print what workers of a launch take that have trained nothing yet."""
    from pipeline.command.compose import compose
    from pipeline.run.config import run_config
    from search.workers.local import LocalLauncher
    from search.workers.messages import LocalConfig, Started, Task, launcher_config

    values = compose([f"data.path={data}"])
    config, run = launcher_config(values["launcher"]), run_config(values)
    assert isinstance(config, LocalConfig)
    launcher = LocalLauncher(config, run.data, WORKERS)
    try:
        for number in range(WORKERS):
            launcher.submit(Task(number, run))
        started = 0
        while started < WORKERS:
            started += sum(isinstance(event, Started) for event in launcher.poll(0.0))
        for pid in launcher.pids:
            print(f"  idle: {memory_mib('Rss', pid):.0f} MiB, {memory_mib('Pss', pid):.0f} its own")
    finally:
        launcher.close()


def main() -> None:
    """Print a line every ten trials."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--shapes", action="store_true", help="a new shape for each trial")
    arguments = parser.parse_args()

    idle(arguments.data)

    from pipeline.network.backend import lean_imports, limit_threads

    limit_threads(1)
    with lean_imports():
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
            print(f"{number:4d} trials: {memory_mib('Rss'):.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
