"""Columns of lists: where the list of each row begins and ends, without a Python object a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array

__all__ = ["first_value", "list_starts", "listed", "lists_in", "refuse"]

_KINDS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def lists_in(array: Any, series: Any, name: str, expected: str, instead: str) -> Any:
    """Return the lists of a column, or raise where it has none.

    Parameters
    ----------
    array : pyarrow.Array
        The column.
    series : narwhals.Series
        The same, for the message.
    name : str
        Of the column.
    expected : str
        What it must hold lists of, and why, such as ``"paths, because num_images= was given"``.
    instead : str
        What to write where it holds something else.

    Raises
    ------
    ConfigError
        Not a column of lists, or rows without one (an empty list is fine); the message lists them.
    """
    if not any(is_list(array.type) for is_list in _KINDS):
        raise ConfigError(
            f"column {name!r} must hold lists of {expected}; it is {array.type}, its first value"
            f" {first_value(series)!r}. {instead}"
        )
    without = f"have no list of {expected.partition(',')[0]} (an empty list would do)"
    refuse(np.flatnonzero(np.asarray(array.is_null())), name, without)
    return array


def list_starts(lists: Any) -> Int64Array:
    """Return where each list begins in ``lists.flatten()``, and the end of the last, int64 of shape (rows + 1,)."""
    lengths = np.asarray(pc.list_value_length(lists)).astype(np.int64)
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def first_value(series: Any) -> Any:
    """Return the first value that is not missing, for a message; None where the first hundred are."""
    return next((value for value in series.head(100).to_list() if value is not None), None)


def listed(rows: Int64Array, most: int = 5) -> str:
    """Return ``"7 rows (3, 5, 8, 9, 11, ...)"``."""
    shown = ", ".join(str(row) for row in rows[:most]) + (", ..." if len(rows) > most else "")
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} ({shown})"


def refuse(rows: Int64Array, name: str, why: str) -> None:
    """Raise a `ConfigError` that lists `rows`, if there are any."""
    if len(rows):
        raise ConfigError(
            f"{listed(rows)} of column {name!r} {why}. Leave these rows out of the table, or give them one."
        )
