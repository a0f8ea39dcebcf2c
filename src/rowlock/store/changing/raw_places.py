"""In which file, and where in it, a row of the ``raw`` layout lies: for what changes rows that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.commit.format import chunk_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit

__all__ = ["ROW_CHECK", "RowPlaces", "places_of_checks", "places_of_rows"]

ROW_CHECK = f"row_check/{chunk_name(0)}"


@dataclass(frozen=True, eq=False)
class RowPlaces:
    """Some rows that lie in one file.

    Attributes
    ----------
    name : str
        The file, such as ``"matrix/c.3.0"``.
    num_bytes : int
        Its committed length.
    size : int
        Its length, filled up by nothing.
    which : int64, shape (k,)
        Which of the rows asked for lie here.
    offsets : int64, shape (k,)
        Byte at which each of them starts.
    """

    name: str
    num_bytes: int
    size: int
    which: Int64Array
    offsets: Int64Array

    def changes(self, values: AnyArray) -> Iterator[tuple[int, AnyArray]]:
        """Yield (offset, new content) for each of these rows; `values` has one entry for each row asked for."""
        for which, offset in zip(self.which.tolist(), self.offsets.tolist(), strict=True):
            yield offset, values[which]


def places_of_rows(commit: Commit, rows: Int64Array) -> Iterator[RowPlaces]:
    """Yield where the bytes of `rows` lie, a shard at a time."""
    most = commit.rows_per_shard
    shards = rows // most
    for shard in np.unique(shards).tolist():
        which = np.flatnonzero(shards == shard)
        num_rows = min(most, commit.num_rows - shard * most)
        offsets = (rows[which] - shard * most) * commit.row_bytes
        name = f"matrix/{chunk_name(shard, 0)}"
        yield RowPlaces(name, num_rows * commit.row_bytes, most * commit.row_bytes, which, offsets)


def places_of_checks(commit: Commit, rows: Int64Array) -> RowPlaces:
    """Return where the checks of `rows` lie."""
    num_bytes = 8 * commit.num_rows
    return RowPlaces(ROW_CHECK, num_bytes, num_bytes, np.arange(len(rows)), 8 * rows)
