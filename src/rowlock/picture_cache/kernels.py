"""The check of a record; imported on first use, because importing Numba takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.key_kernels import mix64
from rowlock.store.row_kernels import sum_row

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, UInt64Array

__all__ = ["check_record"]

_PIXELS = types.Array(types.uint8, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)


@numba.njit(types.uint64(_PIXELS, _WORDS, types.uint64, types.uint64), nogil=True, cache=True)
def check_record(pixels: AnyArray, factors: UInt64Array, salt: np.uint64, name: np.uint64) -> np.uint64:
    """Return ``mix64(salt + sum(w[j] * a[j]) ^ name)``: `rowlock.store.row_kernels` says what w and a are."""
    check: np.uint64 = mix64(sum_row(np.uint64(pixels.ctypes.data), pixels.size, factors, salt) ^ name)
    return check
