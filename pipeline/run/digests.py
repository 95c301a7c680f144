"""The fingerprint of a run's outcome: digests of its network and of its curves, to the last bit."""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from pipeline.run.result import EpochMetrics, Weights


def weights_digest(weights: Weights) -> str:
    """SHA-256 of the arrays in their order: of each its type, its shape, and its numbers."""
    sha = hashlib.sha256()
    for array in weights:
        ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        sha.update(f"{ordered.dtype.name} {array.shape}\n".encode())
        sha.update(ordered.tobytes())
    return sha.hexdigest()


def history_digest(history: Iterable[EpochMetrics]) -> str:
    """SHA-256 of every metric of every epoch, at full precision. Times are no part of it."""
    facts = [
        [epoch.epoch, {name: float(value).hex() for name, value in epoch.metrics.items()}]
        for epoch in history
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
