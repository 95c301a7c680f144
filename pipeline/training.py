"""Training: a network fitted to the training rows, epoch by epoch. It never sees the test set."""

import math
import time
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.config import RunConfig
from pipeline.data import Arrays, validation_start
from pipeline.model import build, summary
from pipeline.result import DivergedError, EpochMetrics, OnEpoch, Stop

_OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
    "adagrad": keras.optimizers.Adagrad,
}


@dataclass(frozen=True)
class Trained:
    """A network with the weights of `best_epoch`, and how it got there. Times are in seconds.

    `examples`: training rows seen in one epoch.
    """

    model: keras.Model
    history: tuple[EpochMetrics, ...]
    stop: Stop
    best_epoch: int
    examples: int
    model_summary: str
    build_seconds: float
    train_seconds: float


def train(run: RunConfig, rows: Arrays, on_epoch: OnEpoch) -> Trained:
    """A network trained on `rows` less their validation part.

    Raises DivergedError at the first epoch with a metric that is not finite.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(run.train.seed)
    split_at = validation_start(len(rows.inputs), run.train.validation_split)
    training, validation = rows.part(0, split_at), rows.part(split_at, len(rows.inputs))
    steps = math.ceil(split_at / run.train.batch_size)

    model = build(run.model, rows.inputs.shape[1:], rows.targets.shape[1])
    model_summary = summary(model)
    model.compile(
        optimizer=_optimizer(run),
        loss=run.train.loss,
        metrics=["accuracy"],
        steps_per_execution=steps,  # an epoch in one call: the same batches, less Python between
    )
    watcher = _Watcher(run, on_epoch)
    built = time.perf_counter()
    model.fit(
        *training,
        batch_size=run.train.batch_size,
        epochs=run.train.epochs,
        validation_data=tuple(validation) if len(validation.inputs) else None,
        validation_batch_size=1024,
        callbacks=[watcher],
        verbose=0,
    )
    trained = time.perf_counter()
    best_epoch = watcher.finish(model)
    return Trained(
        model=model,
        history=tuple(watcher.history),
        stop=watcher.stop,
        best_epoch=best_epoch,
        examples=split_at,
        model_summary=model_summary,
        build_seconds=built - started,
        train_seconds=trained - built,
    )


def _optimizer(run: RunConfig) -> keras.optimizers.Optimizer:
    optimizer = _OPTIMIZERS[run.train.optimizer]
    rate = run.train.learning_rate
    return optimizer() if rate is None else optimizer(learning_rate=rate)


class _Watcher(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Measures and reports each epoch, decides when to stop, and keeps the best epoch's weights."""

    def __init__(self, run: RunConfig, on_epoch: OnEpoch) -> None:
        super().__init__()
        self.history: list[EpochMetrics] = []
        self.stop: Stop = "completed"
        self._run = run
        self._on_epoch = on_epoch
        self._values: dict[int, float] = {}
        self._best_weights: list[NDArray[np.float32]] | None = None
        self._last_improvement: tuple[int, float] | None = None
        self._diverged: str | None = None
        self._epoch_started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch_started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        number = epoch + 1
        if broken := [name for name, value in metrics.items() if not math.isfinite(value)]:
            self._diverged = f"{broken[0]} is {metrics[broken[0]]} at epoch {number}"
            self.model.stop_training = True
            return
        seconds = time.perf_counter() - self._epoch_started
        measured = EpochMetrics(number, metrics, seconds, time.time())
        self.history.append(measured)
        self._values[number] = metrics[self._run.objective.metric]
        if self._run.objective.select == "best" and self._is_selected(number):
            self._best_weights = [np.copy(weight) for weight in self.model.get_weights()]
        if self._on_epoch(measured):
            self.stop = "pruned"
            self.model.stop_training = True
        elif self._patience_is_out(number):
            self.stop = "early_stopped"
            self.model.stop_training = True

    def finish(self, model: keras.Model) -> int:
        """Give `model` the selected epoch's weights, and return that epoch."""
        if self._diverged is not None:
            raise DivergedError(self._diverged)
        selected = self._run.objective.select_epoch(self._values)
        if self._best_weights is not None and selected != len(self.history):
            model.set_weights(self._best_weights)
        return selected

    def _is_selected(self, number: int) -> bool:
        return self._run.objective.select_epoch(self._values) == number

    def _patience_is_out(self, number: int) -> bool:
        config, value = self._run.train, self._values[number]
        if config.patience is None:
            return False
        last = self._last_improvement
        if self._run.objective.better(value, last[1] if last else None, by=config.min_delta):
            self._last_improvement = (number, value)
            return False
        return last is not None and number - last[0] >= config.patience
