"""Row selections as people write them, and whether an output fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import row_numbers
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit

__all__ = ["columns_of", "require_out", "rows_of"]


def rows_of(selection: Any, num_rows: int) -> Int64Array:
    """Return the rows that `selection` names, int64, in its order.

    Parameters
    ----------
    selection : int, slice, list or array of ints, or boolean mask of length `num_rows`
    num_rows : int

    Raises
    ------
    ConfigError
        Negative rows, rows beyond the end, fractions, or a mask of another length. Rows are not counted from
        the end: a -1 that stands for "not found" would silently become the last row.
    """
    if isinstance(selection, slice):
        return _of_slice(selection, num_rows)
    if isinstance(selection, tuple):
        raise ConfigError("a store is indexed by rows only; choose columns with store.gather(..., columns=)")
    values = np.asarray(selection)
    if values.ndim > 1:
        raise ConfigError(f"rows must have one axis, but have shape {values.shape}")
    if values.dtype.kind == "b":
        if values.shape != (num_rows,):
            raise ConfigError(f"a mask of {values.size} values does not fit {num_rows:,} rows")
        return np.flatnonzero(values).astype(np.int64, copy=False)
    if values.size == 0:
        return np.empty(0, np.int64)
    if values.dtype.kind not in "iu":
        raise ConfigError(f"rows are whole numbers, not {values.dtype} (first: {values.flat[0]!r})")
    wrong = values[(values < 0) | (values >= num_rows)]
    if wrong.size:
        raise ConfigError(
            f"row {int(wrong.flat[0])} is not in 0..{num_rows - 1} ({wrong.size} such rows);"
            " rows are never counted from the end"
        )
    return np.atleast_1d(values).astype(np.int64)


def columns_of(columns: Any, num_columns: int) -> Int64Array | None:
    """Return the numbers of columns that were asked for, int64, in their order, or raise a `ConfigError`."""
    if columns is None:
        return None
    numbers = row_numbers(columns, "columns of a store")
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= num_columns):
        raise ConfigError(f"columns must be in 0..{num_columns - 1}, not {numbers.min()}..{numbers.max()}")
    return numbers


def _of_slice(part: slice, num_rows: int) -> Int64Array:
    edges = [edge for edge in (part.start, part.stop) if edge is not None]
    if any(edge < 0 for edge in edges) or (part.step is not None and part.step < 1):
        raise ConfigError(f"{part} counts from the end or backwards, which rows never do")
    return np.arange(*part.indices(num_rows), dtype=np.int64)


def require_out(commit: Commit, rows: Int64Array, out: AnyArray, columns: Int64Array | None) -> None:
    """Refuse an output that the rows do not fit into."""
    width = commit.num_columns if columns is None else len(columns)
    if out.shape != (len(rows), width):
        raise ConfigError(f"out has shape {out.shape}, but {(len(rows), width)} are gathered")
    if out.dtype != commit.row_dtype and not np.can_cast(commit.row_dtype, out.dtype, "same_kind"):
        raise ConfigError(f"out is {out.dtype}, which {commit.row_dtype} rows cannot be cast to")
    if not out.flags.writeable:
        raise ConfigError("out cannot be written")
