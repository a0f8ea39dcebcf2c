"""Compiled loops over compressed sparse rows; imported on first use, because importing Numba takes time.

Cells come from a file that may be damaged: offsets, columns and their order are checked before they are used,
so that nothing outside of the maps is read and nothing outside of the row is written. Values are handled as
the unsigned integers of their bytes: -0.0 and every NaN stay what they are.

A cell's share of ``row_check`` is that of its bytes in the dense row, all others being zero: the sum over the
stored cells equals the sum over the row. Compiled once for each width of values and columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.extending import overload

from rowlock.key_kernels import mix64
from rowlock.store.commit.row_kernels import key_hash, prefetch_proof
from rowlock.store.disk.raw_memory import load_item, prefetch

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["collect_cells", "find_cells", "gather_cells"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_LINE = 64
_AHEAD = 16  # rows: how early offsets, checks and keys are asked for
_CELLS_AHEAD = 4  # rows: how early cells are
_PREFETCH_BYTES = 512


def _share(bits: Any, column: Any, factors: AnyArray) -> np.uint64:
    """Return what a cell adds to the sum of its row; compiled only, one way for each width."""
    raise NotImplementedError


@overload(_share, inline="always")
def _(bits: Any, column: Any, factors: Any) -> Any:  # noqa: ARG001 - types here, values below
    if bits.bitwidth == 64:

        def wide(bits: Any, column: Any, factors: Any) -> Any:
            word = np.uint64(bits)
            low = (word & _LOW) * np.uint64(factors[2 * column])
            return low + (word >> _HALF) * np.uint64(factors[2 * column + 1])

        return wide
    in_word = {32: 0, 16: 1, 8: 3}[bits.bitwidth]  # columns of one word, as a mask
    shift = {32: 0, 16: 1, 8: 2}[bits.bitwidth]
    width = bits.bitwidth

    def narrow(bits: Any, column: Any, factors: Any) -> Any:
        word = np.uint64(bits) << np.uint64(width * (column & in_word))
        return word * np.uint64(factors[column >> shift])

    return narrow


@numba.njit(nogil=True, cache=True)
def _scatter(
    data: np.uint64, indices: np.uint64, count: int, kind: AnyArray, factors: AnyArray, last: Any, out: AnyArray
) -> tuple[np.uint64, Any]:
    """Write `count` cells into a row; return their sum, and the last column or -2 if the columns are wrong."""
    total = np.uint64(0)
    num_columns = np.int64(out.size)
    for k in range(count):
        column = np.int64(load_item(indices, k, kind))
        if column <= last or column >= num_columns:
            return total, -2
        bits = load_item(data, k, out)
        out[column] = bits
        total += _share(bits, column, factors)
        last = column
    return total, last


@numba.njit(nogil=True, cache=True)
def _fill_row(
    row: int, indptr: Int64Array, data_bases: UInt64Array, index_bases: UInt64Array, kind: AnyArray,
    cells_per_shard: int, num_cells: int, factors: AnyArray, out: AnyArray,
) -> tuple[np.uint64, bool]:  # fmt: skip
    """Write one dense row; return the sum of its cells, and whether offsets and columns make sense."""
    out[:] = 0
    total = np.uint64(0)
    cell, stop = indptr[row], indptr[row + 1]
    if cell < 0 or stop < cell or stop > num_cells:
        return total, False
    last = np.int64(-1)
    while cell < stop and last != -2:
        shard = cell // cells_per_shard
        first = cell - shard * cells_per_shard
        count = min(stop - cell, cells_per_shard - first)
        data = data_bases[shard] + np.uint64(first * out.itemsize)
        indices = index_bases[shard] + np.uint64(first * kind.itemsize)
        part, last = _scatter(data, indices, count, kind, factors, last, out)
        total += part
        cell += count
    return total, last != -2


@numba.njit(nogil=True, cache=True)
def _prefetch_cells(
    row: int, indptr: Int64Array, data_bases: UInt64Array, index_bases: UInt64Array,
    cells_per_shard: int, num_cells: int, data_bytes: int, index_bytes: int,
) -> None:  # fmt: skip
    """Ask early for the first cells of a row, if it has any where its offset says."""
    start, stop = indptr[row], indptr[row + 1]
    if start < 0 or start >= num_cells or stop <= start:
        return
    shard = start // cells_per_shard
    first = start - shard * cells_per_shard
    count = min(stop - start, _PREFETCH_BYTES)
    for offset in range(0, min(count * data_bytes, _PREFETCH_BYTES), _LINE):
        prefetch(data_bases[shard] + np.uint64(first * data_bytes + offset))
    for offset in range(0, min(count * index_bytes, _PREFETCH_BYTES), _LINE):
        prefetch(index_bases[shard] + np.uint64(first * index_bytes + offset))


@numba.njit(nogil=True, cache=True)
def gather_cells(  # noqa: PLR0917 - as many facts as a gather has
    rows: Int64Array,
    places: Int64Array,
    out: AnyArray,
    indptr: Int64Array,
    data_bases: UInt64Array,
    index_bases: UInt64Array,
    kind: AnyArray,
    cells_per_shard: int,
    num_cells: int,
    factors: AnyArray,
    salt: np.uint64,
    checks: UInt64Array,
    numbers: Int64Array,
    key_hashes: UInt64Array,
    verify: bool,
    found: UInt64Array,
) -> int:
    """Make chosen rows dense in `out`, and check each one from its cells in the same pass.

    Parameters
    ----------
    rows : int64, shape (n,)
    places : int64, shape (n,)
        Which entry of `indptr` says where the cells of each row begin; the next one says where they end. The rows
        themselves, if `indptr` is that of the store.
    out : unsigned integers as wide as the values, shape (n, num_columns)
    indptr : int64
        Where cells begin and end; not trusted.
    data_bases, index_bases : uint64
        Address of the first value, and of the first column, of every shard.
    kind : int16 or int32, empty
        How columns are stored.
    cells_per_shard, num_cells : int
        So many are there at the bases.
    factors : uint32
        One for every 32-bit word of a dense row.
    salt, checks, numbers, key_hashes, verify, found
        As in `rowlock.store.commit.row_kernels.gather_rows`.

    Returns
    -------
    int
        How many rows have not the check that was stored, or cannot be read; -1 if a row is not in the store.
    """
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= checks.size:
            return -1
    data_bytes, index_bytes = out.itemsize, kind.itemsize
    offsets = np.uint64(indptr.ctypes.data)
    num_bad = 0
    for i in range(-_AHEAD, rows.size):
        if i + _AHEAD < rows.size:
            prefetch(offsets + np.uint64(8 * places[i + _AHEAD]))
            if verify:
                prefetch_proof(rows[i + _AHEAD], checks, numbers)
        if i >= -_CELLS_AHEAD and i + _CELLS_AHEAD < rows.size:
            _prefetch_cells(
                places[i + _CELLS_AHEAD], indptr, data_bases, index_bases,
                cells_per_shard, num_cells, data_bytes, index_bytes,
            )  # fmt: skip
        if i < 0:
            continue
        total, whole = _fill_row(
            places[i], indptr, data_bases, index_bases, kind, cells_per_shard, num_cells, factors, out[i]
        )
        if not whole:
            found[i] = ~checks[rows[i]]
            num_bad += 1
        elif verify:
            found[i] = mix64((salt + total) ^ key_hash(i, rows[i], numbers, key_hashes))
            num_bad += found[i] != checks[rows[i]]
    return num_bad


@numba.njit(nogil=True, cache=True)
def find_cells(
    rows: Int64Array, indptr: Int64Array, bases: UInt64Array, item_bytes: int, cells_per_shard: int, num_cells: int,
    addresses: UInt64Array, num_bytes: Int64Array,
) -> None:  # fmt: skip
    """Write where the cells of each row lie and how long they are; of two shards the first, 0 if nothing is right."""
    for i in range(rows.size):
        start, stop = indptr[rows[i]], indptr[rows[i] + 1]
        addresses[i], num_bytes[i] = 0, 0
        if 0 <= start < stop <= num_cells:
            shard = start // cells_per_shard
            first = start - shard * cells_per_shard
            addresses[i] = bases[shard] + np.uint64(first * item_bytes)
            num_bytes[i] = min(stop - start, cells_per_shard - first) * item_bytes


@numba.njit(nogil=True, cache=True)
def collect_cells(bits: AnyArray, ends: Int64Array, columns: AnyArray, data: AnyArray) -> None:
    """Write the cells of dense rows that are not all zero bits; ``ends[i]`` receives where row i ends."""
    cell = 0
    for i in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            if bits[i, column] != 0:
                columns[cell] = column
                data[cell] = bits[i, column]
                cell += 1
        ends[i] = cell
