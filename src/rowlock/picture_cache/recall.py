"""What was found before: the state of each picture's file, and where its record is.

Naming an entry by a digest and looking it up takes as long as half of its pixels. Within one run the same pictures
are asked for again and again, by the same numbers: their notes are looked at first, all of a piece of work in one
call, without the interpreter's lock. A note is a hint, as places are: the file must be in the noted state now, and the
record is proved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.picture_cache.recall_kernels import NOBODY, recall_records, remember
from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.pictures.paths import PathColumn
    from rowlock.store.commit.row_check import RowFactors

__all__ = ["Recall"]

_MOST_NOTES = 1 << 18
"""15 MB. Whoever has more pictures has more pixels than fit into memory, and waits for the disk."""

_NOTE_WORDS = 7
_FUNCTIONS = ("statx", "preadv")


class Recall:
    """Notes about the pictures of one column, by the number of their path.

    Parameters
    ----------
    paths : PathColumn
    base : bytes
        Folder that relative paths start from.
    """

    def __init__(self, paths: PathColumn, base: bytes) -> None:
        self._starts, self._values = paths.buffers
        self._base = np.frombuffer(base.rstrip(b"/") + b"/", np.uint8)
        self._notes = np.full((min(len(paths.array), _MOST_NOTES), _NOTE_WORDS), NOBODY, np.int64)

    def read(
        self, pictures: Int64Array, descriptors: Int64Array, slot_bits: int, factors: RowFactors, pixels: AnyArray,
        rows: Int64Array,
    ) -> BoolArray:  # fmt: skip
        """Read records into rows of `pixels`; return which are whole, and proved, and of files as they are now.

        Parameters
        ----------
        pictures : int64, shape (n,)
            Numbers of paths.
        descriptors : int64, shape (s,)
            Open files by number of the segment; negative: not open.
        slot_bits : int
            A place is the number of a segment above so many bits, and that of a record below.
        factors : RowFactors
            Of the check.
        pixels : uint8, shape (m, row_bytes)
        rows : int64, shape (n,)
        """
        are_right = np.zeros(len(pictures), np.bool_)
        statx, preadv = map(address_of, _FUNCTIONS)
        record_bytes = pixels.shape[1] + 8
        numbers = np.ascontiguousarray(pictures, np.int64)
        recall_records(
            (statx, preadv), self._base, self._starts, self._values, numbers, self._notes, descriptors, slot_bits,
            record_bytes, pixels, rows, factors.factors, factors.salt, are_right,
        )  # fmt: skip
        return are_right

    def note(self, pictures: Sequence[int], facts: Sequence[bytes], places: Sequence[int], high: Sequence[int]) -> None:
        """Note the state of files, as `Root.version` says it, where records are, and the high half of their names."""
        states = np.frombuffer(b"".join(facts), "<i8").astype(np.int64).reshape(-1, 3)
        numbers, at = np.array(pictures, np.int64), np.array(places, np.int64)
        remember(self._notes, numbers, states, at, np.array(high, np.uint64))
