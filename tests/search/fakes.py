"""Stand-ins that make studies run in milliseconds: trainers without TensorFlow, a launcher without processes.

The trainers take the place of `search.workers.worker.keras_trainer` in real worker processes
(`launcher.trainer=tests.search.fakes.curve_trainer`), so this module imports nothing that is slow.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NoReturn

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
)
from search.workers.channel import Channel
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Excused,
    Failed,
    Finished,
    Lost,
    OutOfMemory,
    Started,
    Task,
)
from search.workers.worker import Data, Train, Trainer

HOLD = "FAKE_TRAINER_HOLD"
"""Environment variable: a folder; `hungry_trainer` waits while a trial's dropout is a file there."""

DEVICE = "FAKE_TRAINER_DEVICE"
"""Environment variable: what `hungry_trainer` says it computes on."""


def epoch_metrics(epoch: int, value: float) -> EpochMetrics:
    """An epoch with `value` as its validation accuracy."""
    metrics = {
        "loss": 1.25 - value,
        "accuracy": value / 3,
        "val_loss": 1.5 - value,
        "val_accuracy": value,
    }
    return EpochMetrics(epoch, metrics, seconds=0.1 * epoch, finished_at=1_700_000_000.1 + epoch)


def run_result(values: list[float], stop: Stop = "completed", **changes: Any) -> RunResult:
    """The result of a run whose validation accuracy was `values[0]`, `values[1]`, ..."""
    best = max(values)
    facts: dict[str, Any] = {
        "history": tuple(epoch_metrics(number, value) for number, value in enumerate(values, 1)),
        "stop": stop,
        "value": best,
        "best_epoch": values.index(best) + 1,
        "test": {"test_loss": 1 / 3, "test_accuracy": best * 0.9},
        "timings": {"train_seconds": 0.1 + 0.2, "test_seconds": 1e-9, "seconds_total": 1.5},
        "examples_per_second": 12345.678901234567,
        "parameters": 101_770,
        "model_summary": "a model\nof two lines\n",
        "device": "fake",
        "loop": "fake",
    }
    return RunResult(**(facts | changes))


def state(epoch: int) -> State:
    """Where a trial ended."""
    return State(epoch, [np.arange(epoch, dtype=np.float32), np.array(epoch)])


def outcome(values: list[float], stop: Stop = "completed", **changes: Any) -> Outcome:
    """`run_result` with its arrays."""
    return Outcome(run_result(values, stop, **changes), [np.array(values)], state(len(values)))


def curve(run: RunConfig) -> list[float]:
    """Validation accuracies that grow with the epochs and are best at dropout 0.3."""
    height = 0.9 - abs(run.model.dropout - 0.3)
    return [height * (1 - 0.5**epoch) for epoch in range(1, run.train.epochs + 1)]


# Trainers, for real worker processes.


def _about(threads: int) -> dict[str, str]:
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "all")
    return {"device": "fake", "threads": str(threads), "pid": str(os.getpid()), "gpu": gpu}


def _follow_curve(
    run: RunConfig, on_epoch: OnEpoch, start: State | None, *_more: object
) -> Outcome:
    values = curve(run)
    for epoch in range(start.epoch + 1 if start else 1, run.train.epochs + 1):
        if on_epoch(epoch_metrics(epoch, values[epoch - 1])):
            return outcome(values[:epoch], "pruned", value=values[epoch - 1])
    return outcome(values)


def _one_epoch_then(end: Callable[[], NoReturn]) -> Train:
    def train(run: RunConfig, on_epoch: OnEpoch, *_: object) -> Outcome:
        on_epoch(epoch_metrics(1, curve(run)[0]))
        end()

    return train


def _hang() -> NoReturn:
    while True:
        signal.pause()


def curve_trainer(_: Data, threads: int) -> Trainer:
    """Trains along `curve`."""
    return Trainer(_follow_curve, _about(threads))


