"""Compiled loops over rows in compressed chunks; imported on first use, because importing Numba takes time.

Offsets and chunks come from files that may be damaged. A row is decoded only where its offsets lie inside of
its shard and its chunk begins as every chunk of the store does; LZ4's decoder stays inside of what it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.extending import overload

from rowlock.key_kernels import mix64
from rowlock.store.commit.row_kernels import key_hash, prefetch_proof, sum_row
from rowlock.store.disk.raw_memory import call_decoder, copy_bytes, load_word, prefetch

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["find_chunks", "gather_chunks"]

_HALF = np.uint64(32)
_COMPRESSED, _STORED = 1, 2
_HEADER = 16
_BLOCK = 24  # where the LZ4 block of a compressed row begins
_BLOCK_AT = np.uint64(20)
_LINE = 64
_AHEAD = 16  # rows: how early offsets, checks and keys are asked for
_CHUNKS_AHEAD = 3  # rows: how early chunks are
_PREFETCH_BYTES = 512


def _join(planes: Any, out: Any) -> None:
    """Put values together again from their first bytes, their second bytes, ...; compiled only."""
    raise NotImplementedError


@overload(_join)
def _(planes: Any, out: Any) -> Any:  # noqa: ARG001 - types here, values below
    num_bytes = out.dtype.bitwidth // 8

    def join(planes: Any, out: Any) -> None:
        count = out.size
        for j in range(count):
            word = np.uint64(0)
            for k in range(num_bytes):
                word |= np.uint64(planes[k * count + j]) << np.uint64(8 * k)
            out[j] = word

    return join


@numba.njit(nogil=True, cache=True)
def _find_chunk(
    row: Any, offsets: Int64Array, bases: UInt64Array, sizes: Int64Array, rows_per_shard: int
) -> tuple[np.uint64, int]:
    """Return where the chunk of a row lies and how long it is; 0 if its offsets make no sense."""
    shard = row // rows_per_shard
    first = offsets[shard * rows_per_shard]
    start, stop = offsets[row], offsets[row + 1]
    if first < 0 or start < first or stop < start or stop - first > sizes[shard]:
        return np.uint64(0), 0
    return bases[shard] + np.uint64(start - first), stop - start


@numba.njit(nogil=True, cache=True)
def find_chunks(
    rows: Int64Array, offsets: Int64Array, bases: UInt64Array, sizes: Int64Array, rows_per_shard: int,
    addresses: UInt64Array, num_bytes: Int64Array,
) -> None:  # fmt: skip
    """Write where the chunk of each row lies and how long it is; see `_find_chunk`."""
    for i in range(rows.size):
        addresses[i], num_bytes[i] = _find_chunk(rows[i], offsets, bases, sizes, rows_per_shard)


@numba.njit(nogil=True, cache=True)
def _kind_of(chunk: np.uint64, num_bytes: int, starts: UInt64Array, row_bytes: int) -> int:
    """Return what a chunk is by its header: `_COMPRESSED`, `_STORED`, or 0 if it is nothing that was written here."""
    if num_bytes < _HEADER or load_word(chunk, 1) != np.uint64(row_bytes) | np.uint64(num_bytes) << _HALF:
        return 0
    start = load_word(chunk, 0)
    if start == starts[1] and num_bytes == _HEADER + row_bytes:
        return _STORED
    if start != starts[0] or num_bytes < _BLOCK:
        return 0
    whole = load_word(chunk, 2) == _BLOCK_AT | np.uint64(num_bytes - _BLOCK) << _HALF
    return _COMPRESSED if whole else 0


@numba.njit(nogil=True, cache=True)
def _decode(
    chunk: np.uint64, num_bytes: int, starts: UInt64Array, shuffle: bool, decoder: np.uint64, planes: AnyArray,
    out: AnyArray,
) -> bool:  # fmt: skip
    """Write the row of a chunk; return whether the chunk is what it must be."""
    row_bytes = out.size * out.itemsize
    target = np.uint64(out.ctypes.data)
    kind = _kind_of(chunk, num_bytes, starts, row_bytes)
    if kind == _STORED:
        copy_bytes(target, chunk + np.uint64(_HEADER), row_bytes)
        return True
    if kind == 0:
        return False
    if shuffle:
        target = np.uint64(planes.ctypes.data)
    block = chunk + np.uint64(_BLOCK)
    whole: bool = call_decoder(decoder, block, target, num_bytes - _BLOCK, row_bytes) == row_bytes
    if whole and shuffle:
        _join(planes, out)
    return whole


@numba.njit(nogil=True, cache=True)
def _prefetch_chunk(row: int, offsets: Int64Array, bases: UInt64Array, sizes: Int64Array, rows_per_shard: int) -> None:
    """Ask early for the first bytes of a chunk."""
    chunk, num_bytes = _find_chunk(row, offsets, bases, sizes, rows_per_shard)
    for offset in range(0, min(num_bytes, _PREFETCH_BYTES), _LINE):
        prefetch(chunk + np.uint64(offset))


@numba.njit(nogil=True, cache=True)
def gather_chunks(  # noqa: PLR0917 - as many facts as a gather has
    rows: Int64Array,
    places: Int64Array,
    out: AnyArray,
    offsets: Int64Array,
    bases: UInt64Array,
    sizes: Int64Array,
    rows_per_shard: int,
    starts: UInt64Array,
    shuffle: bool,
    decoder: np.uint64,
    factors: UInt64Array,
    salt: np.uint64,
    checks: UInt64Array,
    numbers: Int64Array,
    key_hashes: UInt64Array,
    verify: bool,
    found: UInt64Array,
) -> int:
    """Decode chosen rows into `out`, one after the other, and check each where it now lies.

    Parameters
    ----------
    rows : int64, shape (n,)
    places : int64, shape (n,)
        Which entry of `offsets` says where the chunk of each row begins; the next one says where it ends. The rows
        themselves, if `offsets` is that of the store.
    out : unsigned integers as wide as the values, shape (n, num_columns)
    offsets : int64
        Where chunks begin and end, counted through all shards; not trusted.
    bases : uint64
        Address of the first chunk of every shard.
    sizes : int64
        How many bytes of chunks every shard has, all in memory or mapped.
    rows_per_shard : int
        Entries of `offsets` that belong to one shard.
    starts : uint64, shape (2,)
        The first eight bytes of a compressed chunk, and of a stored one.
    shuffle : bool
        Whether compressed rows are transposed.
    decoder : uint64
        Address of LZ4's decoder.
    factors, salt, checks, numbers, key_hashes, verify, found
        As in `rowlock.store.commit.row_kernels.gather_rows`.

    Returns
    -------
    int
        How many rows have not the check that was stored, or cannot be decoded; -1 if a row is not in the store.
    """
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= checks.size:
            return -1
    row_bytes = out.shape[1] * out.itemsize
    planes = np.empty(row_bytes if shuffle else 0, np.uint8)
    num_bad = 0
    for i in range(-_AHEAD, rows.size):
        if i + _AHEAD < rows.size:
            prefetch(np.uint64(offsets.ctypes.data) + np.uint64(8 * places[i + _AHEAD]))
            if verify:
                prefetch_proof(rows[i + _AHEAD], checks, numbers)
        if i >= -_CHUNKS_AHEAD and i + _CHUNKS_AHEAD < rows.size:
            _prefetch_chunk(places[i + _CHUNKS_AHEAD], offsets, bases, sizes, rows_per_shard)
        if i < 0:
            continue
        chunk, num_bytes = _find_chunk(places[i], offsets, bases, sizes, rows_per_shard)
        if not _decode(chunk, num_bytes, starts, shuffle, decoder, planes, out[i]):
            found[i] = ~checks[rows[i]]
            num_bad += 1
        elif verify:
            total = sum_row(np.uint64(out[i].ctypes.data), row_bytes, factors, salt)
            found[i] = mix64(total ^ key_hash(i, rows[i], numbers, key_hashes))
            num_bad += found[i] != checks[rows[i]]
    return num_bad
