"""Small data sets as files, well made and broken."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.command.errors import UnavailableError
from pipeline.data import load
from pipeline.run.config import DataConfig

Arrays = dict[str, NDArray[Any]]

IDX = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def own(path: Path | None, scale: bool = True) -> DataConfig:
    return DataConfig(name="npz", path=str(path), scale=scale)


def mnist(path: Path | None = None) -> DataConfig:
    return DataConfig(name="mnist", path=None if path is None else str(path), scale=True)


def images(train: int = 6, test: int = 3, side: int = 2) -> Arrays:
    """A small data set of images with three classes."""
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(0, 256, (train, side, side), dtype=np.uint8),
        "y_train": np.arange(train, dtype=np.uint8) % 3,
        "x_test": generator.integers(0, 256, (test, side, side), dtype=np.uint8),
        "y_test": np.arange(test, dtype=np.uint8) % 3,
    }


def save(folder: Path, arrays: Arrays, **changes: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **{**arrays, **changes})
    return path


def idx_bytes(array: NDArray[Any]) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.tobytes()


def save_idx(folder: Path, arrays: Arrays, zipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, stem in IDX.items():
        content = idx_bytes(arrays[name])
        if zipped:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(content, compresslevel=1))
        else:
            (folder / stem).write_bytes(content)
    return folder


def rows(*columns: Any) -> Arrays:
    """Feature rows from columns of six numbers; the test rows are the first three."""
    table = np.stack([np.asarray(column) for column in columns], axis=1)
    labels = np.arange(6) % 2
    return {"x_train": table, "y_train": labels, "x_test": table[:3], "y_test": labels[:3]}


def refusal(config: DataConfig) -> str:
    with pytest.raises(UnavailableError) as raised:
        load(config)
    return str(raised.value)
