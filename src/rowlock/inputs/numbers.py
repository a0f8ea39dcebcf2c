"""One column of the table as an array of numbers, with nothing cut, wrapped or made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.errors import ConfigError
from rowlock.inputs.categories import refuse_missing

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.table import Table

__all__ = ["column_numbers"]

_BLOCK_ROWS = 1 << 20
_NO_ROWS = np.empty(0, np.int64)


def column_numbers(table: Table, column: str, name: str, dtype: np.dtype[Any], *, may_miss: bool = False) -> AnyArray:
    """Return a column's numbers; with `may_miss` as float64, NaN where one is missing.

    Raises
    ------
    ConfigError
        No such column, not numbers, values that are missing or that the dtype cannot hold.
    """
    series = table.column(column)
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise ConfigError(
            f"{name!r}: column {column!r} must hold numbers, not {series.dtype} (first value"
            f" {series[0]!r}). For categories use rl.Categories({column!r}), for classes to predict rl.Labels, for"
            " paths of pictures rl.Images."
        )
    if may_miss:
        return _with_gaps(series)
    held = _held(series, dtype)
    if held is not None:
        return held
    values = np.empty(len(series), dtype)
    missing, wrong = [_NO_ROWS], [_NO_ROWS]
    for start in range(0, len(series), _BLOCK_ROWS):
        block = series[start : start + _BLOCK_ROWS]
        gaps = _gaps(block)
        if gaps.any():
            missing.append(start + np.flatnonzero(gaps))
        else:
            cast, misfits = _cast(_plain(block), dtype)
            values[start : start + len(block)] = cast
            wrong.append(start + np.flatnonzero(misfits))
    refuse_missing(np.concatenate(missing), column, name)
    _refuse_misfits(np.concatenate(wrong), series, dtype, column, name)
    return values


def _with_gaps(series: nw.Series[Any]) -> AnyArray:
    """Return the values as float64, NaN where one is missing."""
    values = np.empty(len(series), np.float64)
    for start in range(0, len(series), _BLOCK_ROWS):
        block = series[start : start + _BLOCK_ROWS]
        numbers = block.cast(nw.Float64).fill_null(0.0).to_numpy()
        values[start : start + len(block)] = np.where(_gaps(block), np.nan, numbers)
    return values


def _held(series: nw.Series[Any], dtype: np.dtype[Any]) -> AnyArray | None:
    """Return the values where they lie, in memory or mapped, if they need not be cast; None if that cannot be."""
    native: Any = series.to_native()
    if getattr(native, "num_chunks", 0) != 1 or native.null_count or series.dtype == nw.Boolean:
        return None
    if series.dtype.is_decimal() or native.type.to_pandas_dtype() != dtype:
        return None
    values: AnyArray = native.chunk(0).to_numpy()
    return None if dtype.kind == "f" and _has_nan(values) else values


def _has_nan(values: AnyArray) -> bool:
    """Return whether one of some numbers is NaN: then the least of them is, which is soon found."""
    starts = range(0, len(values), _BLOCK_ROWS)
    with np.errstate(invalid="ignore"):
        return any(bool(np.isnan(values[start : start + _BLOCK_ROWS].min())) for start in starts)


def _gaps(series: nw.Series[Any]) -> BoolArray:
    """Return where values are missing."""
    missing: BoolArray = series.is_null().to_numpy()
    return missing | series.is_nan().fill_null(value=True).to_numpy() if series.dtype.is_float() else missing


def _plain(series: nw.Series[Any]) -> AnyArray:
    return (series.cast(nw.Float64) if series.dtype.is_decimal() else series).to_numpy()


def _cast(values: AnyArray, dtype: np.dtype[Any]) -> tuple[AnyArray, BoolArray]:
    """Cast, and return beside it what would wrap, be cut or become infinite."""
    with np.errstate(all="ignore"):
        cast = values.astype(dtype)
    return cast, ~np.isfinite(cast) & np.isfinite(values) if dtype.kind == "f" else cast != values


def _refuse_misfits(rows: Int64Array, series: nw.Series[Any], dtype: np.dtype[Any], column: str, name: str) -> None:
    if len(rows):
        row = int(rows[0])
        raise ConfigError(
            f"{name!r}: column {column!r} holds {_plain(series[row : row + 1])[0]!r} in row {row}, which {dtype} cannot"
            f" hold ({len(rows)} such value(s)). Choose another dtype=."
        )
