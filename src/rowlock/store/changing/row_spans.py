"""Where rows of different lengths lie in an array, by offsets that may be damaged, and how much of that is proved.

A row that has its check and is not empty proves both of its ends. What lies between two such rows belongs to the rows
between them; if all their lengths are known, and together are as long as that, each one's place is known, whatever
the offsets say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import BoolArray, Int64Array

__all__ = ["Edits", "RowSpans", "Run", "in_sorted"]

_BLOCK_ROWS = 1 << 16
_NEAR_ROWS = 64


@dataclass(frozen=True, eq=False)
class Edits:
    """Rows that get other content, ascending: the range that each leaves, and how long it will be."""

    rows: Int64Array
    starts: Int64Array
    stops: Int64Array
    sizes: Int64Array

    @classmethod
    def joined(cls, parts: list[Edits]) -> Edits:
        """Return all of them, in the order of the rows."""
        none = np.empty(0, np.int64)
        order = np.argsort(np.concatenate([none, *(part.rows for part in parts)]), kind="stable")
        names = ("rows", "starts", "stops", "sizes")
        return cls(*(np.concatenate([none, *(getattr(part, name) for part in parts)])[order] for name in names))

    def behind(self, first: int) -> Edits:
        """Return the same of rows that are counted from `first`."""
        return Edits(self.rows + first, self.starts, self.stops, self.sizes)


@dataclass(frozen=True, eq=False)
class Run:
    """Rows between two that are proved.

    Attributes
    ----------
    rows : int64, shape (n,)
    sizes : int64, shape (n,)
        -1 where it is not known.
    start, stop : int
        What belongs to all of them.
    """

    rows: Int64Array
    sizes: Int64Array
    start: int
    stop: int

    @property
    def is_complete(self) -> bool:
        """Whether all lengths are known."""
        return bool((self.sizes >= 0).all())

    def edits(self) -> Edits:
        """Return the edits that give all rows other content: the first leaves what all of them had."""
        starts = np.full(len(self.rows), self.stop)
        starts[0] = self.start
        return Edits(self.rows, starts, np.full(len(self.rows), self.stop), self.sizes)

    def places(self) -> Int64Array:
        """Return where each row begins; -1 where that is not proved."""
        found = np.full(len(self.rows), -1, np.int64)
        unknown = np.flatnonzero(self.sizes < 0)
        if not len(unknown):
            if int(self.sizes.sum()) == self.stop - self.start:
                found[:] = self.start + np.cumsum(self.sizes) - self.sizes
            return found
        head, tail = self.sizes[: unknown[0]], self.sizes[unknown[-1] + 1 :]
        if int(head.sum()) + int(tail.sum()) <= self.stop - self.start:
            found[: len(head)] = self.start + np.cumsum(head) - head
            found[len(found) - len(tail) :] = self.stop - np.cumsum(tail[::-1])[::-1]
        return found


class RowSpans:
    """Rows in one array.

    Parameters
    ----------
    offsets : int64, shape (num_rows + 1,)
        Where rows begin; not trusted.
    end : int
        Where the last one ends; the first begins at 0.
    has_check : callable
        Returns for row numbers whether these rows, read by the offsets, have their checks.
    """

    def __init__(self, offsets: Int64Array, end: int, has_check: Callable[[Int64Array], BoolArray]) -> None:
        self._offsets, self._end, self._has_check = offsets, end, has_check
        self._num_rows = len(offsets) - 1
        self._is_trusted = True

    def require_order(self, where: str) -> None:
        """Raise if the offsets do not ascend from 0 to the end: then a row might be another's."""
        ends = (int(self._offsets[0]), int(self._offsets[-1]))
        if ends != (0, self._end) or not all((part[1:] >= part[:-1]).all() for part in self._parts()):
            raise _not_certain(where)

    def trust_if_apart(self) -> None:
        """Let rows prove their ends only if no two of them claim the same place: equal rows could be exchanged."""
        last = 0
        for first in range(0, self._num_rows, _BLOCK_ROWS):
            rows = np.arange(first, min(first + _BLOCK_ROWS, self._num_rows))
            rows = rows[self._is_proof(rows)]
            starts, stops = self._offsets[rows], self._offsets[rows + 1]
            if len(rows):
                before = np.append(last, stops[:-1])
                self._is_trusted = self._is_trusted and bool((starts >= before).all() and stops[-1] <= self._end)
                last = int(stops[-1])

    def edits(self, rows: Int64Array, sizes: Int64Array, where: str) -> Edits:
        """Return what changes if `rows` (ascending) get content of other lengths.

        Raises
        ------
        StoreCorruptError
            Where one of them ends is not certain.
        """
        proved = self._is_proof(rows)
        parts = [Edits(rows[proved], self._offsets[rows[proved]], self._offsets[rows[proved] + 1], sizes[proved])]
        for run in self.runs(rows[~proved], rows, sizes):
            if not run.is_complete or run.stop < run.start:
                raise _not_certain(where)
            parts.append(run.edits())
        return Edits.joined(parts)

    def runs(self, rows: Int64Array, known: Int64Array, sizes: Int64Array) -> Iterator[Run]:
        """Yield the runs that hold one of `rows` (ascending, none proves anything); `known` ones have `sizes`."""
        done = -1
        for row in rows.tolist():
            if row < done:
                continue
            first, done = self._nearest_before(row), self._nearest_behind(row)
            members = np.arange(first, done)
            lengths = np.where(self._has_check(members), self._offsets[members + 1] - self._offsets[members], -1)
            given = in_sorted(members, known)
            lengths[given] = sizes[np.searchsorted(known, members[given])]
            start = int(self._offsets[first]) if first else 0
            stop = int(self._offsets[done]) if done < self._num_rows else self._end
            yield Run(members, lengths, start, stop)

    def _is_proof(self, rows: Int64Array) -> BoolArray:
        if not self._is_trusted:
            return np.zeros(len(rows), np.bool_)
        found: BoolArray = self._has_check(rows) & (self._offsets[rows + 1] > self._offsets[rows])
        return found

    def _nearest_before(self, row: int) -> int:
        """Return the row behind the nearest that proves its end, or 0."""
        reach = _NEAR_ROWS
        while row > 0:
            near = np.arange(max(0, row - reach), row)
            proved = np.flatnonzero(self._is_proof(near))
            if len(proved):
                return int(near[proved[-1]]) + 1
            row, reach = int(near[0]), min(2 * reach, _BLOCK_ROWS)
        return 0

    def _nearest_behind(self, row: int) -> int:
        """Return the nearest row that proves where it begins, or the number of rows."""
        reach = _NEAR_ROWS
        row += 1
        while row < self._num_rows:
            near = np.arange(row, min(row + reach, self._num_rows))
            proved = np.flatnonzero(self._is_proof(near))
            if len(proved):
                return int(near[proved[0]])
            row, reach = int(near[-1]) + 1, min(2 * reach, _BLOCK_ROWS)
        return self._num_rows

    def _parts(self) -> Iterator[Int64Array]:
        for first in range(0, self._num_rows, _BLOCK_ROWS):
            yield self._offsets[first : first + _BLOCK_ROWS + 1]


def in_sorted(values: Int64Array, ascending: Int64Array) -> BoolArray:
    """Return which values occur in an ascending array."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    found: BoolArray = ascending[np.searchsorted(ascending[:-1], values)] == values
    return found


def _not_certain(where: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{where} is damaged, so that it is not certain where the rows to replace end. Nothing was written;"
        " `store.repair` first."
    )
