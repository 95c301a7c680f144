"""The cost model of a trial, fitted to what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.forecasting.cost import Amounts, Work, reference

_PRIOR = 0.5
"""How far, as a fraction, the seconds of one kind are from the reference's, at the machine's speed."""

_NOISE = 0.05
"""How far, as a fraction of it, an observation is from the truth."""


@dataclass(frozen=True)
class Observation:
    """That so much of each kind took `seconds`."""

    amounts: Amounts
    seconds: float


@dataclass(frozen=True)
class CostModel:
    """Seconds of one of each kind, by what was observed; of others the reference's, at the same `speed`.

    `spread`: by which fraction observations are off, as a standard deviation.
    """

    speed: float = 1.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.1

    def of(self, amounts: Amounts) -> float:
        """Seconds of so much of each kind."""
        return sum(count * self.one(kind) for kind, count in amounts.items())

    def epoch(self, work: Work) -> float:
        """Seconds of each epoch of a run, the word that it is told of included."""
        return self.of(work.epoch) + self.one("told")

    def run(self, work: Work) -> float:
        """Seconds of a run that trains all its epochs, on a worker that knows its shape."""
        return self.once(work) + work.run.train.epochs * self.epoch(work)

    def once(self, work: Work) -> float:
        """Seconds that a run takes beside its epochs, its worker's wait for the next one included."""
        return self.of(work.once) + self.one("between")

    def one(self, kind: str) -> float:
        """Seconds of one of a kind."""
        found = self.seconds.get(kind)
        return self.speed * reference(kind) if found is None else found

    @classmethod
    def fit(cls, observations: Sequence[Observation]) -> "CostModel":
        """The model that is nearest to `observations`, and to the reference's proportions."""
        from scipy.optimize import nnls  # it takes a third of a second to import

        seen = [each for each in observations if each.seconds > 0 and each.amounts]
        if not seen:
            return cls()
        kinds = sorted({kind for each in seen for kind, count in each.amounts.items() if count})
        prior = np.array([reference(kind) for kind in kinds])
        taken = np.array([each.seconds for each in seen])
        amounts = np.array([[each.amounts.get(kind, 0.0) for kind in kinds] for each in seen])
        usual = amounts @ prior
        speed = math.exp(float(np.median(np.log(taken / usual))))
        relative = amounts * (speed * prior) / taken[:, None]
        shares, _ = nnls(
            np.vstack([relative / _NOISE, np.eye(len(kinds)) / _PRIOR]),
            np.concatenate([np.full(len(seen), 1 / _NOISE), np.full(len(kinds), 1 / _PRIOR)]),
        )
        errors = np.log(np.maximum(relative @ shares, 1e-9))
        return cls(
            speed,
            dict(zip(kinds, (speed * shares * prior).tolist(), strict=True)),
            float(np.sqrt(np.mean(errors**2))),
        )


def added(*parts: tuple[float, Amounts]) -> dict[str, float]:
    """The sum of amounts, each so many times."""
    found: dict[str, float] = {}
    for times, amounts in parts:
        for kind, count in amounts.items():
            found[kind] = found.get(kind, 0.0) + times * count
    return found
