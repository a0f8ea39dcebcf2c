"""Which rows of a table a dataset has, in its own order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arrays import row_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["Selection"]

_BLOCK_ROWS = 1 << 20


class Selection:
    """All rows of a table, without any memory; or chosen ones, at 4 bytes a row (8 in tables of 2**31 rows).

    Parameters
    ----------
    num_table_rows : int
    chosen : integers, shape (n,), optional
        Rows of the table; any order, repeats allowed. None: all.
    """

    def __init__(self, num_table_rows: int, chosen: AnyArray | None = None) -> None:
        self._num_table_rows = num_table_rows
        self.chosen = None if chosen is None else chosen.astype(row_type(num_table_rows), copy=False)

    def __len__(self) -> int:
        return self._num_table_rows if self.chosen is None else len(self.chosen)

    def all(self) -> Int64Array:
        """Return all of its rows as rows of the table."""
        return np.arange(len(self)) if self.chosen is None else self.chosen.astype(np.int64)

    def at(self, rows: AnyArray) -> Int64Array:
        """Return the table's rows of some of its own."""
        found = rows if self.chosen is None else self.chosen[rows]
        return found.astype(np.int64, copy=False)

    def of(self, rows: AnyArray) -> Selection:
        """Return the selection of some of its own rows."""
        return Selection(self._num_table_rows, rows if self.chosen is None else self.chosen[rows])

    def without(self, table_rows: Int64Array) -> Selection:
        """Return it without some rows of the table."""
        kept = np.ones(self._num_table_rows, np.bool_)
        kept[table_rows] = False
        return Selection(
            self._num_table_rows, np.flatnonzero(kept) if self.chosen is None else self.chosen[kept[self.chosen]]
        )

    def update(self, digest: Any) -> None:
        """Add the chosen rows to a digest."""
        if self.chosen is not None:
            for block in self._blocks(self.chosen):
                digest.update(block.astype("<i8").data)

    @staticmethod
    def _blocks(values: AnyArray) -> Iterator[AnyArray]:
        for start in range(0, len(values), _BLOCK_ROWS):
            yield values[start : start + _BLOCK_ROWS]
