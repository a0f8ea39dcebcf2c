"""Compiled loop that tells the system what will be read; apart, because not every system has madvise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["advise_pieces"]

_SIZES = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_madvise = types.ExternalFunction("madvise", types.int32(types.uint64, types.uint64, types.int32))
_mincore = types.ExternalFunction("mincore", types.int32(types.uint64, types.uint64, types.uint64))


@numba.njit(
    types.boolean(_WORDS, _SIZES, types.int64, types.int32, types.int64),
    nogil=True,
    cache=True,
)
def advise_pieces(
    addresses: UInt64Array, num_bytes: Int64Array, page_bytes: int, advice: int, num_samples: int
) -> bool:
    """Tell the system which pages will be read, unless those of a few sampled pieces are all in memory.

    Telling costs as much as copying, which would be a waste once everything is cached. Returns whether it was
    told. What the calls answer beyond that means nothing here.
    """
    page = np.uint64(page_bytes)
    resident = np.zeros(1, np.uint8)
    told = num_samples == 0
    for sample in range(min(num_samples, addresses.size)):
        i = sample * addresses.size // min(num_samples, addresses.size)
        if num_bytes[i] > 0:
            failed = _mincore(addresses[i] - addresses[i] % page, page, np.uint64(resident.ctypes.data))
            told = told or failed != 0 or resident[0] & 1 == 0
    if told:
        for i in range(addresses.size):
            if num_bytes[i] > 0:
                first = addresses[i] - addresses[i] % page
                _madvise(first, addresses[i] + np.uint64(num_bytes[i]) - first, advice)
    return told