def data_trainer(data: Data, threads: int) -> Trainer:
    """Tells of its data and its environment, and then hangs."""
    split = data.dataset.train if data.dataset else None
    about = {
        "rows": str(split and len(split)),
        "writeable": str(split and split.features.flags.writeable),
        "backend": os.environ.get("KERAS_BACKEND", "none"),
    }
    return Trainer(_one_epoch_then(_hang), _about(threads) | about)


def hanging_trainer(_: Data, threads: int) -> Trainer:
    """Stops moving after its first epoch."""
    return Trainer(_one_epoch_then(_hang), _about(threads))


def stillborn_trainer(*_: object) -> Trainer:
    """Its process ends while it is made."""
    os._exit(3)


def killed_trainer(_: Data, threads: int) -> Trainer:
    """Is killed after its first epoch, as by the kernel when memory is short."""

    def end() -> NoReturn:
        os.write(2, b"the last words of a worker\n")
        os.kill(os.getpid(), signal.SIGKILL)
        _hang()

    return Trainer(_one_epoch_then(end), _about(threads))


def dying_trainer(_: Data, threads: int) -> Trainer:
    """Is killed before its first epoch."""

    def train(*_: object) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        _hang()

    return Trainer(train, _about(threads))


def torn_trainer(_: Data, threads: int) -> Trainer:
    """Is stopped in the middle of the message in which it sends its result."""

    def train(run: RunConfig, on_epoch: OnEpoch, start: State | None, *_more: object) -> Outcome:
        result = _follow_curve(run, on_epoch, start)
        Channel.flush = _half_and_stop  # type: ignore[method-assign]
        return result

    return Trainer(train, _about(threads))


