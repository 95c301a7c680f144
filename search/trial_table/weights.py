"""Arrays of trials on disk: the weights of the best ones, and states that others go on from."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from pipeline.command.errors import StorageError
from pipeline.data.files import told
from pipeline.run.result import State, Weights

_DAMAGED = (
    "these are no weights of a trial, or they are damaged (remove the file: it is trained again)"
)
_UID_DIGITS = 8  # of 32: enough to tell studies of one name apart, few enough to be read


class WeightStore:
    """A folder with the arrays of one study. Files appear whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, root: str, name: str, uid: str) -> "WeightStore":
        """That of a study below `root`: studies of one name in two databases have one each.

        `uid`: the study's, or that of a trial of it, which begins with the study's.
        """
        return cls(Path(root) / f"{name}-{uid[:_UID_DIGITS]}")

    @classmethod
    def before(cls, root: str, name: str) -> "WeightStore":
        """Where the version before kept the arrays of every study of this name: only to be read.

        Whose they are, only the numbers tell that they give.
        """
        return cls(Path(root) / name)

    def save_state(self, number: int, state: State) -> None:
        """Keep where trial `number` ended, for another to go on from."""
        lengths = np.array([state.epoch, len(state.arrays)])
        file = self._folder / f"{number}-state.npz"
        self._save(file, [lengths, *state.arrays, *(state.best or ())])

    def state(self, number: int) -> State | None:
        """Where trial `number` ended, or None where that was not kept."""
        file = self._folder / f"{number}-state.npz"
        if not file.exists():
            return None
        arrays = self._load(file)
        with told(str(file), _DAMAGED, StorageError):
            epoch, *count = map(int, np.atleast_1d(arrays[0]))
            # The version before told no number of arrays: there were no others.
            rest = 1 + (count[0] if count else len(arrays))
            return State(epoch, arrays[1:rest], arrays[rest:] or None)

    def save(self, number: int, weights: Weights) -> None:
        """Keep the weights that trial `number` ended with."""
        self._save(self._folder / f"{number}.npz", weights)

    def kept(self) -> set[int]:
        """The trials whose weights are here."""
        return {int(file.stem) for file in self._folder.glob("*.npz") if file.stem.isdecimal()}

    def keep_only(self, numbers: Collection[int]) -> None:
        """Delete the weights of all trials but `numbers`, and files that were never finished.

        States are left alone.
        """
        for number in self.kept().difference(numbers):
            (self._folder / f"{number}.npz").unlink(missing_ok=True)
        for half in self._folder.glob("*.partial"):  # its writer, the only one, was killed
            half.unlink(missing_ok=True)

    def move(self, name: str) -> bool:
        """Have the folder named after the study's new `name`; whether there was one, by either name."""
        _, dash, uid = self._folder.name.rpartition("-")
        there = self._folder.with_name(f"{name}{dash}{uid}")
        if self._folder.exists():
            self._folder.rename(there)
        return there.exists()

    def remove(self) -> bool:
        """Remove all of it; whether there was anything."""
        if not self._folder.exists():
            return False
        shutil.rmtree(self._folder)
        return True

    def remove_states(self) -> None:
        """Remove all states; a trial that goes on from another all the same trains longer."""
        for file in self._folder.glob("*-state.*"):
            file.unlink()

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
        with (
            told(str(file), _DAMAGED, StorageError),
            np.load(file, allow_pickle=False) as arrays,
        ):
            return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
