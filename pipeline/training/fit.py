"""Training: a network fitted to the training rows, epoch by epoch. It never sees the test set."""

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.data import Arrays, validation_start
from pipeline.lanes.choice import loop_for, one_at_a_time
from pipeline.network.costs import multiply_adds, trainable
from pipeline.network.loop import Loop, Scores
from pipeline.network.model import build, seed_of, summary
from pipeline.run.config import RunConfig
from pipeline.run.ending import ending
from pipeline.run.result import DivergedError, EpochMetrics, OnEpoch, State, Stop, Weights


@dataclass(frozen=True)
class Trained:
    """A loop with the weights of `best_epoch`, and how it got there. Times are in seconds.

    `examples`: training rows seen in one epoch. `epochs`: how many were trained here. `state`: what
    the next epoch would start from.
    `wait_seconds`: what `on_epoch` took, which `train_seconds` leaves out: it may ask another process.
    """

    loop: Loop
    history: tuple[EpochMetrics, ...]
    stop: Stop
    best_epoch: int
    examples: int
    epochs: int
    parameters: int
    all_parameters: int
    multiply_adds: int | None
    model_summary: str
    state: State
    build_seconds: float
    train_seconds: float
    wait_seconds: float


def train(
    run: RunConfig,
    rows: Arrays,
    on_epoch: OnEpoch,
    start: State | None = None,
    milestones: Collection[int] = (),
) -> Iterator[Trained]:
    """A network trained on `rows` less their validation part, from `start` if there is one.

    Epochs up to `start` are not told of and, unless it has their history, count neither for the
    objective nor for patience, also where its arrays were not kept and they are trained once more.
    Before the end it shows what the same run with fewer epochs comes to, after each of these
    `milestones`; the loop goes on from there when the next one is asked for.
    Raises DivergedError at the first epoch with a metric that is not finite.
    """
    if start is not None and start.epoch >= run.train.epochs:
        raise ValueError(
            f"train.epochs: expected more than the {start.epoch} epochs that the start state has "
            f"behind it, got {run.train.epochs} (epochs count from the first one)"
        )
    if milestones and run.train.plans_ahead:
        raise ValueError(
            "milestones: a shorter run is not the beginning of this one, as its schedule is shorter, too"
        )
    started = time.perf_counter()
    split_at = validation_start(len(rows.inputs), run.train.validation_split)
    training, validation = rows.part(0, split_at), rows.part(split_at, len(rows.inputs))
    shape, classes = rows.inputs.shape[1:], rows.targets.shape[1]
    with one_at_a_time:
        seed_of(run.model, run.train.seed)
        model = build(run.model, shape, classes, run.train.precision)
        loop = loop_for(run, shape, classes)
        loop.begin(run, model, split_at)
    try:
        behind = 0 if start is None else start.epoch
        if start is not None and start.arrays:
            loop.load_state(start.arrays)
        else:
            for number in range(1, behind + 1):
                loop.epoch(training, _order(run.train.seed, number, split_at))
        built = time.perf_counter()

        metric, keeps_best = run.objective.metric, run.objective.select == "best"
        history = [] if start is None else list(start.history)
        values = {epoch.epoch: epoch.metrics[metric] for epoch in history}
        best_weights: Weights | None = None
        if keeps_best and start is not None and history:
            best_weights = start.best or loop.weights()
        stop: Stop = "completed"
        waited = 0.0

        def trained_so_far() -> Trained:
            best_epoch, ended = run.objective.select_epoch(values), time.perf_counter()
            is_last = best_epoch == number
            state = State(number, loop.state(), None if is_last else best_weights)
            if best_weights is not None and not is_last:
                loop.load_weights(best_weights)
            return Trained(
                loop=loop,
                history=tuple(history),
                stop=stop,
                best_epoch=best_epoch,
                examples=split_at,
                epochs=number - behind,
                parameters=trainable(model),
                all_parameters=model.count_params(),
                multiply_adds=multiply_adds(model),
                model_summary=summary(model),
                state=state,
                build_seconds=built - started,
                train_seconds=ended - built - waited,
                wait_seconds=waited,
            )

        for number in range(behind + 1, run.train.epochs + 1):
            began = time.perf_counter()
            metrics = _named("", loop.epoch(training, _order(run.train.seed, number, split_at)))
            if len(validation.inputs):
                metrics |= _named("val_", loop.evaluate(validation))
            _refuse_divergence(metrics, number)
            epoch = EpochMetrics(number, metrics, time.perf_counter() - began, time.time())
            history.append(epoch)
            values[number] = metrics[metric]
            if keeps_best and run.objective.select_epoch(values) == number:
                best_weights = loop.weights()
            told = time.perf_counter()
            pruned = on_epoch(epoch)
            waited += time.perf_counter() - told
            if (over := ending(run, values)) is not None:  # paid for in full: not pruned any more
                stop = over
                break
            if pruned:
                stop = "pruned"
                break
            if number in milestones:
                shown = time.perf_counter()
                so_far = trained_so_far()
                yield so_far
                loop.load_state(so_far.state.arrays)
                waited += time.perf_counter() - shown
        yield trained_so_far()
    finally:
        loop.end()


def _order(seed: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """The order of the training rows in `epoch`: it depends on nothing but the seed and the epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


def _named(prefix: str, scores: Scores) -> dict[str, float]:
    return {f"{prefix}loss": scores.loss, f"{prefix}accuracy": scores.accuracy}


def _refuse_divergence(metrics: dict[str, float], epoch: int) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise DivergedError(f"{name} is {value} at epoch {epoch}")
