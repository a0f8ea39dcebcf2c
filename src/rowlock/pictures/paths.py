"""A column of file names of any length, without a Python object a row."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.arrays import one_arrow_array
from rowlock.errors import ConfigError
from rowlock.list_columns import first_value, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["PathColumn", "as_binary", "to_arrow"]

_BLOCK_PATHS, _BLOCK_BYTES = 1 << 18, 1 << 24

_TEXT: tuple[Callable[[Any], bool], ...] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
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
        As the operating system wants them: UTF-8, or whatever bytes a file name has. One a row.

    Raises
    ------
    ConfigError
        The column is not text, or has rows without a path; the message lists them.
    """

    def __init__(self, series: Any, name: str) -> None:
        self.array = self._read(series, name)
        refuse(self.rows_of(self.places_where(_is_empty)), name, self._without)
        _, offsets, values = self.array.buffers()
        first, stop = self.array.offset, self.array.offset + len(self.array) + 1
        self._offsets = np.frombuffer(offsets, np.int64)[first:stop]
        self._values = memoryview(values)
        refuse(self.rows_of(self._places_with_nul()), name, "have a NUL character in their path")

    _what = "paths"
    _without = "have no path"

    def __len__(self) -> int:
        return len(self.array)

    @property
    def list_lengths(self) -> Int64Array:
        """Paths of each row, shape (number of rows,)."""
        return np.ones(len(self), np.int64)

    @property
    def buffers(self) -> tuple[Int64Array, AnyArray]:
        """Offsets and bytes: the path at place p is ``data[offsets[p]:offsets[p + 1]]``."""
        return self._offsets, np.frombuffer(self._values, np.uint8)

    def pictures_of(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return where in `array` the pictures of `rows` stand, int64 of shape (n,), and where in the batch they go."""
        return rows, np.arange(len(rows))

    def take(self, places: Int64Array) -> list[bytes]:
        """Return the paths at `places` of `array`, int64 of shape (n,)."""
        values = self._values
        starts, stops = self._offsets[places].tolist(), self._offsets[places + 1].tolist()
        return [bytes(values[start:stop]) for start, stop in zip(starts, stops, strict=True)]

    def take_lists(self, rows: Int64Array) -> list[list[bytes]]:
        """Return the paths of each of `rows`, int64 of shape (n,)."""
        return [[path] for path in self.take(rows)]

    def rows_of(self, places: Int64Array) -> Int64Array:
        """Return the rows, each once, whose paths stand at `places` of `array`."""
        return places

    def places_where(self, holds: Callable[[Any], Any]) -> Int64Array:
        """Return the places of `array` where a function of Arrow arrays says so, a block at a time."""
        starts = range(0, len(self.array), _BLOCK_PATHS)
        found = [start + np.flatnonzero(np.asarray(holds(self.array.slice(start, _BLOCK_PATHS)))) for start in starts]
        return np.concatenate([np.empty(0, np.int64), *found])

    def digest(self) -> str:
        """Return a short text that other paths, or the same in another order, do not have."""
        first, stop = int(self._offsets[0]), int(self._offsets[-1])
        found = hashlib.blake2b(digest_size=8)
        for start in range(0, len(self._offsets), _BLOCK_PATHS):
            found.update((self._offsets[start : start + _BLOCK_PATHS] - first).data)
        found.update(self._values[first:stop])
        return found.hexdigest()

    def _read(self, series: Any, name: str) -> Any:
        return as_binary(to_arrow(series, name, self._what), series, name, self._what)

    def _places_with_nul(self) -> Int64Array:
        first, stop = int(self._offsets[0]), int(self._offsets[-1])
        values = np.frombuffer(self._values, np.uint8, stop)
        starts = range(first, stop, _BLOCK_BYTES)
        blocks = ((start, values[start : start + _BLOCK_BYTES]) for start in starts)
        found = [start + np.flatnonzero(block == 0) for start, block in blocks if not block.min()]  # hardly ever any
        positions = np.concatenate([np.empty(0, np.int64), *found])
        return np.unique(np.searchsorted(self._offsets, positions, side="right") - 1)


def _is_empty(paths: Any) -> Any:
    return pc.fill_null(pc.equal(pc.binary_length(paths), 0), fill_value=True)


def to_arrow(series: Any, name: str, what: str = "paths") -> Any:
    """Return a column of text, or of lists of text, as one Arrow array; `what` it holds is for the message."""
    try:
        array = one_arrow_array(series)
    except (pa.ArrowException, TypeError, UnicodeEncodeError) as error:
        # Path objects, or surrogates that stand for the bytes of a file name that are not UTF-8.
        return _of_objects(series, name, what, error)
    is_addresses = pa.types.is_fixed_size_binary(array.type)  # of polars' objects
    return _of_objects(series, name, what, None) if is_addresses else array


def _of_objects(series: Any, name: str, what: str, cause: Exception | None) -> Any:
    try:
        return pa.array([_encoded(value) for value in series.to_list()])
    except (pa.ArrowException, TypeError, UnicodeEncodeError):
        raise _not_text(series, name, what) from cause


def as_binary(array: Any, series: Any, name: str, what: str = "paths") -> Any:
    """Return an Arrow array of text as large_binary; `series`, `name` and `what` it holds are for the message."""
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_null(array.type):
        array = array.cast(pa.large_string())
    if not any(is_text(array.type) for is_text in _TEXT):
        raise _not_text(series, name, what)
    return array.cast(pa.large_binary())


def _encoded(value: Any) -> Any:
    if isinstance(value, str | bytes | os.PathLike):
        return os.fsencode(value)
    if value is None or value != value:  # noqa: PLR0124 - NaN stands for what is missing in a column of objects
        return None
    return [_encoded(path) for path in value]


def _not_text(series: Any, name: str, what: str) -> ConfigError:
    first = first_value(series)
    if not isinstance(first, str) and isinstance(first, Iterable):
        return ConfigError(
            f"column {name!r} must hold {what} as text; it is {series.dtype}, its first value {first!r}. For several"
            " pictures a row, give num_images= and lists of text or of path objects."
        )
    form = "text or path objects" if what == "paths" else "text"
    return ConfigError(f"column {name!r} must hold {what} as {form}; it is {series.dtype}, its first value {first!r}.")
