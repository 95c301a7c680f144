"""KerasTuner's RandomSearch as its guide shows it, over the same network as `optuna_loop.py`.

    python benchmarks/keras_tuner_loop.py mnist.npz --trials 5

Needs tensorboard, which KerasTuner's tuners import. Prints one JSON object.
"""

import argparse
import json
import tempfile
import time

import keras
import keras_tuner
import numpy as np


class Tuner(keras_tuner.RandomSearch):
    """RandomSearch that scores the test set after each trial, as the other loops do."""

    def run_trial(self, trial, x, y, test, ends, values, **fit):  # type: ignore[no-untyped-def]
        model = self.hypermodel.build(trial.hyperparameters)
        history = model.fit(x, y, **fit)
        model.evaluate(*test, verbose=0)
        ends.append(time.time())
        values.append(max(history.history["val_accuracy"]))
        return values[-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    arguments = parser.parse_args()

    with np.load(arguments.data) as data:
        x_train, y_train = data["x_train"].reshape(-1, 784) / 255.0, data["y_train"]
        x_test, y_test = data["x_test"].reshape(-1, 784) / 255.0, data["y_test"]
    x_train, x_test = x_train.astype("float32"), x_test.astype("float32")
    y_train, y_test = keras.utils.to_categorical(y_train), keras.utils.to_categorical(y_test)

    def build(hp: keras_tuner.HyperParameters) -> keras.Model:
        model = keras.Sequential(
            [
                keras.Input((784,)),
                keras.layers.Dense(arguments.width, activation="relu"),
                keras.layers.Dense(arguments.width, activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        model.compile(
            keras.optimizers.Adam(rate), loss="categorical_crossentropy", metrics=["accuracy"]
        )
        return model

    ends: list[float] = []
    values: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            build,
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=arguments.trials,
            seed=1,
            directory=folder,
        )
        tuner.search(
            x_train,
            y_train,
            test=(x_test, y_test),
            ends=ends,
            values=values,
            batch_size=128,
            epochs=arguments.epochs,
            validation_split=0.2,
            verbose=0,
        )
    print(json.dumps({"ends": ends, "values": values}))


if __name__ == "__main__":
    main()
