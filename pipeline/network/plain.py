"""The plain way: Keras's own `fit` and `evaluate`, an epoch at a time, on any backend."""

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.data import Arrays
from pipeline.network.loop import (
    Loop,
    Predictions,
    Scores,
    make_loss,
)
from pipeline.network.optimizer import make_optimizer
from pipeline.network.shapes import rows_at_once
from pipeline.run.config import RunConfig


class PlainLoop(Loop):
    """`model.fit` over rows that are put in order beforehand, so that every loop sees the same batches."""

    name = "keras"

    def begin(self, run: RunConfig, model: keras.Model, rows: int) -> None:
        self._model = model
        self._batch_size = run.train.batch_size
        self._rows_at_once = rows_at_once(run)
        optimizer = make_optimizer(run, rows)
        optimizer.build(model.trainable_variables)
        model.compile(optimizer, make_loss(run), metrics=["categorical_accuracy"])
        self._optimizer = model.optimizer

    def epoch(self, rows: Arrays, order: NDArray[np.int32]) -> Scores:
        history = self._model.fit(
            rows.inputs[order],
            rows.targets[order],
            batch_size=self._batch_size,
            shuffle=False,
            verbose=0,
        ).history
        return Scores(history["loss"][0], history["categorical_accuracy"][0])

    def evaluate(self, rows: Arrays) -> Scores:
        scores = self._model.evaluate(
            *rows, batch_size=self._rows_at_once, verbose=0, return_dict=True
        )
        return Scores(scores["loss"], scores["categorical_accuracy"])

    def predict(self, rows: Arrays) -> Predictions:
        probabilities = self._model.predict(rows.inputs, batch_size=self._rows_at_once, verbose=0)
        return Predictions(self.evaluate(rows), probabilities)
