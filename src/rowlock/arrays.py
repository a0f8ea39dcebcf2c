"""What arrays look like (`ArraySpec`) and where they live (`empty_aligned`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALIGNMENT", "AnyArray", "ArraySpec", "BoolArray", "Int64Array", "UInt64Array", "empty_aligned"]

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
