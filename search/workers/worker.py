"""What runs inside a worker process: trials, one after the other, until it is told to leave."""

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from multiprocessing import connection, parent_process
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from pipeline.command.errors import ConfigError
from pipeline.command.streams import replace_what_cannot_be_encoded
from pipeline.data import Dataset, load
from pipeline.network.backend import is_out_of_memory
from pipeline.run.config import DataConfig, RunConfig
from pipeline.run.custom import CustomConfig
from pipeline.run.result import DivergedError, EpochMetrics, OnEpoch, Outcome, State
from search.machine.template import end_with_parent
from search.workers.channel import Channel, Own, Shared
from search.workers.messages import (
    Broken,
    Epoch,
    Event,
    Failed,
    Finished,
    OutOfMemory,
    Started,
    Task,
)

Train = Callable[[RunConfig, OnEpoch, State | None, Collection[int]], Outcome]
"""Trains a run, maybe from a state on; the last argument is `Task.milestones`."""


@dataclass(frozen=True)
class Trainer:
    """What trains: `train` runs one configuration, `about` describes where and with what.

    Texts of `about` by name stand in the row of every trial: `device`, the name of an accelerator or
    `cpu`, `threads`, and whatever else decides the numbers (see `pipeline.network.environment`).
    `share`: makes ready for so many calls of `train` at once, each in a thread; None: one at a time.
    """

    train: Train
    about: dict[str, str]
    share: Callable[[int], None] | None = None


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a worker: where the coordinator found it, and itself where it was sent along."""

    config: DataConfig
    dataset: Dataset | None = None

    def get(self, config: DataConfig) -> Dataset:
        """The data as a run's `config` wants it: its scaling and split count, its path does not."""
        found = config.model_copy(update={"path": self.config.path})
        if self.dataset is not None and found == self.config:
            return self.dataset
        return _load(found) if found.split_seed is None else _resplit(self, found)


_load = cache(load)


@lru_cache(maxsize=2)  # a split takes as much memory as the data, and serves several runs in a row
def _resplit(data: Data, config: DataConfig) -> Dataset:
    assert config.split_seed is not None
    whole = config.model_copy(update={"split_seed": None})
    return data.get(whole).resplit(config.split_seed)


MakeTrainer = Callable[[Data, int], Trainer]


def keras_trainer(data: Data, threads: int) -> Trainer:
    """Make the trainer of real runs: it imports Keras, and loads the data once for all trials of a worker."""
    from pipeline.network.backend import lean_imports, limit_threads
    from pipeline.network.environment import environment

    limit_threads(threads)
    with lean_imports():
        from pipeline.lanes.choice import one_at_a_time, use_lanes
        from pipeline.training.execute import execute

    def train(
        run: RunConfig, on_epoch: OnEpoch, start: State | None, milestones: Collection[int]
    ) -> Outcome:
        with one_at_a_time:  # several take the same rows
            dataset = data.get(run.data)
        return execute(run, dataset, on_epoch, start, milestones)

    dataset = data.get(data.config)  # before the first trial, so that its time is no trial's
    about = {**environment(threads), "data.digest": dataset.digest}
    return Trainer(train, about, use_lanes)


LOG = "output.log"
"""What a worker's libraries print, in its folder."""


