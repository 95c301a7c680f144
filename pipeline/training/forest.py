"""A random forest on the same rows as the networks: what they have to beat (Breiman 2001)."""

import time
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pipeline.command.section import PositiveInt, Section, as_override
from pipeline.data import Dataset
from pipeline.training.score import Tested, tested


class ForestConfig(Section):
    """scikit-learn's `RandomForestClassifier`.

    `n_estimators`: trees. `max_depth`: None grows each tree until its leaves are pure. `max_features`:
    how many features a split may choose from. `min_samples_leaf`: rows that every leaf keeps. `seed`:
    which rows and features each tree sees.
    """

    n_estimators: PositiveInt
    max_depth: PositiveInt | None
    max_features: Literal["sqrt", "log2"]
    min_samples_leaf: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    def parameters(self) -> dict[str, str]:
        """Every field under its override path."""
        return {f"forest.{name}": as_override(value) for name, value in self.model_dump().items()}


@dataclass(frozen=True)
class Forest:
    """A fitted forest: how it fares on the test set, its size (nodes of all trees), and seconds."""

    test: Tested
    nodes: int
    train_seconds: float
    test_seconds: float

    def final_metrics(self) -> dict[str, float]:
        """What is logged of it, under the names that a network's run has where it has them."""
        return {
            **self.test.metrics,
            "seconds": self.train_seconds,
            "test_seconds": self.test_seconds,
            "nodes": self.nodes,
        }


def fit(config: ForestConfig, dataset: Dataset, threads: int) -> Forest:
    """Fit a forest to all training rows and score it on the test set, on `threads` threads.

    The numbers depend on nothing but `config` and the data.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        n_estimators=config.n_estimators,
        max_depth=config.max_depth,
        max_features=config.max_features,
        min_samples_leaf=config.min_samples_leaf,
        random_state=config.seed,
        n_jobs=threads,
    )
    train = dataset.train_arrays
    started = time.perf_counter()
    forest.fit(train.inputs.reshape(len(dataset.train), -1), dataset.train.labels)
    fitted = time.perf_counter()
    test = dataset.test_arrays
    probabilities = np.zeros(test.targets.shape)
    # A class without a training row has no column.
    found = forest.predict_proba(test.inputs.reshape(len(dataset.test), -1))
    probabilities[:, forest.classes_] = found
    result = tested(probabilities, test.targets)
    return Forest(
        test=result,
        nodes=sum(tree.tree_.node_count for tree in forest.estimators_),
        train_seconds=fitted - started,
        test_seconds=time.perf_counter() - fitted,
    )
