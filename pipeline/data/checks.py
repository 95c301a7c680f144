"""Whether four arrays are a data set: by their shapes and dtypes, then by their values."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.command.errors import UnavailableError
from pipeline.data.files import shown

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_MOST_CLASSES = 1000
_LARGEST = np.finfo(np.float64).max / 4  # so that differences are finite


class Layout(Protocol):
    """An array, or what its header announces."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


def check_layout(arrays: Mapping[str, Layout], source: str) -> None:
    """Raise UnavailableError where shapes and dtypes are not those of examples with labels.

    Examples are N x features, or images: N x H x W, N x H x W x channels. Labels are N integers.
    """
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype.kind not in "uif":
            raise _broken(source, f"x_{part}", "numbers", f"dtype {x.dtype}")
        if y.dtype.kind not in "ui":
            raise _broken(source, f"y_{part}", "integer labels", f"dtype {y.dtype}")
        if x.dtype.itemsize > 8:
            raise _broken(source, f"x_{part}", "numbers of up to 64 bits", f"dtype {x.dtype}")
        if not 2 <= len(x.shape) <= 4:
            raise _broken(source, f"x_{part}", "rows of features or images", f"shape {x.shape}")
        if len(y.shape) != 1:
            raise _broken(source, f"y_{part}", "one label per row", f"shape {y.shape}")
        if 0 in x.shape:
            rule = "at least one row and one feature"
            raise _broken(source, f"x_{part}", rule, f"shape {x.shape}")
        if x.shape[0] != y.shape[0]:
            rule = f"{x.shape[0]} labels, one per row of x_{part}"
            raise _broken(source, f"y_{part}", rule, y.shape[0])
    shape = arrays["x_train"].shape[1:]
    if arrays["x_test"].shape[1:] != shape:
        raise _broken(source, "x_test", f"rows of shape {shape}", arrays["x_test"].shape[1:])


def check_values(arrays: Mapping[str, NDArray[Any]], source: str) -> None:
    """Raise UnavailableError where features are not finite, or labels no class numbers."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if y.min() < 0 or y.max() >= _MOST_CLASSES:
            rule = f"labels from 0 to {_MOST_CLASSES - 1}"
            raise _broken(source, f"y_{part}", rule, f"{y.min()} to {y.max()}")
        if x.dtype.kind == "f":
            if not np.isfinite(x).all():
                raise _broken(source, f"x_{part}", "finite numbers", "NaN or infinity")
            if x.dtype.itemsize == 8 and max(-x.min(), x.max()) > _LARGEST:
                rule = f"numbers up to {_LARGEST:.0e}"
                raise _broken(source, f"x_{part}", rule, f"{x.min():.0e} to {x.max():.0e}")
    if arrays["y_train"].max() == arrays["y_train"].min():
        raise _broken(source, "y_train", "two classes or more", "one")


def _broken(source: str, array: str, rule: str, found: object) -> UnavailableError:
    return UnavailableError(f"{source}: {array}: expected {rule}, got {shown(found)[:200]}")
