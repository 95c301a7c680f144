"""The choice of the loop that trains a run."""

from collections import OrderedDict

import keras

from pipeline.network.loop import Loop
from pipeline.network.shapes import KEPT, compiled_with
from pipeline.run.config import RunConfig

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
        if len(_compiled) > KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]


def _compile(backend: str, run: RunConfig, shape: tuple[int, ...], classes: int) -> Loop:
    if backend == "jax":
        from pipeline.network.jax import JaxLoop

        return JaxLoop(run, shape, classes)
    from pipeline.network.tensorflow import TensorFlowLoop

    return TensorFlowLoop(run, shape, classes)
