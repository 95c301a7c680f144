"""Whether exported files do what the trial did: its test accuracy, and its probabilities."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import NAMES, Format, predict_apart
from pipeline.config import RunConfig
from pipeline.data import Dataset
from pipeline.errors import PlumblineError
from pipeline.evaluate import Judged, Predict, judge
from pipeline.result import RunResult

TOLERANCE = 1e-5
"""How far a probability may be from the trial's network in 32 bits, whatever the format."""

COARSE = 2e-2
"""The same for networks in bfloat16, and for what an accelerator rounded."""

_AT_ONCE = 2  # fresh processes, about 700 MB each


@dataclass(frozen=True)
class Check:
    """What one file gave in a fresh process. `difference`: the largest one of all probabilities."""

    format: Format
    accuracy: float
    difference: float
    tolerance: float


class Verifier:
    """The recorded test accuracy and the network's probabilities, which every file must reproduce.

    As many rows may fall to another side as are undecided between two classes within the rounding:
    `TOLERANCE` for a trial trained on a CPU in 32 bits, which as good as always is none at all.
    """

    def __init__(self, run: RunConfig, result: RunResult, dataset: Dataset) -> None:
        self._dataset = dataset
        self._rows = len(dataset.test)
        self._recorded = result.test["test_accuracy"]
        short = run.train.precision != "float32"
        self._tolerance = COARSE if short else TOLERANCE
        self._rounding = COARSE if short or result.device != "cpu" else TOLERANCE
        self._reference: Judged | None = None

    def take_as_reference(self, predict: Predict) -> None:
        """Judge the trial's network on scaled features; the weights are its own if the accuracy is.

        Raises PlumblineError where it isn't.
        """
        inputs = self._dataset.test_arrays.inputs
        self._reference = judge(predict, inputs, self._dataset.test)
        self._check_accuracy("the network", self._reference)

    def check(self, folder: Path, formats: Sequence[Format], dtype: str) -> list[Check]:
        """Check every format's file in `folder` on the raw test set.

        Raises PlumblineError with the numbers of the first one that is not as the trial was.
        """
        raw = self._dataset.test.features.astype(dtype)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda kind: self._check(folder, kind, raw), formats))

    def _check(self, folder: Path, kind: Format, raw: NDArray[Any]) -> Check:
        def predict(inputs: NDArray[Any]) -> NDArray[np.float32]:
            return predict_apart(folder / NAMES[kind], inputs)

        reference = self._reference
        assert reference is not None
        try:
            judged = judge(predict, raw, self._dataset.test)
        except (PlumblineError, ValueError) as error:
            raise PlumblineError(f"{kind}: {error}: not exported") from None
        self._check_accuracy(kind, judged)
        difference = float(np.abs(judged.probabilities - reference.probabilities).max())
        if not difference <= self._tolerance:
            raise PlumblineError(
                f"{kind}: a probability differs by {difference:.2g} from the trial's network, "
                f"{self._tolerance:g} is allowed: not exported"
            )
        return Check(kind, judged.right / self._rows, difference, self._tolerance)

    def _check_accuracy(self, what: str, judged: Judged) -> None:
        recorded = round(self._recorded * self._rows)
        reference = self._reference or judged
        if abs(judged.right - recorded) > reference.undecided(2 * self._rounding):
            raise PlumblineError(
                f"{what}: test_accuracy is {judged.right / self._rows:.6f} ({judged.right} of "
                f"{self._rows}), recorded is {self._recorded:.6f} ({recorded}): not exported"
            )
