"""The check of records; imported on first use, because importing Numba takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.key_kernels import mix64
from rowlock.store.commit.row_kernels import sum_row
from rowlock.store.disk.raw_memory import call_at_offset

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["check_record", "read_records"]

_PIXELS = types.Array(types.uint8, 2, "C")
_ROW = types.Array(types.uint8, 1, "C", readonly=True)
_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_FLAGS_OUT = types.Array(types.boolean, 1, "C")

_NUM_BUFFERS = 2
_CHECK_BYTES = 8


@numba.njit(types.uint64(_ROW, _WORDS, types.uint64, types.uint64), nogil=True, cache=True)
def check_record(pixels: AnyArray, factors: UInt64Array, salt: np.uint64, name: np.uint64) -> np.uint64:
    """Return ``mix64(salt + sum(w[j] * a[j]) ^ name)``: `rowlock.store.commit.row_kernels` says what w and a are."""
    check: np.uint64 = mix64(sum_row(np.uint64(pixels.ctypes.data), pixels.size, factors, salt) ^ name)
    return check


@numba.njit(
    types.void(
        types.uint64, _NUMBERS, _NUMBERS, _PIXELS, _NUMBERS, _WORDS, types.uint64, _WORDS, _FLAGS_OUT
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def read_records(
    preadv: np.uint64,
    descriptors: Int64Array,
    offsets: Int64Array,
    pixels: AnyArray,
    places: Int64Array,
    factors: UInt64Array,
    salt: np.uint64,
    names: UInt64Array,
    are_right: AnyArray,
) -> None:
    """Read records into rows of `pixels`, and write for each whether it is whole and proved.

    Without the interpreter's lock, so that threads do not hand it over for each record; a row is proved while it is
    in the processor's cache. `preadv` is the address of the C library's function; where a descriptor is negative,
    there is nothing to read.
    """
    row_bytes = pixels.shape[1]
    first = pixels.ctypes.data
    check = np.zeros(1, np.uint64)
    buffers = np.empty(2 * _NUM_BUFFERS, np.int64)  # struct iovec: where, how many bytes
    buffers[1], buffers[2], buffers[3] = row_bytes, check.ctypes.data, _CHECK_BYTES
    for i in range(places.size):
        are_right[i] = False
        if descriptors[i] < 0:
            continue
        buffers[0] = first + places[i] * row_bytes
        num_bytes = call_at_offset(preadv, descriptors[i], np.int64(buffers.ctypes.data), _NUM_BUFFERS, offsets[i])
        if num_bytes == row_bytes + _CHECK_BYTES:
            total = sum_row(np.uint64(buffers[0]), row_bytes, factors, salt)
            are_right[i] = mix64(total ^ names[i]) == check[0]
