"""Compiled loop that tells the system what will be read; apart, because not every system has madvise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["advise_rows"]

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_madvise = types.ExternalFunction("madvise", types.int32(types.uint64, types.uint64, types.int32))


@numba.njit(types.void(_ROWS, _WORDS, types.int64, types.int64, types.int64, types.int32), nogil=True, cache=True)
def advise_rows(
    rows: Int64Array, bases: UInt64Array, rows_per_shard: int, row_bytes: int, page_bytes: int, advice: int
) -> None:
    """Tell the system which pages will be read; needs a system with madvise. Errors mean nothing here."""
    page = np.uint64(page_bytes)
    for i in range(rows.size):
        start = bases[rows[i] // rows_per_shard] + np.uint64((rows[i] % rows_per_shard) * row_bytes)
        first = start - start % page
        _madvise(first, start + np.uint64(row_bytes) - first, advice)
