"""Random search (Bergstra & Bengio 2012)."""

from search.engines.oracles.base import Oracle
from search.engines.oracles.library import keras_tuner


class RandomOracle(Oracle, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Uniform random points, none of them twice."""
