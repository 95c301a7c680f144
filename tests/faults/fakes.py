"""A trainer without TensorFlow: milliseconds an epoch, the same curve for the same RunConfig.

`launcher.trainer=tests.faults.fakes.make_trainer` puts it in the place of Keras. The folder that
`PLUMBLINE_FAULTS` names says what goes wrong: each `NAME.json` in it is one fault (see `Fault`).
"""

import ctypes
import json
import math
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.run.config import RunConfig
from pipeline.run.result import (
    DivergedError,
    EpochMetrics,
    OnEpoch,
    Outcome,
    RunResult,
    State,
    Stop,
    Weights,
)
from search.workers.worker import Data, Trainer

FAULTS = "PLUMBLINE_FAULTS"
SECONDS = "PLUMBLINE_EPOCH_SECONDS"


@dataclass(frozen=True)
class Fault:
    """What a worker does when it begins `epoch` of a trial with the parameters `where`.

    `does`: kill, abort, exit, raise, diverge, hang (until the fault's file is gone), stuck (hangs in C
    code that keeps Python's lock), stop (as by Ctrl-Z), orphan (the coordinator is killed), import (the
    trainer can't be made; the rest does not matter) or die (the worker ends while the trainer is made).
    `times`: how often, over all workers; None: always.
    """

    does: str
    where: dict[str, Any] = field(default_factory=dict)
    epoch: int = 1
    times: int | None = None


def write(folder: Path, name: str, fault: Fault) -> Path:
    """Make `fault` happen from now on; the file, whose removal ends it."""
    whole = folder / f"{name}.json"
    partial = whole.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(fault)))
    partial.replace(whole)
    return whole


def happened(folder: Path, name: str) -> int:
    """How often the fault `name` was met."""
    return len(list(folder.glob(f"{name}.met-*")))


def make_trainer(_: Data, threads: int) -> Trainer:
    """Like `search.workers.worker.keras_trainer`."""
    _meet_faults({"import", "die"}, {}, epoch=1)
    return Trainer(_train, {"device": "fake", "threads": str(threads)})


def _train(run: RunConfig, on_epoch: OnEpoch, *_: object) -> Outcome:
    began = time.time()
    seconds = float(os.environ.get(SECONDS, "0.002"))
    parameters = run.parameters()
    history: list[EpochMetrics] = []
    stop: Stop = "completed"
    for epoch in range(1, run.train.epochs + 1):
        _meet_faults(set(_DEEDS), parameters, epoch)
        time.sleep(seconds)
        history.append(EpochMetrics(epoch, _metrics(run, epoch), seconds, time.time()))
        if on_epoch(history[-1]):
            stop = "pruned"
            break
    values = {each.epoch: each.metrics[run.objective.metric] for each in history}
    best = run.objective.select_epoch(values)
    result = RunResult(
        history=tuple(history),
        stop=stop,
        value=values[best],
        best_epoch=best,
        test={"test_accuracy": values[best], "test_loss": 1 - values[best]},
        timings={"train_seconds": time.time() - began, "seconds_total": time.time() - began},
        examples_per_second=1.0,
        parameters=1,
        model_summary="a fake",
        device="fake",
        loop="fake",
    )
    weights: Weights = [np.full((64, 64), result.value)]
    return Outcome(result, weights, State(len(history), []))


def _metrics(run: RunConfig, epoch: int) -> dict[str, float]:
    """A curve that rises to a height of its own for every configuration, and a little for every seed."""
    rate = run.train.learning_rate or 1e-3
    height = 0.99 / (1 + 0.1 * (math.log10(rate) + 2.5) ** 2) * (1 - run.model.dropout**2 / 4)
    height *= 1 - 1 / sum(run.model.layers or (10,))
    height *= 1 + 1e-5 * (run.train.seed % 101)
    accuracy = height * (1 - math.exp(-epoch / 2))
    return {
        "loss": 1 - accuracy,
        "accuracy": accuracy,
        "val_loss": 1.05 - accuracy,
        "val_accuracy": accuracy * 0.98,
    }


def _meet_faults(deeds: set[str], parameters: dict[str, str], epoch: int) -> None:
    folder = os.environ.get(FAULTS)
    if folder is None:
        return
    for file in sorted(Path(folder).glob("*.json")):
        try:
            fault = Fault(**json.loads(file.read_text()))
        except FileNotFoundError:
            continue
        here = fault.epoch == epoch and all(
            parameters.get(path) == str(value) for path, value in fault.where.items()
        )
        if here and fault.does in deeds and _claim(file, fault.times):
            {**_DEEDS, "import": _import, "die": _exit}[fault.does](file)


def _claim(file: Path, times: int | None) -> bool:
    """Whether the fault still has to happen; several workers may ask at once."""
    number = 0
    while times is None or number < times:
        try:
            file.with_suffix(f".met-{number}").touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return True
    return False


def _kill(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _abort(_: Path) -> None:
    sys.stderr.write("the library gave up\n")
    sys.stderr.flush()
    os.abort()


def _exit(_: Path) -> None:
    os._exit(3)


def _raise(_: Path) -> None:
    raise ValueError("a bug in the trainer")


def _diverge(_: Path) -> None:
    raise DivergedError("loss is nan in epoch 1 [/of it]")  # rich takes that for markup


def _hang(file: Path) -> None:
    while file.exists():
        time.sleep(0.002)


def _stuck(_: Path) -> None:
    ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the lock that other threads need


def _stop(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _orphan(_: Path) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)  # it takes this process with it


def _import(_: Path) -> None:
    raise ImportError("no trainer in this worker")


_DEEDS = {
    "kill": _kill,
    "abort": _abort,
    "exit": _exit,
    "raise": _raise,
    "diverge": _diverge,
    "hang": _hang,
    "stuck": _stuck,
    "stop": _stop,
    "orphan": _orphan,
}