def _half_and_stop(line: Channel) -> None:
    line._line.sendall(line._unsent[: len(line._unsent) // 2])
    os.kill(os.getpid(), signal.SIGSTOP)


def stopped_trainer(_: Data, threads: int) -> Trainer:
    """Is stopped after its first epoch, as by Ctrl-Z."""
    return Trainer(_one_epoch_then(_stop_and_hang), _about(threads))


def _stop_and_hang() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSTOP)
    _hang()


def littering_trainer(_: Data, threads: int) -> Trainer:
    """Leaves a temporary file behind in each trial, as AutoGraph does, and says where."""
    about = _about(threads) | {"temp": tempfile.gettempdir()}

    def train(run: RunConfig, on_epoch: OnEpoch, start: State | None, *_more: object) -> Outcome:
        handle, _ = tempfile.mkstemp(prefix="__autograph_generated_file", suffix=".py")
        os.close(handle)
        return _follow_curve(run, on_epoch, start)

    return Trainer(train, about)


def diverging_trainer(_: Data, threads: int) -> Trainer:
    """Its loss becomes NaN at the second epoch."""

    def end() -> NoReturn:
        raise DivergedError("loss is nan at epoch 2")

    return Trainer(_one_epoch_then(end), _about(threads))


def raising_trainer(_: Data, threads: int) -> Trainer:
    """Has a bug."""

    def end() -> NoReturn:
        raise KeyError("a bug")

    return Trainer(_one_epoch_then(end), _about(threads))


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def hungry_trainer(_: Data, threads: int) -> Trainer:
    """Has no memory for two epochs or more; with one epoch it waits as `HOLD` says."""

    def train(run: RunConfig, on_epoch: OnEpoch, start: State | None, *_more: object) -> Outcome:
        if run.train.epochs > 1:
            raise ResourceExhaustedError("OOM when allocating tensor with shape[60000,512]")
        while (Path(os.environ[HOLD]) / str(run.model.dropout)).exists():
            time.sleep(0.005)
        return _follow_curve(run, on_epoch, start)

    return Trainer(train, {**_about(threads), "device": os.environ.get(DEVICE, "fake")})


def cpu_trainer(_: Data, threads: int) -> Trainer:
    """Sees no GPU, like a TensorFlow without CUDA."""
    about = {"device": "cpu", "backend": "tensorflow", "version.tensorflow": "2.21.0"}
    return Trainer(_follow_curve, {**_about(threads), **about})


def broken_trainer(*_: object) -> Trainer:
    """Can't be made."""
    raise RuntimeError("no such data here")


# A launcher without processes.

Script = Generator[Event, bool | None, None]
"""What a worker would send for one task; a `yield Epoch(...)` gets the coordinator's answer."""


class FakeLauncher:
    """Plays `script` for each task, one event of every running task per poll.

    `tasks`: all that were submitted. `replies`: (number, prune) as they came.
    """

    def __init__(self, script: Callable[[Task], Script], workers: int = 1) -> None:
        self.tasks: list[Task] = []
        self.replies: list[tuple[int, bool]] = []
        self._script = script
        self._workers = workers
        self._running: dict[int, Script] = {}
        self._answers: dict[int, bool] = {}

    def free(self) -> int:
        return self._workers - len(self._running)

    def submit(self, task: Task) -> None:
        assert self.free() > 0, "submitted to no free worker"
        self.tasks.append(task)
        self._running[task.number] = self._script(task)

    def poll(self, timeout: float) -> list[Event]:
        assert self._running, "polled with nothing running"
        events = []
        for number, script in list(self._running.items()):
            event = script.send(self._answers.pop(number, None))
            if isinstance(event, Finished | Failed | OutOfMemory | Excused | Lost | Broken):
                del self._running[number]
            events.append(event)
        return events

    def reply(self, number: int, prune: bool) -> None:
        self.replies.append((number, prune))
        self._answers[number] = prune

    def close(self) -> None:
        self._running.clear()


WORKER: Mapping[str, str] = {"device": "fake", "threads": "1"}


def finished(task: Task, values: list[float], stop: Stop = "completed", **changes: Any) -> Finished:
    """What a worker sends at the end of a run."""
    done = outcome(values, stop, **changes)
    return Finished(task.number, done.result, done.weights, done.state if task.keep_state else None)


def trains(task: Task) -> Script:
    """A worker that trains along `curve`, from where the task starts."""
    yield Started(task.number, dict(WORKER))
    values = curve(task.run)
    for epoch in range(task.start.epoch + 1 if task.start else 1, len(values) + 1):
        if (yield Epoch(task.number, epoch_metrics(epoch, values[epoch - 1]))):
            yield finished(task, values[:epoch], "pruned", value=values[epoch - 1])
            return
    yield finished(task, values)


def dies(task: Task) -> Script:
    """A worker that dies after an epoch."""
    yield Started(task.number, dict(WORKER))
    yield Epoch(task.number, epoch_metrics(1, 0.5))
    yield Lost(task.number, "its worker was ended by SIGKILL")


def excused(task: Task) -> Script:
    """A worker that is ended for the sake of another trial."""
    yield Started(task.number, dict(WORKER))
    yield Excused(task.number, "worker 0 goes on with 2 lanes")


def starves(task: Task) -> Script:
    """A worker whose GPU has no memory left after an epoch."""
    yield Started(task.number, dict(WORKER))
    yield Epoch(task.number, epoch_metrics(1, 0.5))
    yield OutOfMemory(task.number, "ResourceExhaustedError: no memory", task.alone)


def diverges(task: Task) -> Script:
    """A worker whose loss becomes NaN at the second epoch."""
    yield Started(task.number, dict(WORKER))
    yield Epoch(task.number, epoch_metrics(1, 0.5))
    yield Failed(task.number, "loss is nan at epoch 2")


def raises(text: str) -> Callable[[Task], Script]:
    """A worker with a bug, `text` the last line of its traceback."""

    def script(task: Task) -> Script:
        yield Started(task.number, dict(WORKER))
        yield Failed(task.number, text, f'Traceback ...\n  File "x.py", line 1\n{text}\n')

    return script
