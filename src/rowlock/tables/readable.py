"""Columns of frames that hold plain numbers in an uncommon way, as numbers."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

__all__ = ["readable"]


def readable(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return a column as it is, but for these, in memory: the same numbers as an ordinary column.

    Numbers in another machine's byte order, pandas' sparse columns, Python integers as objects, none missing; and
    categories that are numbers, times or booleans, which a file gives back as these, too.
    """
    series = _without_codes(series)
    native = series.to_native()
    dtype = getattr(native, "dtype", None)
    if type(dtype).__name__ == "SparseDtype":
        return readable(nw.from_native(native.sparse.to_dense(), series_only=True))
    if isinstance(dtype, np.dtype) and not dtype.isnative:
        return nw.from_native(native.astype(dtype.newbyteorder("=")), series_only=True)
    if series.dtype == nw.Object and _is_whole(next(iter(series), None)):
        return _as_integers(series)
    return series


def _without_codes(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return categories as their values, unless these are text."""
    native: Any = series.to_native()
    if hasattr(native, "cat") and hasattr(native.cat, "categories"):  # pandas
        kind = native.cat.categories.dtype
        if kind.kind not in "iubfmM":  # text, or names of intervals
            return series
        if isinstance(kind, np.dtype) and kind.kind in "iub" and native.hasnans:  # NumPy's whole numbers know no gaps
            kind = {"bool": "boolean"}.get(kind.name, kind.name.replace("int", "Int").replace("uI", "UI"))
        return nw.from_native(native.astype(kind), series_only=True)
    if hasattr(native, "type") and hasattr(native.type, "value_type") and hasattr(native, "dictionary_encode"):  # Arrow
        kind = native.type.value_type
        is_code = series.dtype == nw.Categorical and not any(part in str(kind) for part in ("string", "binary"))
        return nw.from_native(native.cast(kind), series_only=True) if is_code else series
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
