"""Data sets as arrays: found, read, checked and digested without importing Keras.

`python -m pipeline.data` prints the data set that can be had here, `mnist` or else `digits`.
"""

import gzip
import hashlib
import math
import os
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.config import DataConfig
from pipeline.errors import ConfigError, UnavailableError

MNIST_DIGEST = "52cd6c10ae77107af32269dd9d10ca19c1b749e83235a0c75e2f0729ebeaf141"
"""SHA-256 over dtype, shape and bytes of the four MNIST arrays, whatever file held them."""

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")

_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class Split:
    """N examples: `features` is N x shape as it was read, `labels` is N integers from 0."""

    features: NDArray[np.generic]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Training rows, and a test set that only `pipeline.evaluate` scores.

    `low`, `high`: what scaling brings to 0 and 1, scalars for images, one number per column for
    feature rows; 0 and 1 when scaling is off.
    """

    name: str
    source: str
    train: Split
    test: Split
    classes: int
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example's features."""
        return self.train.features.shape[1:]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the four arrays, in hexadecimal."""
        return _digest(
            [self.train.features, self.train.labels, self.test.features, self.test.labels]
        )

    @cached_property
    def train_arrays(self) -> "Arrays":
        """All training rows as the network sees them, computed once."""
        return self._arrays(self.train)

    @cached_property
    def test_arrays(self) -> "Arrays":
        """The test set as the network sees it, computed once."""
        return self._arrays(self.test)

    def _arrays(self, split: Split) -> "Arrays":
        # Scaled before it is rounded to 32 bits: a column of times or ids differs only in its last digits.
        features = split.features.astype(np.result_type(split.features.dtype, np.float32))
        if np.any(self.low != 0) or np.any(self.high != 1):
            features -= self.low
            features /= self.high - self.low
        return Arrays(
            features.astype(np.float32, copy=False),
            np.eye(self.classes, dtype=np.float32)[split.labels],
        )


class Arrays(NamedTuple):
    """N examples as the network sees them: N x shape float32 and N x classes one-hot float32."""

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]

    def part(self, start: int, stop: int) -> "Arrays":
        """Rows `start` to `stop`, as views."""
        return Arrays(self.inputs[start:stop], self.targets[start:stop])


def validation_start(rows: int, validation_split: float) -> int:
    """Index of the first validation row: the last fraction is held out, counted as Keras counts it."""
    return math.floor(rows * (1.0 - validation_split))


def check_rows(dataset: Dataset, validation_split: float) -> None:
    """Raise ConfigError where the split leaves no row to train on, or none to validate on."""
    rows = len(dataset.train)
    training = validation_start(rows, validation_split)
    if training == 0 or (validation_split > 0 and training == rows):
        raise ConfigError(
            f"train.validation_split: {validation_split} of {rows} rows leaves {training} to train on "
            f"and {rows - training} to validate on"
        )


def locate(config: DataConfig) -> DataConfig:
    """`config` with the path that the data will be read from; MNIST is downloaded if it must be.

    Workers are given this path, so that all of them read the same file.
    Raises UnavailableError, naming the ways out, where MNIST is nowhere to be had.
    """
    if config.name == "digits":
        return config
    if config.path is not None:
        path = _absolute(config.path)
        if not path.exists():
            raise UnavailableError(f"data.path: there is no file or folder {path}")
    elif os.environ.get("MNIST_PATH"):
        path = _absolute(os.environ["MNIST_PATH"])
        if not path.exists():
            raise UnavailableError(
                f"MNIST_PATH: there is no file or folder {path} (correct it, or unset it)"
            )
    else:
        path = _keras_cache()
        if not path.exists():
            _download_with_keras(path)
    return config.model_copy(update={"path": str(path)})


def load(config: DataConfig) -> Dataset:
    """The data set that `config` names, read and checked.

    Raises UnavailableError where it can't be had or is not what it should be.
    """
    config = locate(config)
    if config.name == "digits":
        arrays, source = _digits(), "scikit-learn: load_digits"
    else:
        path = Path(config.path or "")
        arrays, source = (_read_idx(path) if path.is_dir() else _read_npz(path)), str(path)
    _check(arrays, source)
    if config.name == "mnist" and (found := _digest(list(arrays.values()))) != MNIST_DIGEST:
        raise UnavailableError(
            f"{source}: this is not MNIST (SHA-256 of its arrays is {found[:12]}..., "
            f"MNIST's is {MNIST_DIGEST[:12]}...); for your own data use data=npz"
        )
    train = Split(arrays["x_train"], arrays["y_train"].astype(np.int64))
    test = Split(arrays["x_test"], arrays["y_test"].astype(np.int64))
    if config.test_split is not None:
        train, test = _split_at_random(train, config.test_split)
    low, high = _range(config, train.features)
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    return Dataset(config.name, source, train, test, classes, low, high)


def _split_at_random(rows: Split, test_split: float) -> tuple[Split, Split]:
    """`rows` in two, always the same two: the last `test_split` of one shuffle."""
    order = np.random.default_rng(0).permutation(len(rows))
    split_at = validation_start(len(rows), test_split)
    train, test = order[:split_at], order[split_at:]
    return (
        Split(rows.features[train], rows.labels[train]),
        Split(rows.features[test], rows.labels[test]),
    )


def _range(
    config: DataConfig, features: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not config.scale:
        low, high = np.zeros(()), np.ones(())
    else:
        axis = 0 if features.ndim == 2 else None
        low, high = np.asarray(features.min(axis)), np.asarray(features.max(axis))
        low, high = low.astype(np.float64), high.astype(np.float64)
        high = np.where(
            high > low, high, low + np.maximum(1, abs(low))
        )  # a constant column becomes 0
    return low.astype(np.float64), high.astype(np.float64)


def _check(arrays: dict[str, NDArray[np.generic]], source: str) -> None:
    def broken(array: str, rule: str, found: object) -> UnavailableError:
        return UnavailableError(f"{source}: {array}: expected {rule}, got {found}")

    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype.kind not in "uif":
            raise broken(f"x_{part}", "numbers", f"dtype {x.dtype}")
        if y.dtype.kind not in "ui":
            raise broken(f"y_{part}", "integer labels", f"dtype {y.dtype}")
        if x.ndim < 2:
            raise broken(f"x_{part}", "rows of features or images", f"shape {x.shape}")
        if y.ndim != 1:
            raise broken(f"y_{part}", "one label per row", f"shape {y.shape}")
        if len(x) == 0 or x[0].size == 0:
            raise broken(f"x_{part}", "at least one row and one feature", f"shape {x.shape}")
        if len(x) != len(y):
            raise broken(f"y_{part}", f"{len(x)} labels, one per row of x_{part}", len(y))
        if y.min() < 0 or y.max() >= 1000:
            raise broken(f"y_{part}", "labels from 0 to 999", f"{y.min()} to {y.max()}")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise broken(f"x_{part}", "finite numbers", "NaN or infinity")
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise broken(
            "x_test", f"rows of shape {arrays['x_train'].shape[1:]}", arrays["x_test"].shape[1:]
        )
    if arrays["y_train"].max() == arrays["y_train"].min():
        raise broken("y_train", "two classes or more", "one")


def _digest(arrays: list[NDArray[np.generic]]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        # Labels and integer pixels are widened or not by what held them; their values are the data.
        narrow = array.astype(np.uint8) if _fits_a_byte(array) else array
        sha.update(f"{narrow.dtype.str}{narrow.shape}".encode())
        sha.update(np.ascontiguousarray(narrow).data)
    return sha.hexdigest()


def _fits_a_byte(array: NDArray[np.generic]) -> bool:
    return array.dtype.kind in "ui" and array.min() >= 0 and array.max() <= 255


def _digits() -> dict[str, NDArray[np.generic]]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8).astype(np.uint8)
    x_train, x_test, y_train, y_test = train_test_split(
        images, y, test_size=360, random_state=0, stratify=y
    )
    return dict(zip(_ARRAYS, (x_train, y_train, x_test, y_test), strict=True))


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UnavailableError(f"{path}: expected an .npz of four arrays, got one .npy array")
        with loaded as file:
            if missing := [name for name in _ARRAYS if name not in file]:
                raise UnavailableError(
                    f"{path}: expected the arrays {', '.join(_ARRAYS)}, "
                    f"got {', '.join(file.files)} ({', '.join(missing)} missing)"
                )
            return {name: file[name] for name in _ARRAYS}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UnavailableError(f"{path}: the file is damaged or cut short: {error}") from None
    except ValueError as error:
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            raise UnavailableError(
                f"{path}: holds object arrays, which are pickles and could run code: not loaded "
                "(save the arrays with a numeric dtype)"
            ) from None
        head = path.read_bytes()[:16]
        raise UnavailableError(
            f"{path}: this is not an .npz file, it starts with {head!r}"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path}: can't be read: {error.strerror or error}") from None


def _read_idx(folder: Path) -> dict[str, NDArray[np.generic]]:
    return {name: read_idx(_idx_file(folder, stem)) for name, stem in _IDX_FILES.items()}


def _idx_file(folder: Path, stem: str) -> Path:
    for name in (
        stem,
        f"{stem}.gz",
        stem.replace("-idx", ".idx"),
        f"{stem.replace('-idx', '.idx')}.gz",
    ):
        if (folder / name).is_file():
            return folder / name
    raise UnavailableError(
        f"{folder}: expected the four IDX files of MNIST, there is no {stem}[.gz]"
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, gzipped or not.

    The format: two zero bytes, a type byte (8: unsigned byte), the number of dimensions, then each
    dimension as a big-endian 32-bit integer, then the data (http://yann.lecun.com/exdb/mnist).
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UnavailableError(f"{path}: the file is damaged or cut short: {error}") from None
    dimensions = 1 if "idx1" in path.name else 3
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise UnavailableError(
            f"{path}: expected IDX magic {magic.hex()}, got {content[:4].hex()!r}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UnavailableError(f"{path}: the file is cut short: {len(content)} bytes")
    shape = tuple(np.frombuffer(content[4:header], dtype=">u4").astype(int).tolist())
    if len(content) - header != math.prod(shape):
        raise UnavailableError(
            f"{path}: the header announces {' x '.join(map(str, shape))} bytes, "
            f"the file holds {len(content) - header}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _absolute(path: str) -> Path:
    return Path(path).expanduser().resolve()


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


def _main() -> int:
    mnist = DataConfig(name="mnist", path=None, scale=True)
    try:
        found = load(mnist)
    except UnavailableError as error:
        print(f"{error}\nUsing the bundled digits instead.", file=sys.stderr)
        print("digits")
    else:
        print(f"Using MNIST, found at {found.source}.", file=sys.stderr)
        print("mnist")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
