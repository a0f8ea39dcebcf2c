"""What arrays look like (`ArraySpec`) and where they live (`empty_aligned`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALIGNMENT",
    "AnyArray",
    "ArraySpec",
    "BoolArray",
    "Int64Array",
    "UInt64Array",
    "empty_aligned",
    "one_arrow_array",
    "row_type",
]

AnyArray: TypeAlias = NDArray[Any]
BoolArray: TypeAlias = NDArray[np.bool_]
Int64Array: TypeAlias = NDArray[np.int64]
UInt64Array: TypeAlias = NDArray[np.uint64]

ALIGNMENT = 64
"""Bytes. JAX takes over a NumPy array without a copy only where its memory is aligned."""


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Return an uninitialised C-ordered array whose memory starts at a multiple of `ALIGNMENT` bytes.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype

    Returns
    -------
    array, shape `shape`
        The only reference to its memory.
    """
    num_bytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(num_bytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + num_bytes].view(dtype).reshape(shape)


def row_type(num_rows: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type for the numbers of many rows, -1 included: 4 bytes up to 2**31 of them."""
    return np.int32 if num_rows <= np.iinfo(np.int32).max else np.int64


def one_arrow_array(series: Any) -> Any:
    """Return a narwhals Series as one Arrow array; without a copy where it is one already, in memory or mapped."""
    native = series.to_native()
    if getattr(native, "num_chunks", None) == 1:
        return native.chunk(0)
    array = series.to_arrow()
    return array.combine_chunks() if hasattr(array, "combine_chunks") else array


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one row of an input, without the batch axis.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row; ``()`` for a number.
    dtype : numpy.dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def empty(self, num_rows: int) -> AnyArray:
        """Return an uninitialised aligned array of shape ``(num_rows, *shape)``."""
        return empty_aligned((num_rows, *self.shape), self.dtype)
