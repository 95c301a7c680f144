"""The trainer of real runs, with what its process sees of the GPU on record beside the usual."""

from collections.abc import Collection
from typing import Any

from pipeline.run.config import RunConfig
from pipeline.run.result import OnEpoch, Outcome, State
from search.workers.worker import Data, Trainer, keras_trainer

SEES = "test.sees"
"""How many GPUs the backend lists."""

COPIES = "test.copies"
"""How often this process had copied rows to a device before this trial."""

RESIDENT = "test.resident"
"""Where those are that it keeps there."""


def trainer(data: Data, threads: int) -> Trainer:
    """Train as `keras_trainer` does."""
    made = keras_trainer(data, threads)
    about = {**made.about, SEES: str(_gpus())}
    copied: dict[int, Any] = {}  # with what they are of: no other then has its id

    def train(
        run: RunConfig, on_epoch: OnEpoch, start: State | None, milestones: Collection[int]
    ) -> Outcome:
        from pipeline.network import loop

        outcome = made.train(run, on_epoch, start, milestones)
        copied.update({id(inputs): inputs for _, inputs, _ in loop._on_device.values()})
        places = {str(inputs.device) for inputs in copied.values()}
        about.update({COPIES: str(len(copied)), RESIDENT: " ".join(sorted(places))})
        return outcome

    return Trainer(train, about)


def _gpus() -> int:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return len([device for device in jax.devices() if device.platform == "gpu"])
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))
