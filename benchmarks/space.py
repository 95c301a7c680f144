"""The record of a space: random networks trained on MNIST, their curves and costs in one file (space.md).

    python -m benchmarks.space record     # an hour on two quiet cores; the same command goes on with it
    python -m benchmarks.space measure    # three minutes alone on the machine: what a network costs
    python -m benchmarks.space write      # space.npz, from what there is by then

Both are studies of Plumbline, in the working folder's `mlruns`, and take overrides: `study.max_seconds=600`.
`study.points` names every trial, so that they go on where they were, and nothing is trained twice.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.command.compose import compose
from pipeline.run.config import RunConfig
from search.forecasting.cost import Size, Work
from search.forecasting.fit import CostModel
from search.forecasting.samples import Sample, samples
from search.setup.launch import launch
from search.setup.read import read
from search.simulate.play import settings
from search.simulate.record import SEED
from search.study.space import Choices
from search.study.vocabulary import Entry
from search.trial_table.trials import TrialTable

FILE = Path(__file__).with_suffix(".npz")
URL = "sqlite:///mlruns/studies.db"
CONFIGURATIONS, REPEATED, SEEDS, EPOCHS, MEASURED = 1200, 200, 5, 12, 60
SPACE: dict[str, Any] = {
    "model": {
        "hidden_units": {"low": 64, "high": 256, "step": 32},
        "depth": {"low": 1, "high": 3},
        "dropout": {"low": 0.0, "high": 0.6},
    },
    "train": {
        "optimizer": ["sgd", "rmsprop", "adam", "adamw", "nadam"],
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": [128, 256, 512],
    },
}


def points() -> list[dict[str, Any]]:
    """Every trial, in an order that may be ended anywhere: each sixth configuration has five seeds."""
    draw = np.random.default_rng(0)
    drawn: list[dict[str, Any]] = [
        {
            "model.hidden_units": int(draw.integers(2, 9)) * 32,
            "model.depth": int(draw.integers(1, 4)),
            "model.dropout": round(float(draw.uniform(0, 0.6)), 4),
            "train.optimizer": SPACE["train"]["optimizer"][draw.integers(5)],
            "train.learning_rate": float(f"{10 ** draw.uniform(-4, -2):.4g}"),
            "train.batch_size": int(2 ** draw.integers(7, 10)),
        }
        for _ in range(CONFIGURATIONS)
    ]
    every = CONFIGURATIONS // REPEATED
    return [
        {**each, "train.seed": seed}
        for place, each in enumerate(drawn)
        for seed in range(1 if place % every else SEEDS)
    ]


def study(
    name: str, tried: Sequence[dict[str, Any]], overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """The configuration of the study that tries these points."""
    values = compose(
        [
            *(
                "+study=full",
                f"study.name={name}",
                "sampler=random",
                "pruner=none",
                "tracking=none",
            ),
            *(f"train.epochs={EPOCHS}", "launcher.trials_per_worker=200", f"storage.url={URL}"),
            *overrides,
        ]
    )
    seeds = {**SPACE["train"], "seed": list(range(SEEDS))}
    values["study"] |= {
        "space": {**SPACE, "train": seeds},
        "points": list(tried),
        "trials": len(tried),
    }
    return values


def record() -> int:
    """Go on with the record."""
    return launch(study("space", points(), sys.argv[2:]), "python -m benchmarks.space record")


def measure() -> int:
    """Train some configurations again, for what they cost on a machine that does nothing else."""
    tried = [each for each in points() if each["train.seed"] == 0][-MEASURED:]
    values = study("space_cost", tried, sys.argv[2:])
    return launch(values, "python -m benchmarks.space measure")


def write() -> int:
    """Write the record as it stands: whole trials alone, and what a network costs by the measured ones."""
    table, measured = TrialTable.load(URL, "space"), TrialTable.load(URL, "space_cost")
    dataset, entries = table.about().dataset, table.entries()
    whole = [(each, each.run, each.result) for each in entries if each.state == "complete"]
    found = [(run, result) for _, run, result in whole if run is not None and result is not None]
    setup = read(study("space", points()), str)
    validation, test = dataset.train_shape[0], dataset.test_shape[0]
    validation -= setup.training_rows_of(validation)
    costs = cost_of(measured.entries(), Size.of(dataset))
    seconds = [costs(run) for run, _ in found]
    paths = [path for path in setup.space.dimensions if path != SEED]
    rows = [settings(run, paths) for run, _ in found]
    choices = {
        path: list(each.grid())
        for path in paths
        if isinstance(each := setup.space.dimensions[path], Choices)
    }

    def column(path: str) -> Any:
        values = [row[path] for row in rows]
        if path in choices:
            return np.array([choices[path].index(value) for value in values], np.uint8)
        whole = all(isinstance(value, int) for value in values)
        return np.array(values, np.uint16 if whole else np.float64)

    def curve(metric: str) -> Any:
        return np.array([[epoch.metrics[metric] for epoch in each.history] for _, each in found])

    facts = {
        "name": "space",
        "base": setup.run.model_dump(mode="json"),
        "space": SPACE,
        "paths": paths,
        "choices": choices,
        "dataset": {**asdict(dataset), "source": "MNIST"},
        "validation_rows": validation,
        "test_rows": test,
    }
    np.savez_compressed(
        FILE,
        **{path: column(path) for path in paths},
        seed=np.array([run.train.seed for run, _ in found], np.uint8),
        val_right=np.rint(curve("val_accuracy") * validation).astype(np.uint16),
        val_loss=curve("val_loss").astype(np.float16),
        test_right=np.rint([each.test["test_accuracy"] * test for _, each in found]).astype(
            np.uint16
        ),
        parameters=np.array([each.parameters for _, each in found], np.uint32),
        begin_seconds=np.array([begin for begin, _ in seconds], np.float32),
        epoch_seconds=np.array([epoch for _, epoch in seconds], np.float32),
        facts=np.array(json.dumps(facts)),
    )
    print(f"{FILE}: {len(found)} trainings, {FILE.stat().st_size / 1024:.0f} KiB")
    return 0


def cost_of(entries: Sequence[Entry], size: Size) -> Callable[[RunConfig], tuple[float, float]]:
    """Seconds that a run takes besides its epochs, and for each, by trials on a quiet machine.

    Prints by how much it is off. Its shape counts as new to its worker, as it is for most trials of a study.
    """
    seen = samples(entries, size)

    def fitted(some: Sequence[Sample]) -> CostModel:
        return CostModel.fit([each for sample in some for each in sample.observations()])

    def costs(model: CostModel, run: RunConfig) -> tuple[float, float]:
        work = Work(run, size)
        return model.once(work) + model.of(work.compiling), model.epoch(work)

    off = []
    for fold in range(5):
        model = fitted([each for place, each in enumerate(seen) if place % 5 != fold])
        for sample in seen[fold::5]:
            begin, epoch = costs(model, sample.run)
            begin -= 0 if sample.compiled else model.of(sample.work.compiling)
            begin += model.one("first") if sample.first else 0
            off.append((begin + len(sample.epochs) * epoch) / sample.seconds - 1)
    print(
        f"{len(seen)} measured; left out, they are off by {np.median(np.abs(off)):.1%} in the median, "
        f"{np.sqrt(np.mean(np.square(off))):.1%} as a root mean square"
    )
    return partial(costs, fitted(seen))


def main() -> int:
    """Do what the first argument says."""
    commands = {"record": record, "measure": measure, "write": write}
    if sys.argv[1:2] == [] or sys.argv[1] not in commands:
        print(f"expected one of {', '.join(commands)}\n\n{__doc__}", file=sys.stderr)
        return 2
    return commands[sys.argv[1]]()


if __name__ == "__main__":
    sys.exit(main())
