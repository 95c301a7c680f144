"""Test metrics: the only code that scores the test set, called once a run is decided."""

import keras

from pipeline.data import Arrays


def evaluate(model: keras.Model, test: Arrays) -> dict[str, float]:
    """`test_loss` and `test_accuracy` (fraction in [0, 1]) of `model`."""
    scores = model.evaluate(*test, batch_size=1024, verbose=0, return_dict=True)
    return {f"test_{name}": float(value) for name, value in scores.items()}
