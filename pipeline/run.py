"""One run from its configuration to its result."""

import statistics
import time

import keras

from pipeline.config import RunConfig
from pipeline.data import Dataset
from pipeline.device import device_name
from pipeline.evaluate import evaluate
from pipeline.result import OnEpoch, RunResult
from pipeline.training import train


def execute(run: RunConfig, dataset: Dataset, on_epoch: OnEpoch) -> RunResult:
    """Train the network of `run` on the training rows, fix its objective, then score the test set.

    Raises DivergedError where training did.
    """
    started = time.perf_counter()
    keras.backend.clear_session()
    trained = train(run, dataset.train_arrays, on_epoch)
    value = trained.history[trained.best_epoch - 1].metrics[run.objective.metric]
    scoring = time.perf_counter()
    test = evaluate(trained.model, dataset.test_arrays)
    ended = time.perf_counter()
    seconds = [epoch.seconds for epoch in trained.history]
    return RunResult(
        history=trained.history,
        stop=trained.stop,
        value=value,
        best_epoch=trained.best_epoch,
        test=test,
        timings={
            "build_seconds": trained.build_seconds,
            # Keras traces and compiles inside the first epoch: what that took beyond a usual one.
            "compile_seconds": max(0.0, seconds[0] - statistics.median(seconds[1:] or seconds)),
            "train_seconds": trained.train_seconds,
            "test_seconds": ended - scoring,
            "seconds_total": ended - started,
        },
        examples_per_second=trained.examples * len(seconds) / trained.train_seconds,
        parameters=trained.model.count_params(),
        model_summary=trained.model_summary,
        device=device_name(),
    )
