"""On which rows a network is right, a bit for each: what two networks on the same rows are compared by."""

import base64
import binascii
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 100_000
"""Of more rows none are kept: every trial would carry them, and so many tell any two networks apart."""


@dataclass(frozen=True)
class Hits:
    """Which of so many `rows` are right: `bits`, eight rows a byte, the first one highest, as base64.

    Raises ValueError where the two don't fit.
    """

    rows: int
    bits: str

    def __post_init__(self) -> None:
        """Refuse what can't be read."""
        if len(self._bytes) != -(-self.rows // 8):
            raise ValueError(
                f"hits: expected a bit for each of {self.rows} rows, got {len(self._bytes)} bytes"
            )

    @classmethod
    def of(cls, right: NDArray[np.bool_]) -> "Hits":
        """Those of N rows, in their order."""
        return cls(len(right), base64.b64encode(np.packbits(right).tobytes()).decode())

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each of the rows is right."""
        packed = np.frombuffer(self._bytes, np.uint8)
        return np.unpackbits(packed, count=self.rows).astype(np.bool_)

    @property
    def _bytes(self) -> bytes:
        try:
            return base64.b64decode(self.bits, validate=True)
        except binascii.Error as error:
            raise ValueError(f"hits: expected base64: {error}") from None
