"""Where a data set is looked for, and what is made of it: read, checked, split."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import ConfigError, UnavailableError
from pipeline.data.checks import ARRAYS, check_layout, check_values
from pipeline.data.dataset import Dataset, Split, bounds, digest, spread_evenly, validation_start
from pipeline.data.files import shown, told
from pipeline.data.idx import read_idx_folder
from pipeline.data.npz import read_npz
from pipeline.run.config import DataConfig

MNIST_DIGEST = "52cd6c10ae77107af32269dd9d10ca19c1b749e83235a0c75e2f0729ebeaf141"
"""SHA-256 over dtype, shape and bytes of the four MNIST arrays, whatever file held them."""


def locate(config: DataConfig, download: bool = True) -> DataConfig:
    """`config` with the path that the data will be read from; MNIST is downloaded if it must be, and may be.

    Workers are given this path, so that all of them read the same file.
    Raises UnavailableError, naming the ways out, where MNIST is nowhere to be had.
    """
    if config.name == "digits":
        return config
    if config.path is not None:
        path = _existing(config.path, "data.path", "")
    elif variable := os.environ.get("MNIST_PATH"):
        path = _existing(variable, "MNIST_PATH", " (correct it, or unset it)")
    else:
        with told("data: Keras's cache", "there can be none"):
            path = _keras_cache()
            there = path.exists()
        if not there and not download:
            raise UnavailableError(f"data: MNIST is not in Keras's cache ({shown(path)})")
        if not there:
            _download_with_keras(path)
    return config.model_copy(update={"path": str(path)})


def load(config: DataConfig, download: bool = True) -> Dataset:
    """The data set that `config` names, read and checked, scaled by its training rows.

    `download`: whether MNIST is downloaded where it is not here.
    Raises UnavailableError where it can't be had or is not what it should be, ConfigError where
    `test_split` leaves no rows on one side.
    """
    config = locate(config, download)
    if config.name == "digits":
        arrays, source = _digits(), "scikit-learn: load_digits"
        check_layout(arrays, source)
    else:
        path = Path(config.path or "")
        if path.is_dir():
            prefer = "MNIST" if config.name == "mnist" else None
            arrays, path = read_idx_folder(path, prefer)
        else:
            arrays = read_npz(path)
        source = shown(path)
    check_values(arrays, source)
    if config.name == "mnist" and (found := digest(list(arrays.values()))) != MNIST_DIGEST:
        raise UnavailableError(
            f"{source}: this is not MNIST (SHA-256 of its arrays is {found[:12]}..., "
            f"MNIST's is {MNIST_DIGEST[:12]}...); for your own data use data=npz"
        )
    train = Split(arrays["x_train"], arrays["y_train"].astype(np.int64))
    test = Split(arrays["x_test"], arrays["y_test"].astype(np.int64))
    if config.shuffle:
        train = train.take(spread_evenly(train.labels))
    if config.test_split is not None:
        train, test = _split(train, config.test_split, config.shuffle)
    low, high = bounds(train.features) if config.scale else (np.zeros(()), np.ones(()))
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    dataset = Dataset(config.name, source, train, test, classes, low, high, config.scale)
    return dataset if config.split_seed is None else dataset.resplit(config.split_seed)


def _split(rows: Split, test_split: float, shuffled: bool) -> tuple[Split, Split]:
    """`rows` in two, always the same two: the last `test_split` of one shuffle."""
    order = np.arange(len(rows)) if shuffled else np.random.default_rng(0).permutation(len(rows))
    split_at = validation_start(len(rows), test_split)
    if split_at in (0, len(rows)):
        raise ConfigError(
            f"data.test_split: {test_split} of {len(rows)} rows leaves {split_at} to train on and "
            f"{len(rows) - split_at} to test with"
        )
    return rows.take(order[:split_at]), rows.take(order[split_at:])


def _digits() -> dict[str, NDArray[Any]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8).astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(
        images, y, test_size=360, random_state=0, stratify=y
    )
    return dict(zip(ARRAYS, (x_train, y_train, x_test, y_test), strict=True))


def _existing(path: str, place: str, remedy: str) -> Path:
    with told(f"{place}: {shown(path)}", "there can be no such file"):
        found = Path(path).expanduser().resolve()
        if not found.exists():
            raise UnavailableError(f"{place}: there is no file or folder {shown(found)}{remedy}")
        return found


def _keras_cache() -> Path:
    base = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # noqa: S108  # as Keras
    home = Path(os.environ.get("KERAS_HOME", base / ".keras"))
    return home / "datasets" / "mnist.npz"


def _download_with_keras(path: Path) -> None:
    """Keras's own download, in a process of its own, without TensorFlow in either."""
    command = [sys.executable, "-c", "import keras; keras.datasets.mnist.load_data()"]
    print("MNIST is not here yet: downloading it with Keras ...", file=sys.stderr)
    try:
        light = {**os.environ, "KERAS_BACKEND": "numpy"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=light)
        reason = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        reason = "no end after 600 s"
    if not path.exists():
        raise UnavailableError(
            f"MNIST can't be had here: it is not at {path}, and its download failed ({reason}).\n"
            "Ways out: data.path=FILE.npz or data.path=FOLDER of IDX files; MNIST_PATH=... in the "
            "environment;\nor data=digits, bundled and smaller"
        )
