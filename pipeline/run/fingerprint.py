"""Which configurations are one and the same run: they train the same network to the same numbers."""

import json

from pipeline.run.config import ModelConfig, OptimizerName, RunConfig

_RATE = 0.001
_RATES: dict[str, float] = {"sgd": 0.01, "schedulefreeadamw": 0.0025}
_DECAYS: dict[OptimizerName, float] = {"adamw": 0.004, "muon": 0.004}


def default_rate(optimizer: str) -> float:
    """Keras's learning rate for `optimizer` where none is given (`train.learning_rate=null`)."""
    return _RATES.get(optimizer, _RATE)  # listed, as the coordinator never imports Keras


def default_decay(optimizer: OptimizerName) -> float:
    """Keras's weight decay for `optimizer` where none is given (`train.weight_decay=null`)."""
    return _DECAYS.get(optimizer, 0.0)


def fingerprint(run: RunConfig, rows: int | None = None) -> str:
    """Text that is equal for two configurations exactly where their numbers must be.

    Left out is what has no say: where the data lies; what a study makes small beside the metric; how a
    width was written, 64 or [64, 64];
    activation and dropout without a hidden layer; a patience that the epochs can't outlast, and
    `min_delta` without one. A learning rate or weight decay of null is Keras's own, a schedule without
    `schedule_epochs` one over all epochs. `rows`: how many there are to train
    on, if that is known: a batch that has room for more is all of them.
    """
    tree = run.model_dump(exclude={"data": {"path"}, "objective": {"cost"}})
    model, train = tree["model"], tree["train"]
    if isinstance(run.model, ModelConfig):
        model["hidden_units"] = run.model.layers
        del model["depth"]
        if not run.model.layers:
            del model["activation"], model["dropout"]
    if run.train.learning_rate is None:
        train["learning_rate"] = default_rate(run.train.optimizer)
    if run.train.weight_decay is None:
        train["weight_decay"] = default_decay(run.train.optimizer)
    train["schedule_epochs"] = run.train.schedule_length
    if rows is not None:
        train["batch_size"] = min(run.train.batch_size, rows)
    # The first epoch is an improvement, so that patience is out after it at the earliest.
    if run.train.patience is None or run.train.patience >= run.train.epochs - 1:
        del train["patience"], train["min_delta"]
    return json.dumps(tree, sort_keys=True)
