"""Arrays of trials on disk: the weights of the best ones, and states that others go on from."""

import os
from pathlib import Path

import numpy as np

from pipeline.errors import StorageError
from pipeline.result import State, Weights


class WeightStore:
    """A folder with the arrays of one study. Files appear whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save_state(self, number: int, state: State) -> None:
        """Keep where trial `number` ended, for another to go on from."""
        self._save(self._folder / f"{number}-state.npz", [np.array(state.epoch), *state.arrays])

    def state(self, number: int) -> State:
        """Where trial `number` ended. Raises StorageError where that was not kept."""
        epoch, *arrays = self._load(self._folder / f"{number}-state.npz")
        return State(int(epoch), arrays)

    def weights(self, number: int) -> Weights | None:
        """Trained weights of trial `number` at its best epoch; None where they were not kept."""
        file = self._folder / f"{number}.npz"
        return self._load(file) if file.exists() else None

    def _save(self, file: Path, arrays: Weights) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("wb") as opened:
            np.savez(opened, *arrays)
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)

    def _load(self, file: Path) -> Weights:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
        except (OSError, ValueError) as error:
            raise StorageError(f"{file}: the weights can't be read: {error}") from None
