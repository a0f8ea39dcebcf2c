"""The compiled half of `rowlock.permutation`; imported on first use, since it loads numba.

Other orders build on `mix` and `walk`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["mix", "permute", "walk"]

_WORDS = numba.types.Array(numba.uint64, 1, "C", readonly=True)


@numba.njit("uint64(uint64)", nogil=True, cache=True, inline="always")
def mix(value: np.uint64) -> np.uint64:
    """Return the finaliser of splitmix64: a bijection of 64-bit words."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(numba.uint64(numba.uint64, numba.uint64, numba.uint64, numba.uint64, _WORDS), nogil=True, cache=True)
def walk(value: np.uint64, size: np.uint64, low_bits: np.uint64, bits: np.uint64, keys: UInt64Array) -> np.uint64:
    """Send a value below `size` through the network that `keys` fix, again and again until it is below `size`."""
    one = np.uint64(1)
    low_mask = (one << low_bits) - one
    high_mask = (one << (bits - low_bits)) - one
    inside = False
    while not inside:
        low = value & low_mask
        high = value >> low_bits
        for pair in range(0, keys.size, 2):
            low ^= mix(high + keys[pair]) & low_mask
            high ^= mix(low + keys[pair + 1]) & high_mask
        value = (high << low_bits) | low
        inside = bool(value < size)
    return value


@numba.njit(
    numba.void(
        numba.types.Array(numba.int64, 1, "C", readonly=True),
        numba.uint64,
        numba.uint64,
        numba.uint64,
        _WORDS,
        numba.int64[::1],
    ),
    nogil=True,
    cache=True,
)
def permute(
    positions: Int64Array,
    num_rows: np.uint64,
    low_bits: np.uint64,
    bits: np.uint64,
    keys: UInt64Array,
    out: Int64Array,
) -> None:
    """Write the row at ``positions[i]`` of the order that `keys` fix into ``out[i]``."""
    for i in range(positions.size):
        out[i] = np.int64(walk(np.uint64(positions[i]), num_rows, low_bits, bits, keys))
