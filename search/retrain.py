"""The weights of a recorded trial: the kept ones, or the same again from its recorded configuration."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from pipeline.compose import compose
from pipeline.config import DataConfig, RunConfig
from pipeline.device import quietly
from pipeline.errors import PlumblineError
from pipeline.result import DivergedError, Outcome, Weights
from pipeline.train import run_config
from search.study import Entry
from search.worker import Data, keras_trainer


@dataclass(frozen=True)
class Leg:
    """One run on the way to a trial. `until`: the epoch after which it was pruned, if it was."""

    run: RunConfig
    until: int | None


def recorded_run(entry: Entry) -> RunConfig:
    """The RunConfig that `entry` was trained with."""
    return run_config(compose([f"{path}={text}" for path, text in entry.run.items()]))


def retrain(entry: Entry, entries: Sequence[Entry], data: DataConfig) -> Weights:
    """The weights of `entry`, trained again in a process like the one that trained it first.

    A trial that went on from another is trained from the beginning, by way of that one.
    Raises PlumblineError, showing both numbers, where the objective is not the recorded one.
    """
    legs: list[Leg] = []
    step: Entry | None = entry
    while step is not None:
        pruned = step.result is not None and step.result.stop == "pruned"
        legs.insert(0, Leg(recorded_run(step), len(step.history) if pruned else None))
        # One whose predecessor's state was gone has trained from its first epoch.
        alone = step.continues is None or any(epoch.epoch == 1 for epoch in step.history)
        step = None if alone or step.continues is None else entries[step.continues]
    threads = int(entry.worker.get("threads", 1))
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = entry.worker.get("backend", before or "tensorflow")
    try:
        with quietly(), ProcessPoolExecutor(1, get_context("spawn")) as process:
            outcome, about = process.submit(_train, legs, data, threads).result()
    except (DivergedError, BrokenProcessPool) as error:
        raise PlumblineError(f"trial {entry.number}: training it again failed: {error}") from None
    finally:
        os.environ.pop("KERAS_BACKEND")
        if before is not None:
            os.environ["KERAS_BACKEND"] = before
    if outcome.result.value != entry.value:
        raise PlumblineError(_difference(entry, legs[-1].run, outcome, about))
    return outcome.weights


def _train(legs: Sequence[Leg], data: DataConfig, threads: int) -> tuple[Outcome, dict[str, str]]:
    trainer = keras_trainer(Data(data), threads)
    start = None
    for leg in legs:
        outcome = trainer.train(leg.run, lambda epoch, leg=leg: epoch.epoch == leg.until, start)  # type: ignore[misc]
        start = outcome.state
    return outcome, trainer.about


def _difference(entry: Entry, run: RunConfig, outcome: Outcome, about: Mapping[str, str]) -> str:
    changed = [
        f"{key} {then} then, {about.get(key, 'none')} now"
        for key, then in entry.worker.items()
        if about.get(key) != then
    ]
    why = ", ".join(changed) or "on the same device, with the same threads and versions"
    return (
        f"trial {entry.number}: its weights are not kept, and trained again it has {run.objective.metric} "
        f"{outcome.result.value!r} where {entry.value!r} is recorded ({why}): not exported"
    )
