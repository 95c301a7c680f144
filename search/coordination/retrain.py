"""The weights of a recorded trial: the kept ones, or the same again from its recorded configuration."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from pipeline.command.compose import compose
from pipeline.command.errors import PlumblineError
from pipeline.command.section import validated
from pipeline.run.config import DataConfig, RunConfig
from pipeline.run.result import State, Weights
from search.study.vocabulary import Entry
from search.table.lineage import lineage
from search.workers.local import LocalLauncher
from search.workers.messages import Epoch, Failed, Finished, LocalConfig, Task
from search.workers.pool import Began, Pool
from search.workers.stopping import Stopper


@dataclass(frozen=True)
class Leg:
    """One run on the way to a trial. `until`: the epoch after which it was pruned, if it was."""

    run: RunConfig
    until: int | None


def retrain(entry: Entry, entries: Sequence[Entry], data: DataConfig) -> Weights:
    """The weights of `entry`, trained again on a worker like the one that trained it first.

    A trial that went on from another is trained from the beginning, by way of that one.
    Raises PlumblineError, showing both numbers, where the objective is not the recorded one.
    """
    legs = []
    for step in lineage(entry, entries):
        pruned = step.result is not None and step.result.stop == "pruned"
        assert step.run is not None, "another went on from it"
        legs.append(Leg(step.run, len(step.history) if pruned else None))
    config = _like(entry.worker)
    with _backend(entry.worker.get("backend")), closing(LocalLauncher(config, data, 1)) as launcher:
        pool = Pool(launcher, config.attempts, Stopper(grace_seconds=0, note=print))
        try:
            finished, about = _train(pool, legs)
        except PlumblineError as error:
            raise PlumblineError(
                f"trial {entry.number}: training it again failed: {error}"
            ) from None
    if finished.result.value != entry.value:
        raise PlumblineError(_difference(entry, legs[-1].run, finished.result.value, about))
    return finished.weights


def _like(worker: Mapping[str, str]) -> LocalConfig:
    """Settings of one worker with as many threads as `worker` had."""
    values = compose(["launcher=local"])["launcher"]
    threads = int(worker.get("threads", 1))
    return validated(LocalConfig, {**values, "threads_per_worker": threads}, "launcher")


@contextmanager
def _backend(name: str | None) -> Iterator[None]:
    """Have the workers that start in the block use the backend `name`; None: what is usual."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = name or before or "tensorflow"
    try:
        yield
    finally:
        os.environ.pop("KERAS_BACKEND")
        if before is not None:
            os.environ["KERAS_BACKEND"] = before


def _train(pool: Pool, legs: Sequence[Leg]) -> tuple[Finished, dict[str, str]]:
    """Train the legs, each from the end of the one before; how the last ended, and what trained it."""
    start: State | None = None
    for number, leg in enumerate(legs):
        ended = _run(pool, Task(number, leg.run, start, keep_state=True), leg.until)
        start = ended[0].state
    return ended


def _run(pool: Pool, task: Task, until: int | None) -> tuple[Finished, dict[str, str]]:
    tasks = iter([task])
    for happened in pool.run(lambda: next(tasks, None)):
        for event in happened:
            if isinstance(event, Began):
                worker = event.worker
            elif isinstance(event, Epoch):
                pool.reply(event.number, event.metrics.epoch == until)
            elif isinstance(event, Failed):
                raise PlumblineError(event.reason)
            elif isinstance(event, Finished):
                return event, worker
    raise PlumblineError("it was stopped")  # by nobody: its stopper hears no signals


def _difference(entry: Entry, run: RunConfig, value: float, about: Mapping[str, str]) -> str:
    changed = [
        f"{key} {then} then, {about.get(key, 'none')} now"
        for key, then in entry.worker.items()
        if about.get(key) != then
    ]
    why = ", ".join(changed) or "on the same device, with the same threads and versions"
    return (
        f"trial {entry.number}: its weights are not kept, and trained again it has {run.objective.metric} "
        f"{value!r} where {entry.value!r} is recorded ({why}): not exported"
    )
