"""A column of lists of file names: several pictures a row."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.list_columns import list_starts, listed, lists_in
from rowlock.pictures.paths import PathColumn, as_binary, to_arrow

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array

__all__ = ["PathLists", "list_lengths"]


class PathLists(PathColumn):
    """Lists of paths: all paths in one buffer, one after the other, and where the list of each row begins.

    Parameters
    ----------
    series : narwhals.Series
        A column of lists of text: Arrow and polars lists and arrays, pandas objects.
    name : str
        Of the column, for messages.
    most : int
        Longest list that is served.
    longer : {"raise", "cut"}
        What becomes of longer ones: an error that lists them, or their first `most` paths count.

    Raises
    ------
    ConfigError
        The column is not of lists of text, or has rows without a list (an empty one is fine), entries without a path,
        or lists that are too long; the message lists the rows.
    """

    _without = "have an entry without a path"

    def __init__(self, series: Any, name: str, most: int, longer: str) -> None:
        self._most = most
        super().__init__(series, name)
        lengths = self.list_lengths
        too_long = np.flatnonzero(lengths > most)
        if len(too_long) and longer == "raise":
            raise ConfigError(
                f"{listed(too_long)} of column {name!r} have more than num_images={most} pictures, up to"
                f' {lengths.max()}. Raise num_images to that, or take the first {most} of each with longer="cut".'
            )

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def list_lengths(self) -> Int64Array:
        """Paths of each row, those that are cut off included, shape (number of rows,)."""
        return np.diff(self._starts)

    def pictures_of(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return where in `array` the pictures of `rows` stand, and where in the batch, `most` a row, they go."""
        starts = self._starts[rows]
        lengths = np.minimum(self._starts[rows + 1] - starts, self._most)
        row = np.repeat(np.arange(len(rows)), lengths)
        position = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return starts[row] + position, row * self._most + position

    def take_lists(self, rows: Int64Array) -> list[list[bytes]]:
        """Return the paths of each of `rows`, int64 of shape (n,); at most `most` a row."""
        starts = self._starts[rows]
        lengths = np.minimum(self._starts[rows + 1] - starts, self._most).tolist()
        return [
            self.take(np.arange(start, start + length)) for start, length in zip(starts.tolist(), lengths, strict=True)
        ]

    def rows_of(self, places: Int64Array) -> Int64Array:
        """Return the rows, each once, whose lists hold `places` of `array`."""
        return np.unique(np.searchsorted(self._starts, places, side="right") - 1)

    def digest(self) -> str:
        """Return a short text that other lists of paths do not have."""
        found = hashlib.blake2b(super().digest().encode(), digest_size=8)
        found.update(self._starts.data)
        return found.hexdigest()

    def _read(self, series: Any, name: str) -> Any:
        lists = _lists(series, name, self._what)
        self._starts = list_starts(lists)
        return as_binary(lists.flatten(), series, name, self._what)


def list_lengths(series: Any, name: str) -> Int64Array:
    """Return how many paths each row has, shape (number of rows,).

    Raises
    ------
    ConfigError
        Not a column of lists, or rows without one.
    """
    return np.diff(list_starts(_lists(series, name)))


def _lists(series: Any, name: str, what: str = "paths") -> Any:
    return lists_in(
        to_arrow(series, name, what),
        series,
        name,
        f"{what}, because num_images= was given",
        "For one picture a row, leave num_images out.",
    )
