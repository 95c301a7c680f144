"""The choice of the loop that trains a run."""

import json
from collections import OrderedDict

import keras

from pipeline.network.loop import Loop
from pipeline.run.config import RunConfig

_KNOBS = ("dropout", "l1", "l2")
"""Fields of a model that are variables in a compiled loop: only whether there is one is compiled in."""

_READ_ANEW = {
    "learning_rate", "seed", "epochs", "patience", "min_delta", "validation_split", "loop",
    "weight_decay", "warmup_epochs", "schedule_epochs",
}  # fmt: skip
"""Fields of a training that no loop is compiled with: it reads them as a run begins, or never does.

Of weight decay and warm-up it is compiled in whether there is one.
"""

_KEPT = 4
_compiled: OrderedDict[object, Loop] = OrderedDict()


def loop_for(run: RunConfig, shape: tuple[int, ...], classes: int) -> Loop:
    """The loop that `run` takes: compiled where the backend allows it and `train.loop` does not forbid.

    A compiled loop serves every run of the same shape in this process: learning rate, weight decay,
    dropout and penalties are variables in it. The last few are kept.
    """
    backend = keras.backend.backend()
    if run.train.loop == "keras" or backend not in ("tensorflow", "jax"):
        from pipeline.network.plain import PlainLoop

        return PlainLoop()
    key = (compiled_with(run), shape, classes)
    if key not in _compiled:
        _compiled[key] = _compile(backend, run, shape, classes)
        if len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]


def compiled_with(run: RunConfig) -> str:
    """Text that differs for runs which can't share a compiled loop: every field, unless named above."""
    model = run.model.model_dump(exclude={"hidden_units", "depth", *_KNOBS})
    model |= {"layers": run.model.layers}
    model |= {name: getattr(run.model, name) > 0 for name in _KNOBS}
    train = run.train.model_dump(exclude=_READ_ANEW)
    decay = run.train.weight_decay
    train |= {"decays": None if decay is None else decay > 0, "warms": run.train.warmup_epochs > 0}
    return json.dumps([model, train], sort_keys=True)


def _compile(backend: str, run: RunConfig, shape: tuple[int, ...], classes: int) -> Loop:
    if backend == "jax":
        from pipeline.network.jax import JaxLoop

        return JaxLoop(run, shape, classes)
    from pipeline.network.tensorflow import TensorFlowLoop

    return TensorFlowLoop(run, shape, classes)
