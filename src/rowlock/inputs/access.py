"""What reading random rows costs in a format that was not made for it, and what a store would save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rowlock.sources import Pieces

__all__ = ["AccessCost", "cost_of_pages", "cost_of_pieces"]

_BATCH_ROWS = 256
_PAGE_BYTES = 4096
_LARGE = 8.0


@dataclass(frozen=True)
class AccessCost:
    """The cost of shuffled batches of 256 rows.

    Attributes
    ----------
    address : str
    amplification : float
        Bytes that are read and decoded for each byte that is wanted, once the cache is full. A feature store has 1
        and a page of the disk.
    piece_rows : int
        Most rows that are decoded together.
    total_bytes : int
        Size of the whole matrix, decoded.
    cache_bytes : int
        How much of it is kept decoded (for a mapped file: may be kept by the system).
    """

    address: str
    amplification: float
    piece_rows: int
    total_bytes: int
    cache_bytes: int

    @property
    def is_large(self) -> bool:
        """Whether packing is worth its time."""
        return self.amplification >= _LARGE

    def __str__(self) -> str:
        if not self.is_large:
            return f"{self.address}: about {self.amplification:.1f} bytes are read for a byte that is wanted"
        return (
            f"shuffled batches read {self.amplification:,.0f} bytes of {self.address} for a byte that is wanted: its"
            f" rows come {self.piece_rows:,} at a time. A store reads about what it needs:"
            f" rowlock pack {self.address} features.zarr{self._kept}"
        )

    @property
    def _kept(self) -> str:
        """What decoded pieces take beside the batches."""
        if self.piece_rows <= 1:
            return ""
        return (
            f". Meanwhile up to {self.cache_bytes >> 20} MiB of decoded pieces and the newest are kept, beside any"
            " memory_budget="
        )


def cost_of_pieces(address: str, pieces: Pieces, row_bytes: int, piece_row_bytes: int, cache_bytes: int) -> AccessCost:
    """Return the cost of pieces that are decoded whole.

    A batch of B random rows of N touches a piece of L rows with probability 1 - (1 - L/N)**B; of the pieces
    touched, the share that the cache holds costs nothing.
    """
    lengths, counts = pieces.lengths().T.astype(np.float64)
    total_bytes = pieces.num_rows * piece_row_bytes
    touched = 1 - (1 - lengths / max(1, pieces.num_rows)) ** _BATCH_ROWS
    decoded = float((lengths * counts * touched).sum()) * piece_row_bytes
    largest = max(1, pieces.most_rows * piece_row_bytes)
    kept_bytes = total_bytes if total_bytes <= cache_bytes else cache_bytes // largest * largest
    missed = 1 - min(1.0, kept_bytes / max(1, total_bytes))
    amplification = max(1.0, missed * decoded / (_BATCH_ROWS * row_bytes))
    return AccessCost(address, amplification, pieces.most_rows, total_bytes, cache_bytes)


def cost_of_pages(address: str, num_rows: int, row_bytes: int, run_bytes: int, cache_bytes: int) -> AccessCost:
    """Return the cost of a mapped file whose rows lie in runs of `run_bytes` consecutive bytes."""
    total_bytes = num_rows * row_bytes
    pages = 1 + max(0, run_bytes - 1) / _PAGE_BYTES
    missed = max(0.0, 1 - cache_bytes / max(1, total_bytes))
    amplification = max(1.0, missed * pages * _PAGE_BYTES / run_bytes)
    return AccessCost(address, amplification, 1, total_bytes, cache_bytes)
