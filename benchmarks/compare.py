"""Studies by Plumbline beside the loops that people write by hand, in turn, on this machine.

    make bench
    python -m benchmarks.compare mnist.npz --rounds 3

Every contender does the same work: the same network, epochs, batch size, validation and test
evaluation, and the same number of trials over Adam's learning rate. Plumbline also logs every trial to
MLflow. Figures of a run: seconds per trial (see `seconds_per_trial`), beside the least that this machine's
arithmetic allows, measured in the same round (see `benchmarks.limit`); the wall time of the whole process,
imports included; and what of it is paid once, whatever the number of trials. The mean validation accuracy
is over all trials; Plumbline's in float32 and in bfloat16 are of the same learning rates.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.limit import limits
from benchmarks.machine import EPOCHS, machine

HERE = Path(__file__).parent
ROOT = HERE.parent


@dataclass
class Contender:
    """A way to run a study; one number of each list is one round."""

    name: str
    per_trial: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def run(self, data: str, width: int, trials: int) -> None:
        """One round."""
        raise NotImplementedError

    def took(self, ends: list[float], values: list[float], wall: float, workers: int = 1) -> None:
        """Record a round. `ends`: Unix time at which each trial ended; `values`: what it reached."""
        self.per_trial.append(seconds_per_trial(ends, workers))
        self.accuracy.append(statistics.mean(values))
        self.wall.append(wall)


@dataclass
class Loop(Contender):
    """A hand-written loop in a script of its own."""

    script: str = ""

    def run(self, data: str, width: int, trials: int) -> None:
        command = [sys.executable, str(HERE / self.script), data]
        command += ["--width", str(width), "--trials", str(trials), "--epochs", str(EPOCHS)]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        wall = time.perf_counter() - began
        trials = json.loads(done.stdout.strip().splitlines()[-1])
        self.took(trials["ends"], trials["values"], wall)


@dataclass
class Ours(Contender):
    """The same study by `python -m search.optimize`, with MLflow."""

    overrides: tuple[str, ...] = ()

    def run(self, data: str, width: int, trials: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            study(folder, data, trials, (f"model.hidden_units={width}", *self.overrides))
            wall = time.perf_counter() - began
            trials = ended(folder)
            values = [entry["result"]["value"] for entry in trials]
            self.took([entry["at"] for entry in trials], values, wall, workers_of(trials))


def study(folder: str, data: str, trials: int, overrides: tuple[str, ...]) -> str:
    """Run a study over Adam's learning rate in `folder`; what it printed."""
    command = [
        *(sys.executable, "-m", "search.optimize", "+study=learning_rate", "study.name=bench"),
        *("sampler=random", f"study.trials={trials}", f"train.epochs={EPOCHS}"),
        *("model.dropout=0.0", "~study.space.train", f"data.path={data}"),
        "+study.space.train.learning_rate={low: 1.0e-4, high: 1.0e-2, log: true}",
        *overrides,
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def ended(folder: str) -> list[dict[str, Any]]:
    """What the trial table says of the end of each trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{folder}/mlruns/studies.db"
    trials = optuna.load_study(study_name="bench", storage=url).get_trials(deepcopy=False)
    return [trial.user_attrs["end"] for trial in trials]


def workers_of(trials: list[dict[str, Any]]) -> int:
    """How many workers the ends of `trials` tell of."""
    return len({entry["worker"]["worker"] for entry in trials})


def seconds_per_trial(ends: list[float], workers: int) -> float:
    """Seconds between the ends of trials, from when as many have ended as there are workers.

    Workers start together, and so their first trials end together: to count from the first of them would
    give the study `workers - 1` trials for nothing.
    """
    if len(ends) <= workers:
        raise ValueError(f"expected more trials than the {workers} workers, got {len(ends)}")
    ends = sorted(ends)
    return (ends[-1] - ends[workers - 1]) / (len(ends) - workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=lambda path: str(Path(path).resolve()))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--wide-trials", type=int, default=8)
    arguments = parser.parse_args()

    versions = ", ".join(
        f"{name} {version(name)}" for name in ("tensorflow", "keras", "optuna", "keras-tuner")
    )
    print(f"{machine()}; Python {platform.python_version()}, {versions}")
    for width, trials in ((128, arguments.trials), (512, arguments.wide_trials)):
        ours = Ours("Plumbline")
        optuna_loop = Loop("Optuna and model.fit", script="optuna_loop.py")
        contenders: list[Contender] = [ours, optuna_loop]
        if width == 128:
            contenders.append(Loop("KerasTuner RandomSearch", script="keras_tuner_loop.py"))
        contenders.append(
            Ours("Plumbline, mixed_bfloat16", overrides=("train.precision=mixed_bfloat16",))
        )
        least: list[float] = []
        for number in range(arguments.rounds):
            least += [limit.with_updates for limit in limits(width)]
            for contender in contenders:
                contender.run(arguments.data, width, trials)
                print(f"  round {number + 1}: {contender.name} done", file=sys.stderr)
        report(width, trials, ours, contenders, least)


def report(
    width: int, trials: int, ours: Contender, contenders: list[Contender], least: list[float]
) -> None:
    """Medians over the rounds, and each contender's time over ours, round by round.

    `least`: the arithmetic limit in each round, in seconds a trial, which ours is shown beside.
    """
    print(f"\n2 x {width}, batch 128, {EPOCHS} epochs, {trials} trials; the arithmetic limit is")
    print(f"{statistics.median(least):.2f} s a trial ({min(least):.2f} to {max(least):.2f})\n")
    print(
        "| | s per trial | distance to the limit | ratio | whole study, s | ratio | paid once, s "
        "| mean val. accuracy |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for each in contenders:
        once = [
            wall - trials * seconds for wall, seconds in zip(each.wall, each.per_trial, strict=True)
        ]
        cells = [
            each.name,
            f"{statistics.median(each.per_trial):.2f}",
            _ratio(each.per_trial, least),
            _ratio(each.per_trial, ours.per_trial),
            f"{statistics.median(each.wall):.1f}",
            _ratio(each.wall, ours.wall),
            f"{statistics.median(once):.1f} ({min(once):.1f} to {max(once):.1f})",
            f"{statistics.mean(each.accuracy):.4f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def _ratio(theirs: list[float], ours: list[float]) -> str:
    ratios = sorted(their / our for their, our in zip(theirs, ours, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
