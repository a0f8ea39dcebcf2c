"""Arithmetic of a long array in which some ranges get other content, longer or shorter: what then comes from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import BoolArray, Int64Array

__all__ = ["Piece", "Splice", "ends_before", "moved_offsets"]

_PIECE_ENTRIES = 1 << 20


class Piece(NamedTuple):
    """Some items of the changed array.

    Attributes
    ----------
    position : int
        Where they are in the changed array.
    source : int
        Where they come from: in the old array, or in what is new.
    num_items : int
    is_new : bool
    """

    position: int
    source: int
    num_items: int
    is_new: bool


class Splice:
    """Ranges of an array, and what takes their place.

    Parameters
    ----------
    starts, stops : int64, shape (k,)
        The ranges, ascending and apart; they may be empty.
    sizes : int64, shape (k,)
        How many items take their place.
    sources : int64, shape (k,)
        Where these are in what is new.
    total : int
        Items of the old array.

    Attributes
    ----------
    new_starts : int64, shape (k,)
        Where the new items begin in the changed array.
    total : int
        Items of the changed array.
    """

    def __init__(
        self, starts: Int64Array, stops: Int64Array, sizes: Int64Array, sources: Int64Array, total: int
    ) -> None:
        growth = sizes - (stops - starts)
        self.new_starts: Int64Array = starts + ends_before(growth)
        self.total = total + int(growth.sum())
        kept_from, kept_to = np.append(0, stops), np.append(starts, total)
        kept_at = np.append(0, self.new_starts + sizes)
        self._positions = _alternating(kept_at, self.new_starts)
        self._sources = _alternating(kept_from, sources)
        self._counts = _alternating(kept_to - kept_from, sizes)
        self._is_new: BoolArray = np.arange(len(self._counts)) % 2 == 1

    def pieces(self, first: int, stop: int) -> Iterator[Piece]:
        """Yield what is between `first` and `stop` in the changed array, in order; nothing is empty."""
        begin = max(0, int(np.searchsorted(self._positions + self._counts, first, side="right")))
        for i in range(begin, len(self._positions)):
            position, count = int(self._positions[i]), int(self._counts[i])
            if position >= stop:
                return
            skipped = max(0, first - position)
            count = min(position + count, stop) - position - skipped
            if count > 0:
                yield Piece(position + skipped, int(self._sources[i]) + skipped, count, bool(self._is_new[i]))

    def is_unchanged(self, first: int, stop: int) -> bool:
        """Return whether the items between `first` and `stop` are where they were."""
        pieces = self.pieces(first, stop)
        return all(not piece.is_new and piece.position == piece.source for piece in pieces)


def ends_before(sizes: Int64Array) -> Int64Array:
    """Return the sums of all entries before each."""
    sums: Int64Array = np.cumsum(sizes) - sizes
    return sums


def moved_offsets(
    offsets: Int64Array, rows: Int64Array, starts: Int64Array, sizes: Int64Array
) -> Iterator[tuple[int, Int64Array]]:
    """Yield the offsets of all rows after some have other lengths, piece by piece, with the first entry's number.

    Parameters
    ----------
    offsets : int64, shape (num_rows + 1,)
        Before.
    rows : int64, shape (k,)
        Rows of other content, ascending.
    starts, sizes : int64, shape (k,)
        Where they are now, and how long.
    """
    # Behind row rows[i], all moves by as much as its end; the offsets between stay as right, or wrong, as they were.
    shifts = np.append(0, starts + sizes - offsets[rows + 1])
    for first in range(0, len(offsets), _PIECE_ENTRIES):
        part = offsets[first : first + _PIECE_ENTRIES]
        part = part + shifts[np.searchsorted(rows, np.arange(first, first + len(part)), side="left")]
        for entries, values in ((rows, starts), (rows + 1, starts + sizes)):
            here = (entries >= first) & (entries < first + len(part))
            part[entries[here] - first] = values[here]
        yield first, part.astype("<i8", copy=False)


def _alternating(kept: Int64Array, new: Int64Array) -> Int64Array:
    both = np.empty(len(kept) + len(new), np.int64)
    both[0::2], both[1::2] = kept, new
    return both
