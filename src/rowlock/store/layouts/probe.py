"""Which layout suits the data: measured on rows of it. The rule and its reasons are in ``docs/adr/0009``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.layouts.blosc import MOST_ROW_BYTES, lz4_sizes

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

__all__ = ["Choice", "Probe", "spread"]

_SPARSE = 0.8  # share of zeros from which making rows dense is as fast as copying and checking dense ones
_WORTH_PACKING = 1.2  # how much smaller the rows must become
_SHUFFLE_GAIN = 0.9  # transposing must save a tenth, because undoing it takes time
_ROW_OVERHEAD = 24  # bytes beside the chunk of a packed row: its entries in Zarr's index and in row_offsets

# Only beyond these do later rows prove a choice wrong: in between it hardly matters.
_NOT_SPARSE, _VERY_SPARSE = 0.6, 0.9
_NOT_WORTH_PACKING, _WELL_WORTH_PACKING = 1.05, 1.5


@dataclass(frozen=True)
class Choice:
    """A layout, whether packed rows are transposed, and why."""

    layout: str
    shuffle: bool
    reason: str


def spread(block: AnyArray, num_rows: int) -> AnyArray:
    """Return at most `num_rows` rows from all over the block."""
    if len(block) <= num_rows:
        return block
    return np.ascontiguousarray(block[np.linspace(0, len(block) - 1, num_rows).astype(np.int64)])


class Probe:
    """What rows are like: how many zeros, and how well they compress.

    Parameters
    ----------
    has_scipy_dtype : bool
        Whether SciPy, hence `csr`, knows the dtype.
    """

    def __init__(self, *, has_scipy_dtype: bool) -> None:
        self._has_scipy_dtype = has_scipy_dtype
        self.num_rows = 0
        self._num_bytes = self._num_values = self._num_zeros = 0
        self._packed = [0, 0]  # without and with transposing

    def add(self, rows: AnyArray) -> None:
        """Look at rows: shape (n, num_columns), C-contiguous."""
        bits = rows.view(f"u{rows.itemsize}")
        self.num_rows += len(rows)
        self._num_bytes += rows.nbytes
        self._num_values += rows.size
        self._num_zeros += rows.size - int(np.count_nonzero(bits))
        for shuffle in (False, True):
            if rows.nbytes < len(rows) * MOST_ROW_BYTES:
                self._packed[shuffle] += int(lz4_sizes(rows, shuffle=shuffle).sum()) + _ROW_OVERHEAD * len(rows)
            else:
                self._packed[shuffle] += rows.nbytes

    @property
    def zeros(self) -> float:
        """Share of values without a bit set."""
        return self._num_zeros / max(1, self._num_values)

    @property
    def ratio(self) -> float:
        """How many times smaller packed rows are."""
        return self._num_bytes / max(1, min(self._packed))

    def choose(self) -> Choice:
        """Return the layout for rows like these."""
        sampled = f"{self.num_rows:,} row{'s' * (self.num_rows != 1)} sampled"
        if self.zeros >= _SPARSE and self._has_scipy_dtype and self._sparse_ratio >= _WORTH_PACKING:
            return Choice("csr", False, f"{self.zeros:.1%} zeros; {sampled}")
        if self.ratio >= _WORTH_PACKING:
            shuffle = self._packed[1] < _SHUFFLE_GAIN * self._packed[0]
            return Choice("packed", shuffle, f"LZ4 makes rows {self.ratio:.1f} times smaller; {sampled}")
        saved = round(100 - 100 / self.ratio) if self.ratio > 0 else 0
        return Choice("raw", False, f"LZ4 {f'would save {saved} %' if saved > 0 else 'saves nothing'}; {sampled}")

    def objection(self, layout: str) -> str | None:
        """Return why `layout` is clearly wrong for rows like these, or None."""
        better = self.choose()
        wrong = {
            "csr": self.zeros < _NOT_SPARSE,
            "packed": self.zeros >= _VERY_SPARSE or self.ratio < _NOT_WORTH_PACKING,
            "raw": self.zeros >= _VERY_SPARSE or self.ratio >= _WELL_WORTH_PACKING,
        }
        if better.layout == layout or not wrong[layout]:
            return None
        return f"{better.layout} would suit these better: {better.reason}"

    @property
    def _sparse_ratio(self) -> float:
        """How many times smaller sparse rows are, with columns of two bytes and eight more bytes a row."""
        num_cells = self._num_values - self._num_zeros
        itemsize = self._num_bytes / max(1, self._num_values)
        return self._num_bytes / (num_cells * (itemsize + 2) + 8 * self.num_rows)
