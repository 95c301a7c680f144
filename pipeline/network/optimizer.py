"""The optimizer of a run, with its weight decay and the schedule of its learning rate."""

import math
from typing import Any

import keras
from keras import ops

from pipeline.run.config import RunConfig
from pipeline.run.config import Schedule as Kind
from pipeline.run.fingerprint import default_rate

_OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    name.lower(): kind for name, kind in vars(keras.optimizers).items() if isinstance(kind, type)
}


class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # keras ships no types
    """The learning rate by step: `cosine` lets it fall to 0 along half a wave (Loshchilov & Hutter 2017).

    `step` divides it by 10 after half of all steps and again after three quarters (He et al. 2016). Both
    can be preceded by a rise from 0 in a straight line. Keras's own schedules have the same numbers as
    constants; here they are variables of the optimizer, which a compiled loop sets anew for each run.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def read(self, peak: keras.Variable, warmup: keras.Variable, steps: keras.Variable) -> None:
        """Take the highest rate, the steps until it is reached, and all steps, as float32 scalars."""
        # A function, as TensorFlow would track variables that it finds here a second time.
        self._settings = lambda: (peak, warmup, steps)

    def __call__(self, step: Any) -> Any:
        settings: Any = self._settings
        peak, warmup, steps = map(ops.convert_to_tensor, settings())
        step = ops.cast(step, "float32")
        share: Any = 1.0
        if self._kind == "cosine":
            share = 0.5 * (1 + ops.cos(math.pi * (step - warmup) / (steps - warmup)))
        elif self._kind == "step":
            late = ops.where(4 * step < 3 * steps, 0.1, 0.01)
            share = ops.where(2 * step < steps, 1.0, late)
        return peak * ops.where(step < warmup, step / ops.maximum(warmup, 1.0), share)


def make_optimizer(run: RunConfig, rows: int) -> keras.optimizers.Optimizer:
    """The optimizer that `run` names, with the settings given and Keras's defaults for the others.

    `rows`: how many an epoch trains on. What changes no program is a variable of the optimizer, so that
    runs which differ in it share a compiled loop.
    """
    train = run.train
    settings: dict[str, Any] = {}
    if train.learning_rate is not None:
        settings["learning_rate"] = train.learning_rate
    if train.momentum:
        settings["momentum"] = train.momentum
    length = train.schedule_length
    schedule = None if length is None else Schedule(train.schedule)
    optimizer = _OPTIMIZERS[train.optimizer](
        **settings if schedule is None else {**settings, "learning_rate": schedule}
    )

    def variable(name: str, value: float) -> keras.Variable:
        return optimizer.add_variable((), keras.initializers.Constant(value), "float32", name=name)

    if schedule is not None and length is not None:
        steps = math.ceil(rows / train.batch_size)
        schedule.read(
            variable("peak", settings.get("learning_rate", default_rate(train.optimizer))),
            variable("warmup", train.warmup_epochs * steps),
            variable("steps", length * steps),
        )
    if train.weight_decay is not None:
        decay = train.weight_decay
        optimizer.weight_decay = variable("weight_decay", decay) if decay else None
    return optimizer