def main(
    line: Channel,
    trainer: str,
    data: Data,
    threads: int,
    folder: Path,
    gpu: str | None,
    require_gpu: bool = False,
    lanes: int = 1,
) -> None:
    """Run tasks from `line`, as many as `lanes` at once, until a None or the end of the coordinator.

    `folder`: takes what the libraries print, whose end explains a death, and all temporary files; who
    started this worker removes it. `gpu`: the only one to be seen. `require_gpu`: refuse to train on a
    CPU.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    leave_with_the_coordinator()
    for number in (signal.SIGINT, signal.SIGTERM):  # the coordinator's to handle
        signal.signal(number, signal.SIG_IGN)
    use_folder(folder)
    output = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    replace_what_cannot_be_encoded()
    try:
        make_trainer: MakeTrainer = resolve_name(trainer)
        worker = make_trainer(data, threads)
    except Exception:  # noqa: BLE001  # a trainer may be anybody's; the coordinator reports it
        line.send(Broken(traceback.format_exc()))
        return
    if require_gpu and (refusal := lacks_gpu(worker)) is not None:
        line.send(refusal)
        return
    if lanes > 1:
        if worker.share is None:
            line.send(Broken(f"launcher.lanes: {trainer} trains one run at a time"))
            return
        worker.share(lanes)
        # The width of a program decides the numbers of all that are trained by it.
        worker = replace(worker, about={**worker.about, "lanes": str(lanes)})
    _serve(line, worker, folder, lanes)


def _serve(line: Channel, worker: Trainer, folder: Path, lanes: int) -> None:
    """Have each task from `line` trained: in this thread where there is one lane, else in one of its own."""
    sending, places = threading.Lock(), dict[int, Shared]()
    while (message := line.recv()) is not None:
        if not isinstance(message, Task):
            number, answer = message
            places[number].answers.put(answer)
            continue
        about = described(message.run, worker)
        if isinstance(about, Broken):
            line.send(about)
            return
        started = Started(message.number, about)
        if lanes == 1:
            _train(message, started, worker, Own(line), folder)
        else:
            place = places[message.number] = Shared(line, sending)
            given = (message, started, worker, place, folder)
            threading.Thread(target=_or_end, args=given, daemon=True).start()


def _train(task: Task, started: Started, worker: Trainer, line: "Line", folder: Path) -> None:
    line.send(started)
    line.recv()  # it is on record
    use_folder(folder)
    line.send(run_task(task, worker, line))


def _or_end(*given: Any) -> None:
    """`_train`, in a thread: what would end a process ends it."""
    try:
        _train(*given)
    except BaseException:  # noqa: BLE001  # the coordinator is gone, or somebody's code leaves
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def use_folder(folder: Path) -> None:
    """Have temporary files made in `folder`: AutoGraph leaves one for each function that it reads.

    A cleaner of old temporary files may have taken the folder away meanwhile.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


def sees_no_gpu(about: Mapping[str, str]) -> str:
    """That the backend of a worker sees no GPU, and what can be done about it."""
    backend = about.get("backend", "the trainer")
    version = about.get(f"version.{backend}", "")
    return (
        f"{f'{backend} {version}'.strip()} sees none and computes on the CPU (install its CUDA build: "
        "plumbline[gpu], or with KERAS_BACKEND=jax jax[cuda12])"
    )


def lacks_gpu(worker: Trainer) -> Broken | None:
    """What a worker says that is to train on a GPU and has none."""
    if worker.about["device"] != "cpu":
        return None
    reason = f"launcher.require_gpu: expected a GPU, but {sees_no_gpu(worker.about)}"
    return Broken(reason, unavailable=True)


def described(run: RunConfig, worker: Trainer) -> dict[str, str] | Broken:
    """What is on record of the worker that trains `run`, with the source of a network of one's own.

    Where that can't be had, no worker here fares better.
    """
    if not isinstance(run.model, CustomConfig):
        return worker.about
    from pipeline.network.custom import imported_source

    try:
        return {**worker.about, **imported_source(run.model)}
    except ConfigError as error:
        return Broken(str(error))


class Line(Protocol):
    """Carries messages between a trial and its coordinator."""

    def send(self, obj: Any, /) -> None:
        """Send a message."""

    def recv(self) -> Any:
        """The next message, waited for."""


def run_task(task: Task, worker: Trainer, line: Line) -> Event:
    """Train, telling of each epoch; the event that ends the trial."""

    def on_epoch(epoch: EpochMetrics) -> bool:
        line.send(Epoch(task.number, epoch))
        prune: bool = line.recv()
        return prune

    try:
        outcome = worker.train(task.run, on_epoch, task.start, task.milestones)
        state = outcome.state if task.keep_state else None
        return Finished(task.number, outcome.result, outcome.weights, state)
    except DivergedError as error:
        return Failed(task.number, str(error), diverged=True)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # the coordinator is gone
    except ConfigError as error:
        return Failed(task.number, str(error))
    except Exception as error:  # noqa: BLE001  # any failure is the trial's result
        reason = f"{type(error).__name__}: {error}"
        if worker.about["device"] != "cpu" and is_out_of_memory(error):
            return OutOfMemory(task.number, reason, task.alone)
        return Failed(task.number, reason, traceback.format_exc())


def leave_with_the_coordinator() -> None:
    """End this process at once when its parent ends, however it ends and whatever runs here."""
    parent = parent_process()
    if parent is None:
        raise RuntimeError("a worker runs in a process of its own")
    end_with_parent()

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="leave-with-coordinator", daemon=True).start()
