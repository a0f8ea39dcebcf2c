"""Numbers for the different values of a column, without a Python object a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arrays import one_arrow_array
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["codes_of"]

_BLOCK_ROWS = 1 << 20


def codes_of(series: Any, column: str, rows: Int64Array | None) -> AnyArray:
    """Return a number for each different value, from 0, in the order of the values that the given rows have.

    Parameters
    ----------
    series : narwhals.Series
    column : str
        Its name, for messages.
    rows : integers, shape (n,), or None
        None: all.

    Returns
    -------
    codes : uint16, or int32 where there are more different values, shape (n,)

    Raises
    ------
    ConfigError
        Missing values, or values that have no order.
    """
    if series.null_count():
        raise ConfigError(f"column {column!r} has {series.null_count()} missing value(s), so it cannot guide a split")
    try:
        present = _sorted(series)
        codes = _numbered(series, present)
    except Exception as error:
        raise ConfigError(f"column {column!r} ({series.dtype}) cannot guide a split: {error}") from error
    return _dense(codes if rows is None else codes[rows], len(present))


def _sorted(series: Any) -> Any:
    """Return the different values of a column in order, as an Arrow array; text by its characters' numbers."""
    import pyarrow.compute as pc  # noqa: PLC0415 - loaded on first use

    values = _plain(one_arrow_array(series.unique()))
    return values.take(pc.array_sort_indices(values))


def _numbered(series: Any, present: Any) -> AnyArray:
    import pyarrow.compute as pc  # noqa: PLC0415 - loaded on first use

    codes = np.empty(len(series), _code_type(len(present)))
    for start in range(0, len(series), _BLOCK_ROWS):
        block = _plain(one_arrow_array(series[start : start + _BLOCK_ROWS]))
        codes[start : start + len(block)] = np.asarray(pc.index_in(block.cast(present.type), present))
    return codes


def _plain(array: Any) -> Any:
    """Return categories as their values."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on first use

    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _dense(codes: AnyArray, num_values: int) -> AnyArray:
    """Return new numbers, in the same order, without those that no row has."""
    counts = np.zeros(num_values, np.int64)
    for start in range(0, len(codes), _BLOCK_ROWS):
        counts += np.bincount(codes[start : start + _BLOCK_ROWS], minlength=num_values)
    if counts.all():
        return codes
    numbers = (np.cumsum(counts > 0) - 1).astype(codes.dtype)
    return numbers[codes]


def _code_type(num_values: int) -> type[np.integer[Any]]:
    """16 bits sort in linear time."""
    return np.uint16 if num_values <= np.iinfo(np.uint16).max else np.int32
