"""Compiled merge of two sorted runs of the key index; imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, UInt64Array

__all__ = ["merge"]

_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_OUT = types.Array(types.uint64, 1, "C")


@numba.njit(types.void(_WORDS, _WORDS, _WORDS, _WORDS, _OUT, _OUT), nogil=True, cache=True)
def merge(
    left: UInt64Array,
    left_rows: UInt64Array,
    right: UInt64Array,
    right_rows: UInt64Array,
    out: AnyArray,
    out_rows: UInt64Array,
) -> None:
    """Write both runs into `out` and `out_rows` in ascending order of their hashes."""
    i, j = 0, 0
    for k in range(out.size):
        if j == right.size or (i < left.size and left[i] <= right[j]):
            out[k], out_rows[k] = left[i], left_rows[i]
            i += 1
        else:
            out[k], out_rows[k] = right[j], right_rows[j]
            j += 1
