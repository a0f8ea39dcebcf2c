"""The compiled loops of the orders; imported on first use, since it loads numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.orders.weighted import HINT_UNITS
from rowlock.permutation import NUM_ROUNDS
from rowlock.permutation_kernel import mix, walk

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["balanced", "weighted"]

_GOLD = np.uint64(0x9E3779B97F4A7C15)
_ZERO, _ONE = np.uint64(0), np.uint64(1)  # a plain 1 beside an unsigned word would make it a float
_FEW = np.uint64(64)

_NUMBERS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_FLOATS = types.Array(types.float64, 1, "C", readonly=True)


@numba.njit(types.uint64(types.uint64, types.uint64, types.uint64, types.uint64[::1]), nogil=True, cache=True)
def _shuffled(place: np.uint64, size: np.uint64, state: np.uint64, keys: UInt64Array) -> np.uint64:
    """Return what stands at `place` of 0 .. size-1, shuffled by `state`; `keys` is scratch memory."""
    if size <= _FEW:  # the network would walk long here, and hashes are cheap to rank
        own = mix(state + _GOLD * place)
        rank = _ZERO
        other = state
        for _ in range(size):
            if mix(other) < own:
                rank += _ONE
            other += _GOLD
        return rank
    for i in range(keys.size):
        keys[i] = mix(state + _GOLD * np.uint64(i + 1))
    bits = np.uint64(8)
    while (size - _ONE) >> bits:
        bits += _ONE
    value: np.uint64 = walk(place, size, bits >> _ONE, bits, keys)
    return value


@numba.njit(
    types.void(_NUMBERS, types.uint64, types.uint64, _NUMBERS, _WORDS, types.int64[::1]), nogil=True, cache=True
)
def balanced(
    positions: Int64Array,
    epoch: np.uint64,
    num_rows: np.uint64,
    firsts: Int64Array,
    keys: UInt64Array,
    out: Int64Array,
) -> None:
    """Write into ``out[i]`` which member ``positions[i]`` draws, members numbered class after class."""
    scratch = np.empty(NUM_ROUNDS, np.uint64)
    num_classes = np.uint64(firsts.size - 1)
    num_blocks = num_rows // num_classes
    rest = num_rows % num_classes
    extra = epoch * rest  # draws before this epoch that were not of whole blocks
    for i in range(positions.size):
        block = np.uint64(positions[i]) // num_classes
        place = np.uint64(positions[i]) % num_classes
        number = epoch * num_blocks + block
        if block < num_blocks:
            chosen = _shuffled(place, num_classes, mix(keys[0] + _GOLD * number), scratch)
        else:
            chosen = (extra + _shuffled(place, rest, mix(keys[1] + _GOLD * epoch), scratch)) % num_classes
        draw = number + (extra + num_classes - _ONE - chosen) // num_classes
        first = np.uint64(firsts[chosen])
        size = np.uint64(firsts[chosen + _ONE]) - first
        state = mix(mix(keys[2] + _GOLD * chosen) + _GOLD * (draw // size))
        out[i] = np.int64(first + _shuffled(draw % size, size, state, scratch))


@numba.njit(types.void(_NUMBERS, types.float64, _FLOATS, _NUMBERS, _WORDS, types.int64[::1]), nogil=True, cache=True)
def weighted(
    units: Int64Array,
    turn: float,
    ends: AnyArray,
    hints: Int64Array,
    keys: UInt64Array,
    out: Int64Array,
) -> None:
    """Write into ``out[i]`` the row that the point of ``units[i]`` hits."""
    for i in range(units.size):
        word = mix(mix(keys[0] + _GOLD * np.uint64(units[i])) + keys[1])
        within = (word >> np.uint64(11)) * 2.0**-53 + turn
        if within >= 1.0:
            within -= 1.0
        point = units[i] + within
        first, last = hints[units[i] // HINT_UNITS], hints[units[i] // HINT_UNITS + 1]
        while first < last:  # to the first end beyond the point
            middle = (first + last) // 2
            if ends[middle] > point:
                last = middle
            else:
                first = middle + 1
        out[i] = first
