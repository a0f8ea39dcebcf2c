"""Compiled loops for the statistics of columns; imported on first use, because importing Numba takes time.

Rows are taken in chunks of at most 256. Within a chunk, deviations are taken from a value that the column itself
holds (its first), and the chunk's mean and sum of squared deviations are merged into the running ones as Chan, Golub
and LeVeque do ("Updating formulae and a pairwise algorithm for computing sample variances", 1979). A shift by one of
n values can cancel no more than a factor of n + 1, because its own deviation from the mean is in the sum; and a
constant column gives exactly 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["MAX", "MEAN", "MIN", "NUM_INFINITE", "NUM_MISSING", "NUM_ZEROS", "SQUARES", "add_rows", "widen_halves"]

MEAN, SQUARES, MIN, MAX, NUM_ZEROS, NUM_MISSING, NUM_INFINITE = range(7)
"""Rows of the totals; the first four count finite values alone, SQUARES being of deviations from the mean."""

_CHUNK = 256  # rows
_WIDTH = 512  # columns whose sums stay in the first-level cache

_TOTALS = types.Array(types.float64, 2, "C")
_COLUMN = types.Array(types.float64, 1, "C")
_HALVES = types.Array(types.uint16, 1, "C", readonly=True)
_WORDS = types.Array(types.uint32, 1, "C")
_FLOATS = types.Array(types.float32, 1, "C")
_FLOAT32 = types.Array(types.float32, 2, "C", readonly=True)
_FLOAT64 = types.Array(types.float64, 2, "C", readonly=True)


@numba.njit(types.void(_HALVES, _WORDS, _FLOATS), nogil=True, cache=True)
def widen_halves(halves: AnyArray, words: AnyArray, floats: AnyArray) -> None:
    """Write float16 numbers as float32: NumPy takes four times as long.

    Parameters
    ----------
    halves : uint16, shape (n,)
        The bits of the numbers.
    words, floats : uint32 and float32, shape (n,)
        The same memory. Exponents are moved to their place as bits, and then put right by a factor.
    """
    for i in range(halves.size):
        word = np.uint32(halves[i])
        size = word & np.uint32(0x7FFF)
        special = np.uint32(0x7F800000) if size >= np.uint32(0x7C00) else np.uint32(0)  # infinite, or no number
        words[i] = (word & np.uint32(0x8000)) << np.uint32(16) | size << np.uint32(13) | special
    factor = np.float32(2.0**112)  # the difference of the two biases
    for i in range(halves.size):
        floats[i] *= factor


@numba.njit(types.void(_TOTALS, types.int64, *[types.float64] * 6), cache=True)
def _merge(
    totals: AnyArray, column: int, before: float, count: float, mean: float, squares: float, least: float, most: float
) -> None:
    """Merge `count` finite values with these facts into a column that has `before` finite values."""
    delta = mean - totals[MEAN, column]
    share = count / (before + count)
    totals[MEAN, column] = mean if before == 0 else totals[MEAN, column] + delta * share
    totals[SQUARES, column] += squares if before == 0 else squares + delta * delta * (before * share)
    totals[MIN, column] = min(totals[MIN, column], least)
    totals[MAX, column] = max(totals[MAX, column], most)


@numba.njit(
    [types.void(kind, types.int64, types.int64, types.int64, _TOTALS, types.float64) for kind in (_FLOAT32, _FLOAT64)],
    cache=True,
)
def _add_carefully(rows: AnyArray, first: int, stop: int, column: int, totals: AnyArray, before: float) -> None:
    """Add a chunk of one column in which something is not finite, value by value."""
    shift = total = squares = 0.0
    least, most = np.inf, -np.inf
    count = 0
    for i in range(first, stop):
        value = np.float64(rows[i, column])
        if math.isnan(value):
            totals[NUM_MISSING, column] += 1
        elif math.isinf(value):
            totals[NUM_INFINITE, column] += 1
        else:
            if count == 0:
                shift = value
            count += 1
            deviation = value - shift
            total += deviation
            squares += deviation * deviation
            least, most = min(least, value), max(most, value)
            totals[NUM_ZEROS, column] += 1.0 if value == 0.0 else 0.0
    if count > 0:
        mean = total / count
        spread = squares - total * mean
        spread = max(spread, 0.0) if math.isfinite(spread) else np.inf  # beyond the largest float
        _merge(totals, column, before, count, shift + mean, spread, least, most)


@numba.njit(
    [types.void(kind, types.int64, types.int64, types.int64, *[_COLUMN] * 6) for kind in (_FLOAT32, _FLOAT64)],
    cache=True,
)
def _sum_chunk(  # noqa: PLR0917 - one array a sum, so that the compiler sees that they do not overlap
    rows: AnyArray, first: int, stop: int, column: int, shift: AnyArray, sums: AnyArray, squares: AnyArray,
    least: AnyArray, most: AnyArray, zeros: AnyArray,
) -> None:  # fmt: skip
    """Sum up a chunk of neighbouring columns, four rows at a time, so that a sum is touched once for four values."""
    width = shift.size
    i = first
    while i + 4 <= stop:
        row_0, row_1 = rows[i, column : column + width], rows[i + 1, column : column + width]
        row_2, row_3 = rows[i + 2, column : column + width], rows[i + 3, column : column + width]
        for j in range(width):
            a, b, c, d = np.float64(row_0[j]), np.float64(row_1[j]), np.float64(row_2[j]), np.float64(row_3[j])
            least[j] = min(least[j], a, b, c, d)
            most[j] = max(most[j], a, b, c, d)
            zeros[j] += (np.float64(a == 0) + np.float64(b == 0)) + (np.float64(c == 0) + np.float64(d == 0))
            a, b, c, d = a - shift[j], b - shift[j], c - shift[j], d - shift[j]
            sums[j] += (a + b) + (c + d)
            squares[j] += (a * a + b * b) + (c * c + d * d)
        i += 4
    while i < stop:
        row = rows[i, column : column + width]
        for j in range(width):
            a = np.float64(row[j])
            least[j], most[j] = min(least[j], a), max(most[j], a)
            zeros[j] += np.float64(a == 0)
            a -= shift[j]
            sums[j] += a
            squares[j] += a * a
        i += 1


@numba.njit(
    [types.int64(kind, _TOTALS, types.int64) for kind in (_FLOAT32, _FLOAT64)],
    nogil=True,
    cache=True,
)
def add_rows(rows: AnyArray, totals: AnyArray, num_before: int) -> int:
    """Add rows to the totals.

    Parameters
    ----------
    rows : float32 or float64, shape (n, num_columns)
    totals : float64, shape (7, num_columns)
        Means and squares of nothing are 0, MIN is inf and MAX is -inf.
    num_before : int
        Rows that are in the totals already.

    Returns
    -------
    int
        The first of `rows` whose chunk may hold something that is not finite, or -1.
    """
    num_rows, num_columns = rows.shape
    work = np.empty((6, _WIDTH))
    suspect = -1
    for first in range(0, num_rows, _CHUNK):
        stop = min(first + _CHUNK, num_rows)
        count = stop - first
        for start in range(0, num_columns, _WIDTH):
            width = min(_WIDTH, num_columns - start)
            for j in range(width):
                work[0, j] = work[3, j] = work[4, j] = np.float64(rows[first, start + j])
                work[1, j] = work[2, j] = work[5, j] = 0.0
            _sum_chunk(rows, first, stop, start, work[0, :width], work[1, :width], work[2, :width],
                       work[3, :width], work[4, :width], work[5, :width])  # fmt: skip
            for j in range(width):
                column = start + j
                before = num_before + first - totals[NUM_MISSING, column] - totals[NUM_INFINITE, column]
                if not math.isfinite(work[2, j]):
                    suspect = first if suspect < 0 else suspect
                    _add_carefully(rows, first, stop, column, totals, before)
                    continue
                mean = work[1, j] / count
                squares = max(work[2, j] - work[1, j] * mean, 0.0)
                totals[NUM_ZEROS, column] += work[5, j]
                _merge(totals, column, before, count, work[0, j] + mean, squares, work[3, j], work[4, j])
    return suspect
