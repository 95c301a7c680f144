"""Test metrics: the only code that scores the test set, called once a run is decided."""

from pipeline.data import Arrays
from pipeline.loops import Loop


def evaluate(loop: Loop, test: Arrays) -> dict[str, float]:
    """`test_loss` and `test_accuracy` (fraction in [0, 1]) of the network in `loop`."""
    scores = loop.evaluate(test)
    return {"test_loss": scores.loss, "test_accuracy": scores.accuracy}
