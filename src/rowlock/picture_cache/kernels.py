"""The check of records; imported on first use, because importing Numba takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.key_kernels import mix64
from rowlock.store.row_kernels import sum_row

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["check_records"]

_PIXELS = types.Array(types.uint8, 2, "C", readonly=True)
_PLACES = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_WORDS_OUT = types.Array(types.uint64, 1, "C")


@numba.njit(types.void(_PIXELS, _PLACES, _WORDS, types.uint64, _WORDS, _WORDS_OUT), nogil=True, cache=True)
def check_records(
    pixels: AnyArray,
    places: Int64Array,
    factors: UInt64Array,
    salt: np.uint64,
    names: UInt64Array,
    out: UInt64Array,
) -> None:
    """Write ``mix64(salt + sum(w[j] * a[j]) ^ name)`` for some rows: `rowlock.store.row_kernels` says what w, a are."""
    row_bytes = pixels.shape[1]
    first = np.uint64(pixels.ctypes.data)
    for i in range(places.size):
        total = sum_row(first + np.uint64(places[i] * row_bytes), row_bytes, factors, salt)
        out[i] = mix64(total ^ names[i])
