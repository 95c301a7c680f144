"""Whether exported files do what the trial did: its test accuracy and loss, and its probabilities."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact.formats import COARSE, NAMES, PORTABLE, TOLERANCE, Format, predict_apart
from pipeline.command.errors import PlumblineError
from pipeline.data import Dataset
from pipeline.run.config import RunConfig
from pipeline.training.score import Judged, judge
from search.study.vocabulary import Entry

if TYPE_CHECKING:  # it brings Keras
    from pipeline.network.loop import Loop

LOSS_TOLERANCE = 1e-4
"""How far a loss may be from the recorded one, as a share of it: another order of adding rows."""

COARSE_LOSS = 5e-2
"""The same in bfloat16, for an accelerator, and for JAX, which clips what TensorFlow does not."""

_AT_ONCE = 2  # fresh processes, about 700 MB each


@dataclass(frozen=True)
class Check:
    """What one file gave in a fresh process. `difference`: the largest one of all probabilities.

    `log_loss`: the mean of -log of the true class's probability.
    """

    format: Format
    accuracy: float
    log_loss: float
    difference: float
    tolerance: float


class Verifier:
    """The recorded test metrics and the network's probabilities, which every file must reproduce.

    As many rows may fall to another side as are undecided between two classes within the rounding:
    `TOLERANCE` for a trial trained on a CPU in 32 bits, which as good as always is none at all.
    """

    def __init__(self, run: RunConfig, entry: Entry, dataset: Dataset) -> None:
        assert entry.result is not None
        self._dataset = dataset
        self._rows = len(dataset.test)
        self._recorded = entry.result.test
        short = run.train.precision != "float32"
        like_here = not short and entry.result.device == "cpu"
        same_backend = entry.worker.get("backend", "tensorflow") == "tensorflow"
        self._tolerance = COARSE if short else TOLERANCE
        self._rounding = TOLERANCE if like_here else COARSE
        self._recorded_share = LOSS_TOLERANCE if like_here and same_backend else COARSE_LOSS
        self._share = COARSE_LOSS if short else LOSS_TOLERANCE
        self._reference: Judged | None = None

    def take_as_reference(self, loop: "Loop") -> None:
        """Judge the trial's network, in `loop`; the weights are its own if accuracy and loss are.

        Raises PlumblineError where they aren't.
        """
        test = self._dataset.test_arrays
        found = loop.predict(test)
        self._reference = judge(lambda _: found.probabilities, test.inputs, self._dataset.test)
        self._check_accuracy("the network", self._reference)
        loss, recorded = found.scores.loss, self._recorded["test_loss"]
        self._check_loss("the network: test_loss", loss, recorded, self._recorded_share)

    def check(self, folder: Path, formats: Sequence[Format], dtype: str) -> list[Check]:
        """Check every format's file in `folder` on the raw test set.

        Raises PlumblineError with the numbers of the first one that is not as the trial was.
        """
        raw = self._dataset.test.features  # as they were read, where a format takes any dtype
        narrow = raw.astype(dtype)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(
                pool.map(
                    lambda kind: self._check(folder, kind, narrow if kind in PORTABLE else raw),
                    formats,
                )
            )

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
        self._check_loss(f"{kind}: log loss", judged.log_loss, reference.log_loss, self._share)
        difference = float(np.abs(judged.probabilities - reference.probabilities).max())
        if not difference <= self._tolerance:
            raise PlumblineError(
                f"{kind}: a probability differs by {difference:.2g} from the trial's network, "
                f"{self._tolerance:g} is allowed: not exported"
            )
        return Check(kind, judged.right / self._rows, judged.log_loss, difference, self._tolerance)

    def _check_loss(self, what: str, loss: float, wanted: float, share: float) -> None:
        allowed = share * max(wanted, 1e-3)  # of next to nothing, a share is nothing
        if not abs(loss - wanted) <= allowed:
            raise PlumblineError(
                f"{what} is {loss:.6g}, the trial's is {wanted:.6g}, {allowed:.2g} apart is allowed: "
                "not exported"
            )

    def _check_accuracy(self, what: str, judged: Judged) -> None:
        accuracy = self._recorded["test_accuracy"]
        recorded = round(accuracy * self._rows)
        reference = self._reference or judged
        if abs(judged.right - recorded) > reference.undecided(2 * self._rounding):
            raise PlumblineError(
                f"{what}: test_accuracy is {judged.right / self._rows:.6f} ({judged.right} of "
                f"{self._rows}), recorded is {accuracy:.6f} ({recorded}): not exported"
            )
