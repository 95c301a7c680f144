"""One run from its configuration to its result."""

import statistics
import time
from collections.abc import Collection
from dataclasses import replace

from pipeline.data import Dataset
from pipeline.lanes.choice import one_at_a_time
from pipeline.network.backend import device_name, forget_peak_memory, peak_memory
from pipeline.run.config import RunConfig
from pipeline.run.digests import history_digest, weights_digest
from pipeline.run.result import OnEpoch, Outcome, RunResult, State
from pipeline.training.diagnosis import MOST_CLASSES, Diagnosis, diagnosed
from pipeline.training.fit import Trained, train
from pipeline.training.score import evaluate


def execute(
    run: RunConfig,
    dataset: Dataset,
    on_epoch: OnEpoch,
    start: State | None = None,
    milestones: Collection[int] = (),
) -> Outcome:
    """Train the network of `run` on the training rows, fix its objective, then score the test set.

    With `start` it goes on from there. `milestones`: of so many epochs, fewer than the run's, the result
    is wanted too. Raises DivergedError where training did.
    """
    with one_at_a_time:  # runs beside it take the same arrays
        dataset = dataset.fitted(run.train.validation_split)
        rows = dataset.train_arrays
    forget_peak_memory()
    started = time.perf_counter()
    shorter: dict[int, RunResult] = {}
    for trained in train(run, rows, on_epoch, start, milestones):
        outcome = _measured(trained, run, dataset, started)
        shorter[outcome.state.epoch] = outcome.result
    del shorter[outcome.state.epoch]  # the last one is the run itself
    return replace(outcome, result=replace(outcome.result, shorter=shorter))


def _measured(trained: Trained, run: RunConfig, dataset: Dataset, started: float) -> Outcome:
    best = next(epoch for epoch in trained.history if epoch.epoch == trained.best_epoch)
    value = best.metrics[run.objective.metric]
    scoring = time.perf_counter()
    with one_at_a_time:
        test_rows = dataset.test_arrays
    test = evaluate(trained.loop, test_rows)
    ended = time.perf_counter()
    readable = dataset.classes <= MOST_CLASSES
    found = _diagnose(trained, dataset)
    seconds = [epoch.seconds for epoch in trained.history[-trained.epochs :]]
    weights = trained.loop.weights()
    result = RunResult(
        history=trained.history,
        stop=trained.stop,
        value=value,
        best_epoch=trained.best_epoch,
        test=test.metrics,
        timings={
            "build_seconds": trained.build_seconds,
            # Tracing and compiling happen inside the first epoch: what it took beyond a usual one.
            "compile_seconds": max(0.0, seconds[0] - statistics.median(seconds[1:] or seconds)),
            "train_seconds": trained.train_seconds,
            "test_seconds": ended - scoring,
            "seconds_total": time.perf_counter() - started - trained.wait_seconds,
        },
        examples_per_second=trained.examples * len(seconds) / trained.train_seconds,
        parameters=trained.parameters,
        costs=_costs(trained),
        model_summary=trained.model_summary,
        device=device_name(),
        loop=trained.loop.name,
        confusion=found.confusion,
        hardest=found.hardest,
        test_confusion=test.confusion if readable else (),
        system=peak_memory(),
        hits=found.hits,
        weights_digest=weights_digest(weights),
        history_digest=history_digest(trained.history),
    )
    return Outcome(result, weights, trained.state)


def _costs(trained: Trained) -> dict[str, int]:
    """What the network costs on any machine; see `RunResult`."""
    # Two operations a product; the gradients of inputs and of weights take twice as many again.
    rows = trained.examples * len(trained.history)
    size, products = {"model_bytes": 4 * trained.all_parameters}, trained.multiply_adds
    if products is None:
        return size
    return {"multiply_adds": products, **size, "training_flops": 3 * 2 * products * rows}


def _diagnose(trained: Trained, dataset: Dataset) -> Diagnosis:
    """What the best epoch's weights get right and wrong on the validation rows."""
    rows = dataset.train_arrays
    validation = rows.part(trained.examples, len(rows.inputs))
    if not len(validation.inputs):
        return Diagnosis()
    probabilities = trained.loop.predict(validation).probabilities
    return diagnosed(probabilities, validation.targets, trained.examples)
