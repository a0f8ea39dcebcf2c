"""Compiled loops over stored rows; imported on first use, because importing Numba takes time.

``row_check`` is ``multilinear32-1``: the row's bytes are little-endian 32-bit words w[j], zero padded at the
end; the check is ``mix64((salt + sum(w[j] * a[j])) ^ key_hash)`` modulo 2**64, with odd 32-bit factors a[j]
and the salt drawn from the store's uuid (`rowlock.store.commit.row_check`). The source of the family is Lemire and
Kaser, "Strongly universal string hashing is fast" (2014); why 32-bit factors: ``docs/adr/0004``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

from rowlock.key_kernels import mix64
from rowlock.store.disk.raw_memory import copy_bytes, load_byte, load_word, prefetch

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["check_block", "check_read", "find_rows", "gather_rows", "key_hash", "prefetch_proof", "sum_row"]

_ROWS = types.Array(types.int64, 1, "C", readonly=True)
_WORDS = types.Array(types.uint64, 1, "C", readonly=True)
_WORDS_OUT = types.Array(types.uint64, 1, "C")

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_LINE = 64
_PREFETCH_BYTES = 256  # the start of the next row; the hardware follows from there
_AHEAD = 16  # rows: how early a check and a key, 8 bytes at a random place each, are asked for


@numba.njit(types.uint64(types.uint64, types.int64, _WORDS, types.uint64), nogil=True, cache=True)
def sum_row(address: np.uint64, row_bytes: int, factors: UInt64Array, salt: np.uint64) -> np.uint64:
    """Return ``salt + sum(w[j] * a[j])``; factors[i] holds a[2i] in its low half and a[2i + 1] in its high."""
    low, high = salt, np.uint64(0)
    num_words = row_bytes // 8
    for i in range(num_words):
        word, factor = load_word(address, i), factors[i]
        low += (word & _LOW) * (factor & _LOW)
        high += (word >> _HALF) * (factor >> _HALF)
    rest = np.uint64(0)
    for byte in range(row_bytes - 8 * num_words):
        rest |= load_byte(address, 8 * num_words + byte) << np.uint64(8 * byte)
    if row_bytes > 8 * num_words:
        factor = factors[num_words]
        low += (rest & _LOW) * (factor & _LOW)
        high += (rest >> _HALF) * (factor >> _HALF)
    return low + high


@numba.njit(types.void(types.uint64, types.int64, _WORDS, types.uint64, _WORDS, _WORDS_OUT), nogil=True, cache=True)
def check_block(
    address: np.uint64, row_bytes: int, factors: UInt64Array, salt: np.uint64, key_hashes: UInt64Array, out: AnyArray
) -> None:
    """Write the row_check of ``out.size`` rows that lie one after the other at `address`."""
    for i in range(out.size):
        total = sum_row(address + np.uint64(i * row_bytes), row_bytes, factors, salt)
        out[i] = mix64(total ^ key_hashes[i])


@numba.njit(types.void(types.int64, _WORDS, _ROWS), inline="always", cache=True)
def prefetch_proof(row: int, checks: UInt64Array, numbers: Int64Array) -> None:
    """Ask early for the check and the key of a row, 8 bytes at a random place each."""
    prefetch(np.uint64(checks.ctypes.data) + np.uint64(8 * row))
    if numbers.size > 0:
        prefetch(np.uint64(numbers.ctypes.data) + np.uint64(8 * row))


@numba.njit(types.uint64(types.int64, types.int64, _ROWS, _WORDS), inline="always", cache=True)
def key_hash(i: int, row: int, numbers: Int64Array, key_hashes: UInt64Array) -> np.uint64:
    """Return the hash of the key that the i-th gathered row must have: given, or its number's, or the row's own."""
    hashed: np.uint64 = mix64(np.uint64(numbers[row] if numbers.size > 0 else row) + _GOLDEN)
    return key_hashes[i] if key_hashes.size > 0 else hashed


@numba.njit(types.void(_ROWS, _WORDS, types.int64, types.int64, _WORDS_OUT), nogil=True, cache=True)
def find_rows(rows: Int64Array, bases: UInt64Array, rows_per_shard: int, row_bytes: int, out: AnyArray) -> None:
    """Write where every row lies; all are in the store. Unsigned, because a signed division is twice as slow."""
    most, width = np.uint64(rows_per_shard), np.uint64(row_bytes)
    for i in range(rows.size):
        row = np.uint64(rows[i])
        shard = row // most if bases.size > 1 else np.uint64(0)
        out[i] = bases[shard] + (row - shard * most) * width


@numba.njit(
    types.int64(
        _ROWS, _WORDS, types.int64, types.int64, types.uint64, _WORDS, types.uint64,
        _WORDS, _ROWS, _WORDS, types.boolean, _WORDS_OUT,
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def gather_rows(  # noqa: PLR0917 - as many facts as a gather has
    rows: Int64Array,
    bases: UInt64Array,
    rows_per_shard: int,
    row_bytes: int,
    out_address: np.uint64,
    factors: UInt64Array,
    salt: np.uint64,
    checks: UInt64Array,
    numbers: Int64Array,
    key_hashes: UInt64Array,
    verify: bool,
    found: UInt64Array,
) -> int:
    """Copy chosen rows to `out_address`, one after the other, and check each where it now lies.

    Parameters
    ----------
    rows : int64, shape (n,)
    bases : uint64
        Address of the first byte of every shard.
    checks : uint64
        The stored row_check of every row of the store; its length is the number of rows.
    numbers : int64
        The stored keys of every row, where keys are numbers; else empty.
    key_hashes : uint64, shape (n,) or empty
        Hash of the key that each of `rows` must have. Empty: of ``numbers[row]``, or of the row itself.
    verify : bool
        Whether to check at all (benchmarks measure what it costs).
    found : uint64, shape (n,)
        Receives the check of what was copied.

    Returns
    -------
    int
        How many rows have not the check that was stored; -1 if a row is not in the store (then nothing was
        copied).
    """
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= checks.size:
            return -1
    find_rows(rows, bases, rows_per_shard, row_bytes, found)
    num_bad = 0
    for i in range(-_AHEAD, rows.size):
        if verify and i + _AHEAD < rows.size:
            prefetch_proof(rows[i + _AHEAD], checks, numbers)
        if i < 0:
            continue
        if i + 1 < rows.size:
            for offset in range(0, min(row_bytes, _PREFETCH_BYTES), _LINE):
                prefetch(found[i + 1] + np.uint64(offset))
        target = out_address + np.uint64(i * row_bytes)
        copy_bytes(target, found[i], row_bytes)
        if not verify:
            continue
        key = key_hash(i, rows[i], numbers, key_hashes)
        found[i] = mix64(sum_row(target, row_bytes, factors, salt) ^ key)
        num_bad += found[i] != checks[rows[i]]
    return num_bad


@numba.njit(
    types.int64(
        _ROWS, _ROWS, types.int64, types.uint64, _WORDS, types.uint64,
        _WORDS, _ROWS, _WORDS, types.boolean, _WORDS_OUT,
    ),
    nogil=True,
    cache=True,
)  # fmt: skip
def check_read(  # noqa: PLR0917 - as many facts as a check has
    rows: Int64Array,
    num_read: Int64Array,
    row_bytes: int,
    address: np.uint64,
    factors: UInt64Array,
    salt: np.uint64,
    checks: UInt64Array,
    numbers: Int64Array,
    key_hashes: UInt64Array,
    verify: bool,
    found: UInt64Array,
) -> int:
    """Check rows of the store that lie at `address`, one after the other; the parameters are those of `gather_rows`.

    ``num_read[i]`` bytes of each were read; a row that is not whole is wrong. Return how many are wrong.
    """
    num_bad = 0
    for i in range(rows.size):
        if verify and i + _AHEAD < rows.size:
            prefetch_proof(rows[i + _AHEAD], checks, numbers)
        if num_read[i] != row_bytes:
            found[i] = ~checks[rows[i]]
            num_bad += 1
        elif verify:
            total = sum_row(address + np.uint64(i * row_bytes), row_bytes, factors, salt)
            found[i] = mix64(total ^ key_hash(i, rows[i], numbers, key_hashes))
            num_bad += found[i] != checks[rows[i]]
    return num_bad
