"""Compiled loops over keys; imported on first use, because importing Numba takes time.

Text is UTF-8: key i is ``data[offsets[i]:offsets[i + 1]]``. Offsets and row numbers may come from a damaged file, so
every loop checks them, and counts what it cannot read: whatever they are, nothing is read or written outside of the
arrays. Spans are compared before they are subtracted, because a difference of damaged numbers may wrap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["copy_text", "digest_words", "equal_text", "hash_all_text", "hash_numbers", "hash_text", "mix64"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1 = np.uint64(0xBF58476D1CE4E5B9)
_FACTOR_2 = np.uint64(0x94D049BB133111EB)
_TEXT_SEED = np.uint64(0x8A5CD789635D2DFF)

# Signatures are explicit, so that one machine compiles each loop once. Read-only types take every array.
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_BYTES_OUT = types.Array(types.uint8, 1, "C")
_WORDS_OUT = types.Array(types.uint64, 1, "C")
_FLAGS_OUT = types.Array(types.boolean, 1, "C")


@numba.njit(types.uint64(types.uint64), inline="always", cache=True)
def mix64(word: np.uint64) -> np.uint64:
    """Return the finaliser of splitmix64 (Steele, Lea and Flood, 2014): a bijection of 64-bit words."""
    word = (word ^ (word >> np.uint64(30))) * _FACTOR_1
    word = (word ^ (word >> np.uint64(27))) * _FACTOR_2
    return word ^ (word >> np.uint64(31))


@numba.njit(types.void(_ROWS, _WORDS_OUT), nogil=True, cache=True)
def hash_numbers(numbers: Int64Array, out: AnyArray) -> None:
    """Write ``mix64(number + golden ratio)`` of every number: distinct numbers have distinct hashes."""
    for i in range(numbers.size):
        out[i] = mix64(np.uint64(numbers[i]) + _GOLDEN)


@numba.njit(types.uint64(_BYTES, types.int64, types.int64), inline="always", cache=True)
def _hash_one(data: AnyArray, start: int, stop: int) -> np.uint64:
    """Return the hash of ``data[start:stop]``: its length, then little-endian words of 8 bytes, zero padded."""
    total: np.uint64 = mix64(np.uint64(stop - start) + _TEXT_SEED)
    position = start
    while position + 8 <= stop:
        word = np.uint64(0)
        for byte in range(8):
            word |= np.uint64(data[position + byte]) << np.uint64(8 * byte)
        total = mix64((total ^ word) + _GOLDEN)
        position += 8
    if position < stop:
        word = np.uint64(0)
        for byte in range(stop - position):
            word |= np.uint64(data[position + byte]) << np.uint64(8 * byte)
        total = mix64((total ^ word) + _GOLDEN)
    return total


@numba.njit(types.UniTuple(types.int64, 2)(types.int64, _ROWS, types.int64), inline="always", cache=True)
def _span(row: int, offsets: Int64Array, num_bytes: int) -> tuple[int, int]:
    """Return where the text of a row begins and ends; -1 and -1 if that is not inside of `num_bytes`."""
    if row < 0 or row >= offsets.size - 1:
        return -1, -1
    start, stop = offsets[row], offsets[row + 1]
    if start < 0 or stop < start or stop > num_bytes:
        return -1, -1
    return start, stop


@numba.njit(types.int64(_BYTES, _ROWS, _WORDS_OUT), nogil=True, cache=True)
def hash_all_text(data: AnyArray, offsets: Int64Array, out: AnyArray) -> int:
    """Write the hash of every key; return how many keys have offsets outside of `data`."""
    bad = 0
    for i in range(out.size):
        start, stop = _span(i, offsets, data.size)
        if start >= 0:
            out[i] = _hash_one(data, start, stop)
        else:
            out[i] = 0
            bad += 1
    return bad


@numba.njit(types.int64(_BYTES, _ROWS, _ROWS, _WORDS_OUT), nogil=True, cache=True)
def hash_text(data: AnyArray, offsets: Int64Array, rows: Int64Array, out: AnyArray) -> int:
    """Write the hash of the keys of `rows`; return how many have offsets outside of `data`."""
    bad = 0
    for i in range(rows.size):
        start, stop = _span(rows[i], offsets, data.size)
        if start >= 0:
            out[i] = _hash_one(data, start, stop)
        else:
            out[i] = 0
            bad += 1
    return bad


@numba.njit(types.int64(_BYTES, _ROWS, _ROWS, _BYTES_OUT, _ROWS), nogil=True, cache=True)
def copy_text(data: AnyArray, offsets: Int64Array, rows: Int64Array, out: AnyArray, out_offsets: Int64Array) -> int:
    """Copy the keys of `rows` to `out`, where ``out_offsets`` says; return how many could not be read."""
    bad = 0
    for i in range(rows.size):
        start, stop = _span(rows[i], offsets, data.size)
        target, target_stop = _span(i, out_offsets, out.size)
        if start >= 0 and target >= 0 and target_stop - target == stop - start:
            for byte in range(stop - start):
                out[target + byte] = data[start + byte]
        else:
            bad += 1
    return bad


@numba.njit(types.void(_BYTES, _ROWS, _ROWS, _BYTES, _ROWS, _ROWS, _FLAGS_OUT), nogil=True, cache=True)
def equal_text(
    data: AnyArray,
    offsets: Int64Array,
    rows: Int64Array,
    other_data: AnyArray,
    other_offsets: Int64Array,
    other_rows: Int64Array,
    out: AnyArray,
) -> None:
    """Write whether key ``rows[i]`` of one side is key ``other_rows[i]`` of the other, byte for byte."""
    for i in range(rows.size):
        start, stop = _span(rows[i], offsets, data.size)
        other, other_stop = _span(other_rows[i], other_offsets, other_data.size)
        out[i] = False
        if start < 0 or other < 0 or stop - start != other_stop - other:
            continue
        same = True
        for byte in range(stop - start):
            if data[start + byte] != other_data[other + byte]:
                same = False
                break
        out[i] = same


@numba.njit(types.uint64(_WORDS, types.uint64), nogil=True, cache=True)
def digest_words(words: UInt64Array, first: np.uint64) -> np.uint64:
    """Return the sum of ``mix64(word + mix64(position))``, positions counted from `first`.

    A sum can be continued when words are appended, and no change of a single word leaves it as it was.
    """
    total = np.uint64(0)
    for i in range(words.size):
        total += mix64(words[i] + mix64(np.uint64(i) + first))
    return total
