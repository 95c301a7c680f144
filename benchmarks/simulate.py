"""How many trials a second one coordinator keeps going, on workers that are simulated.

    python -m benchmarks.simulate                                        # as fast as it can
    python -m benchmarks.simulate --workers 1000 --seconds 1 60 --trials 4000

A simulated worker takes a trial up, sends its epochs and waits for the answers as a real one does, in
real time; it only computes nothing. Coordinator, sampler, trial table, summary and screen are the real
ones; `--tracking` adds MLflow. The rate is that of the trials that ended between the first quarter of
the trials and the last one that was asked for: all workers have work then. Workers whose trials last
equally long end them together; there `seconds_per_trial` allows for that.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.compare import seconds_per_trial
from pipeline.command.compose import compose
from pipeline.data import load
from pipeline.run.result import EpochMetrics, Outcome, RunResult, State
from pipeline.tracking.config import open_publisher
from pipeline.tracking.record import dataset_info
from search.coordination.coordinator import Coordinator
from search.forecasting.estimator import Estimator
from search.setup.read import read
from search.simulate.launcher import Script, SimulatedLauncher
from search.study.vocabulary import Study
from search.telling.progress import Progress
from search.telling.runs import Records
from search.telling.summary import SummaryFile
from search.telling.watcher import StudyWatcher
from search.trial_table.trials import TrialTable
from search.trial_table.weights import WeightStore
from search.workers.messages import Epoch, Event, Finished, Started, Task
from search.workers.stopping import Stopper


class RealClock:
    """The clock of this machine."""

    def __call__(self) -> float:
        return time.monotonic()

    def wait(self, until: float) -> None:
        if (left := until - time.monotonic()) > 0:
            time.sleep(left)


class Launcher(SimulatedLauncher):
    """Simulated workers in real time, whose trials last between `low` and `high` seconds.

    `ended`: when each trial ended, by `time.monotonic`. `waited`: seconds that workers were without a trial.
    """

    def __init__(self, workers: int, low: float, high: float) -> None:
        draw = np.random.default_rng(0)
        super().__init__(workers, lambda task: _trial(task, draw.uniform(low, high)), RealClock())
        self._idle: list[float] = []
        self.ended: list[float] = []
        self.waited: list[float] = []

    def submit(self, task: Task) -> None:
        if self._idle:
            self.waited.append(time.monotonic() - self._idle.pop(0))
        super().submit(task)

    def poll(self, timeout: float) -> list[Event]:
        events = super().poll(timeout)
        ends = [time.monotonic() for event in events if isinstance(event, Finished)]
        self.ended += ends
        self._idle += ends
        return events


def _trial(task: Task, seconds: float) -> Script:
    """What a worker sends for `task`, each with the seconds that it takes until then."""
    epochs = task.run.train.epochs
    height = 0.98 - abs(task.run.model.dropout - 0.2) / 10
    history = []
    yield 0.0, Started(task.number, {"device": "simulated", "threads": "1"})
    for number in range(1, epochs + 1):
        accuracy = height * (1 - 0.5**number)
        metrics = {"loss": 1 - accuracy, "accuracy": accuracy}
        metrics |= {f"val_{name}": value for name, value in metrics.items()}
        history.append(EpochMetrics(number, metrics, seconds / epochs, time.time()))
        yield seconds / epochs, Epoch(task.number, history[-1])
    result = RunResult(
        history=tuple(history),
        stop="completed",
        value=history[-1].metrics[task.run.objective.metric],
        best_epoch=epochs,
        test={"test_loss": 0.1, "test_accuracy": 0.97},
        timings={"seconds_total": seconds},
        examples_per_second=1.0,
        parameters=118_282,
        model_summary="simulated",
        device="simulated",
        loop="simulated",
        confusion=tuple(tuple(range(10)) for _ in range(10)),
    )
    outcome = Outcome(result, [np.zeros((784, 128), np.float32)], State(epochs, []))
    yield 0.0, Finished(task.number, outcome.result, outcome.weights)


def simulate(
    folder: Path,
    workers: int,
    low: float,
    high: float,
    trials: int,
    overrides: tuple[str, ...] = (),
    tracking: bool = False,
) -> dict[str, Any]:
    """Run a study of `trials` trials of between `low` and `high` seconds; what it cost."""
    values = compose(
        [
            *("+study=full", "study.name=simulated", f"study.trials={trials}", "pruner=none"),
            *("data=digits", "train.epochs=5", f"storage.url=sqlite:///{folder}/studies.db"),
            *(() if tracking else ("tracking=none",)),
            *((f"tracking.uri=sqlite:///{folder}/mlflow.db",) if tracking else ()),
            *overrides,
        ]
    )
    setup = read(values, lambda: "")
    study = Study(
        setup.study, setup.run, setup.space, dataset_info(load(setup.run.data)), setup.search
    )
    table = TrialTable.open(setup.storage.url, study)
    table.describe(study.about("", "python -m benchmarks.simulate"))
    objective = setup.run.objective
    with (folder / "screen.txt").open("w") as screen:
        estimator = Estimator.of(study.base, study.space, study.dataset, [])
        progress = Progress(
            Console(file=screen), "simulated", trials, workers, objective, [], estimator=estimator
        )
        publisher = open_publisher(setup.tracking, print)
        glance = SummaryFile(folder / "summary.json", "simulated", trials, objective)
        records = Records(table.about(), table.uid)
        launcher = Launcher(workers, low, high)
        coordinator = Coordinator(
            study,
            table,
            setup.make_engine([], workers),
            launcher,
            WeightStore(folder / "weights"),
            attempts=3,
            watcher=StudyWatcher(progress, records, publisher, None, glance, []),
            stopper=Stopper(0, print),
            estimator=estimator,
        )
        cpu = time.process_time()
        coordinator.run(trials)
        cpu = time.process_time() - cpu
    ends = launcher.ended[trials // 4 : max(trials - workers, trials // 2)]
    return {
        "workers": workers,
        "seconds": [low, high],
        "trials": trials,
        "trials_per_second": 1 / seconds_per_trial(ends, workers if low == high else 1),
        "limit_by_workers": workers / ((low + high) / 2) if high else None,
        "milliseconds_a_trial": 1000 * cpu / trials,
        "median_wait": float(np.median(launcher.waited)) if launcher.waited else 0.0,
        "ended": launcher.ended,
    }


def main() -> None:
    """Simulate one study and print what it cost as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.0, 0.0))
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--tracking", action="store_true")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    if arguments.trials < 3 * arguments.workers:
        parser.error(
            f"--trials: expected at least three for each of the {arguments.workers} workers, "
            f"got {arguments.trials}"
        )
    with tempfile.TemporaryDirectory() as folder:
        cost = simulate(
            Path(folder),
            arguments.workers,
            *arguments.seconds,
            arguments.trials,
            tuple(arguments.overrides),
            arguments.tracking,
        )
    del cost["ended"]
    print(json.dumps(cost, indent=1))
    os._exit(0)  # a publisher may still have much to tell, which is not what is measured


if __name__ == "__main__":
    main()
