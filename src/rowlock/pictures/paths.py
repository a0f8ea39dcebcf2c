"""A column of file names of any length, without a Python object a row."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import Int64Array

__all__ = ["PathColumn", "listed"]

_TEXT: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_large_binary,
)


class PathColumn:
    """Paths as bytes in one buffer; the few that a gather needs are cut out.

    Parameters
    ----------
    series : narwhals.Series
        A column of text.
    name : str
        Of the column, for messages.

    Attributes
    ----------
    array : pyarrow.LargeBinaryArray
        As the operating system wants them: UTF-8, or whatever bytes a file name has.

    Raises
    ------
    ConfigError
        The column is not text, or has rows without a path; the message lists them.
    """

    def __init__(self, series: Any, name: str) -> None:
        self.array = _as_binary(series, name)
        empty = pc.fill_null(pc.equal(pc.binary_length(self.array), 0), fill_value=True)
        _refuse(np.flatnonzero(np.asarray(empty)), name, "have no path")
        _, offsets, values = self.array.buffers()
        first, stop = self.array.offset, self.array.offset + len(self.array) + 1
        self._offsets = np.frombuffer(offsets, np.int64)[first:stop]
        self._values = memoryview(values)
        _refuse(self._rows_with_nul(), name, "have a NUL character in their path")

    def __len__(self) -> int:
        return len(self.array)

    def take(self, rows: Int64Array) -> list[bytes]:
        """Return the paths of `rows`, int64 of shape (n,)."""
        values = self._values
        starts, stops = self._offsets[rows].tolist(), self._offsets[rows + 1].tolist()
        return [bytes(values[start:stop]) for start, stop in zip(starts, stops, strict=True)]

    def digest(self) -> str:
        """Return a short text that other paths, or the same in another order, do not have."""
        first, stop = int(self._offsets[0]), int(self._offsets[-1])
        found = hashlib.blake2b((self._offsets - first).data, digest_size=8)
        found.update(self._values[first:stop])
        return found.hexdigest()

    def _rows_with_nul(self) -> Int64Array:
        first, stop = int(self._offsets[0]), int(self._offsets[-1])
        positions = np.flatnonzero(np.frombuffer(self._values, np.uint8, stop)[first:] == 0) + first
        return np.unique(np.searchsorted(self._offsets, positions, side="right") - 1)


def listed(rows: Int64Array, most: int = 5) -> str:
    """Return ``"7 rows (3, 5, 8, 9, 11, ...)"``."""
    shown = ", ".join(str(row) for row in rows[:most]) + (", ..." if len(rows) > most else "")
    return f"{len(rows)} {'row' if len(rows) == 1 else 'rows'} ({shown})"


def _as_binary(series: Any, name: str) -> Any:
    try:
        array = series.to_arrow()
    except UnicodeEncodeError:  # surrogates stand for the bytes of a file name that are not UTF-8
        paths = (None if path is None else os.fsencode(path) for path in series.to_list())
        array = pa.array(paths, pa.large_binary())
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError) as error:
        raise _not_text(series, name) from error
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_null(array.type):
        array = array.cast(pa.large_string())
    if not any(is_text(array.type) for is_text in _TEXT):
        raise _not_text(series, name)
    return array.cast(pa.large_binary())


def _not_text(series: Any, name: str) -> ConfigError:
    first = next((value for value in series.head(100).to_list() if value is not None), None)
    return ConfigError(
        f"column {name!r} must hold paths as text; it is {series.dtype}, its first value {first!r}."
        f" For path objects, write frame[{name!r}] = frame[{name!r}].map(str)."
    )


def _refuse(rows: Int64Array, name: str, why: str) -> None:
    if len(rows):
        raise ConfigError(
            f"{listed(rows)} of column {name!r} {why}. Leave these rows out of the table, or give them one."
        )
