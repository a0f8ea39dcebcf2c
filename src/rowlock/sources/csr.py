"""Compressed sparse rows, made dense a block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import SourceError
from rowlock.sources.base import BLOCK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["checked_indptr", "csr_runs", "densify"]


def checked_indptr(address: str, indptr: AnyArray, num_rows: int, num_cells: int) -> Int64Array:
    """Return where the cells of each row begin, or raise a `SourceError` where that makes no sense."""
    edges = np.asarray(indptr)
    fits = edges.dtype.kind in "iu" and edges.shape == (num_rows + 1,) and int(edges[0]) == 0
    if not fits or int(edges[-1]) != num_cells or (edges[1:] < edges[:-1]).any():  # a difference may wrap
        raise SourceError(
            f"{address}: its indptr does not describe {num_rows:,} rows of {num_cells:,} stored cells; it is damaged"
        )
    return edges.astype(np.int64)


def csr_runs(indptr: Int64Array, num_columns: int, itemsize: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of blocks of about 8 MiB, dense."""
    num_rows = len(indptr) - 1
    step = max(1, BLOCK_BYTES // (num_columns * itemsize))
    for start in range(0, num_rows, step):
        yield start, min(start + step, num_rows)


def densify(address: str, indptr: Int64Array, indices: AnyArray, data: AnyArray, num_columns: int) -> AnyArray:
    """Return rows as an array; floats that are stored twice for one cell are added up, as SciPy does.

    Parameters
    ----------
    indptr : int64, shape (n + 1,)
        Of these rows; the first number may be above 0.
    indices, data : shape (indptr[-1] - indptr[0],)

    Raises
    ------
    SourceError
        A cell lies outside of the columns, or a whole number is stored twice, whose sum might not fit.
    """
    if indices.dtype.kind not in "iu" or len(indices) != len(data) or len(data) != indptr[-1] - indptr[0]:
        raise SourceError(f"{address}: its column indices do not fit its cells; it is damaged")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= num_columns):
        raise SourceError(
            f"{address} has cells in columns {int(indices.min())}..{int(indices.max())}, but only {num_columns}"
            " columns; it is damaged"
        )
    out = np.zeros((len(indptr) - 1, num_columns), data.dtype)
    rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
    cells, flat = rows * num_columns + indices.astype(np.int64), out.reshape(-1)
    if (np.diff(cells) > 0).all() or len(np.unique(cells)) == len(cells):
        flat[cells] = data
    elif data.dtype.kind in "iu":
        raise SourceError(
            f"{address} has whole numbers that are stored twice for one cell, whose sum might not fit {data.dtype}."
            " Add them up before saving: matrix.sum_duplicates()."
        )
    else:
        np.add.at(flat, cells, data)
    return out
