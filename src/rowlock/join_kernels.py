"""Compiled loops that join many keys to a sorted index; imported on first use, because importing Numba takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["locate", "match_numbers", "sort_words"]

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_ROWS_OUT = types.Array(types.int64, 1, "C")
_WORDS_OUT = types.Array(types.uint64, 1, "C")

_DIGIT = np.uint64(11)
_MASK = np.uint64(2047)
_UPPER = np.uint64(42)
_FEW = 64  # a pass over 11 bits looks at 2048 counts, however few words there are


@numba.njit(types.void(_WORDS, _ROWS, types.uint64, _WORDS_OUT, _ROWS_OUT), nogil=True, cache=True)
def _by_digit(words: UInt64Array, order: Int64Array, shift: np.uint64, out: UInt64Array, out_order: Int64Array) -> None:
    """Write words and their places in the order of 11 bits, equal ones as they came."""
    starts = np.zeros(2049, np.int64)
    for i in range(words.size):
        starts[np.int64((words[i] >> shift) & _MASK) + 1] += 1
    for digit in range(2048):
        starts[digit + 1] += starts[digit]
    for i in range(words.size):
        own = np.int64((words[i] >> shift) & _MASK)
        place = starts[own]
        starts[own] = place + 1
        out[place] = words[i]
        out_order[place] = order[i]


@numba.njit(types.void(_WORDS_OUT, _ROWS_OUT), nogil=True, cache=True)
def _by_insertion(words: UInt64Array, order: Int64Array) -> None:
    for i in range(1, words.size):
        word, place = words[i], order[i]
        j = i - 1
        while j >= 0 and words[j] > word:
            words[j + 1], order[j + 1] = words[j], order[j]
            j -= 1
        words[j + 1], order[j + 1] = word, place


@numba.njit(types.void(_WORDS, _WORDS_OUT, _ROWS_OUT), nogil=True, cache=True)
def sort_words(words: UInt64Array, out: UInt64Array, order: Int64Array) -> None:
    """Write hashes in ascending order, equal ones as they came, and where each stood; in time linear in their number.

    Two passes of a radix sort over the upper 22 bits. Hashes are uniform, so that hardly any agree in these, and an
    insertion sort has few steps to do. Keys may be chosen so that many agree: these take the passes over the lower
    bits as well.
    """
    places = np.arange(words.size)
    half, half_order = np.empty_like(words), np.empty_like(places)
    _by_digit(words, places, _UPPER, half, half_order)
    _by_digit(half, half_order, _UPPER + _DIGIT, out, order)
    start = 0
    while start < words.size:
        stop = start + 1
        while stop < words.size and out[stop] >> _UPPER == out[start] >> _UPPER:
            stop += 1
        if stop - start <= _FEW:
            _by_insertion(out[start:stop], order[start:stop])
        else:
            for lower in range(0, 4, 2):
                shift = np.uint64(lower) * _DIGIT
                _by_digit(out[start:stop], order[start:stop], shift, half[start:stop], half_order[start:stop])
                shift += _DIGIT
                _by_digit(half[start:stop], half_order[start:stop], shift, out[start:stop], order[start:stop])
        start = stop


@numba.njit(types.void(_WORDS, _WORDS, _ROWS_OUT), nogil=True, cache=True)
def locate(words: UInt64Array, wanted: UInt64Array, out: Int64Array) -> None:
    """Write the first place of `words` that is not below each of `wanted`; both ascend.

    Each search gallops on from where the last one ended, in steps that double (Bentley and Yao, 1976): for many
    wanted words that is a walk through memory, and not a search from the root for each.
    """
    low = 0
    for i in range(wanted.size):
        word = wanted[i]
        step = 1
        high = low
        while high < words.size and words[high] < word:
            low = high + 1
            high += step
            step *= 2
        high = min(high, words.size)
        while low < high:
            middle = (low + high) // 2
            if words[middle] < word:
                low = middle + 1
            else:
                high = middle
        out[i] = low


@numba.njit(types.int64(_WORDS, _WORDS, _ROWS, _ROWS, _WORDS, _ROWS, _ROWS, _ROWS_OUT), nogil=True, cache=True)
def match_numbers(
    hashes: UInt64Array,
    rows: UInt64Array,
    stored: Int64Array,
    places: Int64Array,
    wanted: UInt64Array,
    order: Int64Array,
    numbers: Int64Array,
    found: Int64Array,
) -> int:
    """Write the row of every number that an index has, and return how many have its hash and are not it.

    Parameters
    ----------
    hashes, rows : uint64
        The sorted index.
    stored : int64
        The numbers of all rows.
    places : int64
        What `locate` found for each of `wanted`.
    wanted, order : uint64, int64
        Hashes of `numbers` in ascending order, and where each number stands.
    numbers : int64
    found : int64
        Written where there is a row.
    """
    bad = 0
    for i in range(wanted.size):
        place = places[i]
        if place < hashes.size and hashes[place] == wanted[i]:
            row = np.int64(rows[place])
            if 0 <= row < stored.size and stored[row] == numbers[order[i]]:
                found[order[i]] = row
            else:
                bad += 1
    return bad
