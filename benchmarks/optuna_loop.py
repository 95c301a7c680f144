"""The loop that people write by hand: Optuna around `model.fit`, a fresh model for each trial.

    python benchmarks/optuna_loop.py mnist.npz --width 128 --trials 5

It does the work of one of our studies: the same network, epochs, batch size, validation and test
evaluation. It keeps no curves and tracks nothing. Prints one JSON object.
"""

import argparse
import json
import time

import keras
import numpy as np
import optuna


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
    ends: list[float] = []
    values: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        model = keras.Sequential(
            [
                keras.Input((784,)),
                keras.layers.Dense(arguments.width, activation="relu"),
                keras.layers.Dense(arguments.width, activation="relu"),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(
            keras.optimizers.Adam(rate), loss="categorical_crossentropy", metrics=["accuracy"]
        )
        history = model.fit(
            x_train,
            y_train,
            batch_size=128,
            epochs=arguments.epochs,
            validation_split=0.2,
            verbose=0,
        )
        model.evaluate(x_test, y_test, verbose=0)
        ends.append(time.time())
        values.append(max(history.history["val_accuracy"]))
        return values[-1]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=arguments.trials)
    print(json.dumps({"ends": ends, "values": values}))


if __name__ == "__main__":
    main()
