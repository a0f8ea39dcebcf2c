"""Columns of pandas and polars that hold plain numbers in an uncommon way, as numbers."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

__all__ = ["readable"]


def readable(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return a column as it is, but for these, in memory: the same numbers as an ordinary column.

    Numbers in another machine's byte order, pandas' sparse columns, and Python integers as objects, none missing.
    """
    native = series.to_native()
    dtype = getattr(native, "dtype", None)
    if type(dtype).__name__ == "SparseDtype":
        return readable(nw.from_native(native.sparse.to_dense(), series_only=True))
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return nw.from_native(native.astype(dtype.newbyteorder("=")), series_only=True)
    if series.dtype == nw.Object and _is_whole(next(iter(series), None)):
        return _as_integers(series)
    return series


def _as_integers(series: nw.Series[Any]) -> nw.Series[Any]:
    values = series.to_list()
    limits = np.iinfo(np.int64)
    if not all(_is_whole(value) and limits.min <= value <= limits.max for value in values):
        return series
    native = series.to_native()
    if hasattr(native, "index"):  # of pandas: its index stays
        return nw.from_native(native.astype("int64"), series_only=True)
    return nw.new_series(series.name, values, nw.Int64, backend=nw.get_native_namespace(series))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
