"""A column of lists of whole numbers, held in one buffer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.arrays import one_arrow_array
from rowlock.errors import ConfigError
from rowlock.list_columns import first_value, list_starts, listed, lists_in, refuse

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["NumberLists", "number_lists"]

_NUMBERED = "Number words or categories from 1 on first; 0 is for what is filled up."


class NumberLists:
    """Lists of numbers from 0 on: all numbers one after the other, and where the list of each row begins.

    Parameters
    ----------
    series : narwhals.Series
        A column of lists of integers: Arrow and polars lists and arrays, pandas objects.
    name : str
        Of the column, for messages.
    dtype : numpy.dtype
        Of integers; what the numbers are held as.

    Raises
    ------
    ConfigError
        The column is not of lists of integers, or has rows without a list (an empty one is fine), entries without a
        number, negative ones, or such as the dtype cannot hold; the message lists the rows.
    """

    def __init__(self, series: Any, name: str, dtype: np.dtype[Any]) -> None:
        lists = number_lists(series, name)
        self._starts = list_starts(lists)
        numbers = lists.flatten()
        if pa.types.is_null(numbers.type):  # nothing but empty lists, or entries without a number
            numbers = numbers.cast(pa.int64())
        if not pa.types.is_integer(numbers.type):
            raise ConfigError(
                f"column {name!r} must hold lists of whole numbers; they are {numbers.type}, the first list is"
                f" {first_value(series)!r}. {_NUMBERED}"
            )
        self._refuse(pc.is_null(numbers), name, "have an entry without a number")
        if pa.types.is_signed_integer(numbers.type):
            self._refuse(pc.less(numbers, 0), name, "have a negative number", "Tokens count from 0.", numbers)
        most = np.iinfo(dtype).max
        if most < np.iinfo(numbers.type.to_pandas_dtype()).max:
            above, advice = f"have a number above {most:,}, which {dtype} cannot hold", "Choose another dtype=."
            self._refuse(pc.greater(numbers, pa.scalar(most, numbers.type)), name, above, advice, numbers)
        self._numbers: AnyArray = np.asarray(numbers).astype(dtype, copy=False)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def lengths(self) -> Int64Array:
        """Numbers of each row, int64 of shape (number of rows,)."""
        return np.diff(self._starts)

    @property
    def largest(self) -> int:
        """The largest number of all; 0 where there is none."""
        return int(self._numbers.max(initial=0))

    def fill(self, rows: Int64Array, out: AnyArray, pad: int) -> None:
        """Write the first numbers of each of `rows` into ``out[i]``, as many as there is room for, and `pad` behind."""
        starts = self._starts[rows]
        lengths = np.minimum(self._starts[rows + 1] - starts, out.shape[1])
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
        out[...] = pad
        out[np.arange(out.shape[1]) < lengths[:, None]] = self._numbers[places]

    def digest(self) -> str:
        """Return a short text that other lists do not have."""
        found = hashlib.blake2b(self._starts.data, digest_size=8)
        found.update(np.ascontiguousarray(self._numbers).data)
        return found.hexdigest()

    def _refuse(self, wrong: Any, name: str, why: str, advice: str = "", numbers: Any = None) -> None:
        """Raise a `ConfigError` that lists the rows of wrong numbers, if there are any."""
        places = np.flatnonzero(np.asarray(wrong))
        if len(places) == 0:
            return
        rows = np.unique(np.searchsorted(self._starts, places, side="right") - 1)
        if numbers is None:
            refuse(rows, name, why)
        first = numbers[int(places[0])].as_py()
        raise ConfigError(f"{listed(rows)} of column {name!r} {why}: the first is {first}. {advice}")


def number_lists(series: Any, name: str) -> Any:
    """Return a column as an Arrow array of lists, of whatever they hold.

    Raises
    ------
    ConfigError
        Not a column of lists, or rows without one.
    """
    try:
        array = _array(series)
    except (pa.ArrowException, TypeError, UnicodeEncodeError, OverflowError) as error:
        raise ConfigError(
            f"column {name!r} must hold lists of whole numbers; its first value is {first_value(series)!r}, and it"
            f" cannot be read as lists of one type: {error}"
        ) from error
    return lists_in(array, series, name, "whole numbers", _NUMBERED)


def _array(series: Any) -> Any:
    try:
        return one_arrow_array(series)
    except OverflowError:  # Python's numbers are taken for int64
        return pa.array(series.to_list(), pa.list_(pa.uint64()))
