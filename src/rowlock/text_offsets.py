"""Offsets of text keys that may come from a damaged file: which of them can be used, and what is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import RowlockError, SourceError, StoreCorruptError

if TYPE_CHECKING:
    from rowlock.arrays import BoolArray, Int64Array

__all__ = ["are_sound", "damaged_offsets", "sizes_of"]


def are_sound(starts: Int64Array, stops: Int64Array, num_bytes: int) -> BoolArray:
    """Return which spans lie inside of `num_bytes`; compared, because a difference of damaged numbers may wrap."""
    sound: BoolArray = (starts >= 0) & (starts <= stops) & (stops <= num_bytes)
    return sound


def sizes_of(offsets: Int64Array, rows: Int64Array, num_bytes: int, source: str) -> Int64Array:
    """Return how long the text of each of `rows` is, int64, shape (k,), or raise what `damaged_offsets` returns."""
    starts, stops = offsets[rows], offsets[rows + 1]
    sizes: Int64Array = stops - starts
    sound = bool(are_sound(starts, stops, num_bytes).all())
    if sound and int(sizes.sum()) > num_bytes:  # rows are repeated, or overlap: that would be memory for nothing
        _, first = np.unique(rows, return_index=True)
        sound = int(sizes[first].sum()) <= num_bytes
    if not sound:
        raise damaged_offsets(offsets, num_bytes, source)
    return sizes


def damaged_offsets(offsets: Int64Array, num_bytes: int, source: str) -> RowlockError:
    """Return the error that names the first key whose offsets make no sense.

    Parameters
    ----------
    offsets : int64, shape (n + 1,)
    num_bytes : int
        Of all text.
    source : str
        The store that they belong to; nothing, where they came from elsewhere.
    """
    wrong = np.flatnonzero(~are_sound(offsets[:-1], offsets[1:], num_bytes))
    first = int(wrong[0]) if len(wrong) else 0
    start, stop = (int(edge) for edge in offsets[first : first + 2])
    where = f"bytes {start:,}..{stop:,} of {num_bytes:,}"
    if not source:
        return SourceError(
            f"text keys are damaged: by its offsets, the key at position {first:,} would be {where} ({len(wrong):,} of"
            f" {len(offsets) - 1:,} keys are so). Nothing was delivered. Restore the file that they come from."
        )
    return StoreCorruptError(
        f"the stored keys of {source} are damaged: by key_offsets, the key of row {first:,} would be {where} in"
        f" key_bytes ({len(wrong):,} of {len(offsets) - 1:,} rows are so, and their neighbours may be damaged too)."
        " Nothing was delivered. Rows whose own keys are whole are not affected, and can be read by number:"
        " store[[...]] checks each. `store.verify()` lists all that is damaged. Restore key_offsets from a copy, or"
        " write the store again; `store.repair` cannot bring keys back.",
        rows=wrong.tolist(),
    )
