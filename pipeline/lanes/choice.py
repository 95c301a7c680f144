"""The choice of the loop that trains a run."""

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import keras

from pipeline.command.errors import ConfigError
from pipeline.lanes.conductor import Conductor
from pipeline.network.loop import Loop
from pipeline.network.shapes import KEPT, compiled_with
from pipeline.run.config import RunConfig

if TYPE_CHECKING:  # JAX is imported where it trains
    from pipeline.lanes.seat import Lanes

one_at_a_time = threading.RLock()
"""Held by a run that begins: initial weights come from a random state that a process has once."""

_compiled: OrderedDict[object, Loop] = OrderedDict()
_programs: "OrderedDict[object, Lanes]" = OrderedDict()
# By a run, or kept for the next one.
_in_use: "WeakValueDictionary[object, Lanes]" = WeakValueDictionary()
_conductor: Conductor | None = None
_width = 1


def use_lanes(width: int) -> None:
    """From now on train runs of this process in programs of `width` lanes, each run in a thread of its own.

    A run can also be trained alone so: to the same numbers as in company. With 1 every run has its own
    program. Raises ValueError on a backend other than JAX.
    """
    global _conductor, _width
    if width > 1 and keras.backend.backend() != "jax":
        raise ValueError(f"lanes: expected JAX, got {keras.backend.backend()}")
    _width, _conductor = width, Conductor(width)


def loop_for(run: RunConfig, shape: tuple[int, ...], classes: int) -> Loop:
    """The loop that `run` takes: compiled where the backend allows it and `train.loop` does not forbid.

    A compiled loop serves every run of the same shape in this process: learning rate, weight decay,
    dropout and penalties are variables in it. The last few are kept. With `use_lanes` it is a lane.
    """
    backend = keras.backend.backend()
    if run.train.loop == "keras" or backend not in ("tensorflow", "jax"):
        if _width > 1:
            raise ConfigError(
                "train.loop: expected auto in a lane, got keras (or launcher.lanes=1)"
            )
        from pipeline.network.plain import PlainLoop

        return PlainLoop()
    key = (compiled_with(run), shape, classes)
    if _width > 1 and _conductor is not None:
        return _seat(run, shape, classes, (*key, _width), _conductor)
    if key not in _compiled:
        _compiled[key] = _compile(backend, run, shape, classes)
        if len(_compiled) > KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]


def _seat(
    run: RunConfig, shape: tuple[int, ...], classes: int, key: object, conductor: Conductor
) -> Loop:
    from pipeline.lanes.seat import Lanes, Seat

    lanes = _programs[key] = _in_use.get(key) or Lanes(run, shape, classes, _width)
    _in_use[key] = lanes
    _programs.move_to_end(key)
    if len(_programs) > KEPT:
        _programs.popitem(last=False)
    return Seat(lanes, conductor)


def _compile(backend: str, run: RunConfig, shape: tuple[int, ...], classes: int) -> Loop:
    if backend == "jax":
        from pipeline.network.jax import JaxLoop

        return JaxLoop(run, shape, classes)
    from pipeline.network.tensorflow import TensorFlowLoop

    return TensorFlowLoop(run, shape, classes)
