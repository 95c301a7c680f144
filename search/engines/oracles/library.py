"""KerasTuner, imported without TensorFlow. Whoever needs it takes it from here."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Trial", "TrialStatus", "keras_tuner"]


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Let Keras compute with NumPy if it is imported in the block, and leave no trace of that.

    `import keras_tuner` imports Keras, and Keras its backend: 3.9 to 5.3 s and 817 MB with
    TensorFlow, 1.8 to 3.0 s and 369 MB with NumPy (measured on two shared cores). The oracles need
    neither. The environment is put back because workers inherit it, and Keras is forgotten so that
    whoever imports it later gets the backend that the user chose.
    """
    if "keras" in sys.modules:
        yield
        return
    before = dict(os.environ)
    os.environ["KERAS_BACKEND"] = "numpy"
    try:
        yield
    finally:
        for variable in set(os.environ) - set(before):  # Keras sets one of TensorFlow's
            del os.environ[variable]
        os.environ.update(before)
        for module in [name for name in sys.modules if name.partition(".")[0] == "keras"]:
            del sys.modules[module]


with _without_tensorflow():
    import keras_tuner
    from keras_tuner.engine.trial import Trial, TrialStatus
