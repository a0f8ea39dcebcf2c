"""Which rows a format reads together: a chunk, a row group, a record batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import Int64Array

__all__ = ["Pieces"]


class Pieces:
    """Rows 0..num_rows-1 cut into pieces, each of which is read whole or not at all.

    Parameters
    ----------
    num_rows : int
    edges : int64, shape (num_pieces + 1,), or None
        Piece i is the rows ``edges[i]..edges[i + 1] - 1``. None: every piece has `piece_rows` rows, but the last.
    piece_rows : int
    """

    def __init__(self, num_rows: int, *, edges: Int64Array | None = None, piece_rows: int = 1) -> None:
        self.num_rows = num_rows
        self._edges = edges
        self._piece_rows = max(1, piece_rows)

    @staticmethod
    def of_lengths(lengths: list[int]) -> Pieces:
        """Return pieces of these lengths; empty ones keep their number."""
        edges = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(lengths, np.int64))])
        return Pieces(int(edges[-1]), edges=edges)

    def __len__(self) -> int:
        if self._edges is not None:
            return len(self._edges) - 1
        return (self.num_rows + self._piece_rows - 1) // self._piece_rows

    @property
    def most_rows(self) -> int:
        """Rows of the largest piece."""
        if self._edges is not None:
            return int(np.diff(self._edges).max(initial=0))
        return min(self._piece_rows, self.num_rows)

    def lengths(self) -> Int64Array:
        """Return the rows of each different piece length with its count, int64, shape (k, 2)."""
        if self._edges is not None:
            return np.stack(np.unique(np.diff(self._edges), return_counts=True), axis=1)
        full, rest = divmod(self.num_rows, self._piece_rows)
        return np.array([(n, c) for n, c in ((self._piece_rows, full), (rest, int(rest > 0))) if c], np.int64)

    def start(self, piece: int) -> int:
        """Return the first row of a piece, or `num_rows` for the one behind the last."""
        if self._edges is not None:
            return int(self._edges[piece])
        return min(piece * self._piece_rows, self.num_rows)

    def of_rows(self, rows: Int64Array) -> Int64Array:
        """Return the piece of every row, int64, shape (n,)."""
        if self._edges is not None:
            return np.searchsorted(self._edges, rows, side="right") - 1
        return rows // self._piece_rows

    def runs(self, most_rows: int) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of runs of pieces that have at most `most_rows` rows together, or are one piece."""
        first = 0
        while first < len(self):
            last = self._reach(first, most_rows)
            yield first, last
            first = last

    def _reach(self, first: int, most_rows: int) -> int:
        if self._edges is None:
            return min(first + max(1, most_rows // self._piece_rows), len(self))
        last = int(np.searchsorted(self._edges, self._edges[first] + most_rows, side="right")) - 1
        return min(max(last, first + 1), len(self))
