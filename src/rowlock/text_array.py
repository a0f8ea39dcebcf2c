"""Text in plain arrays: the bytes of all, and where each begins and ends."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from rowlock.text_offsets import are_sound, damaged_offsets, sizes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rowlock.arrays import AnyArray, BoolArray, Int64Array, UInt64Array

__all__ = ["TextArray"]


@dataclass(frozen=True, eq=False, repr=False)
class TextArray:
    """Text in UTF-8, without a Python object each.

    Parameters
    ----------
    data : uint8, shape (m,)
        Bytes of all, one after the other.
    offsets : int64, shape (n + 1,)
        Text i is ``data[offsets[i]:offsets[i + 1]]``. They may come from a damaged file, and are checked wherever they
        are used: all methods may raise `StoreCorruptError`, or `SourceError` where there is no `source`.
    source : str
        The store that the text lies in, for messages; nothing, where it is somebody else's.
    """

    data: NDArray[np.uint8]
    offsets: Int64Array
    source: str = ""

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return the text of all parts, one after the other."""
        edges = [part.sound_offsets() for part in parts]
        sizes = np.concatenate([np.zeros(1, np.int64), *map(np.diff, edges)])
        data = [part.data[own[0] : own[-1]] for part, own in zip(parts, edges, strict=True)]
        return cls(np.concatenate(data), np.cumsum(sizes))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: AnyArray) -> TextArray:
        """Return a copy of the chosen text: int64, shape (k,), each in [0, n)."""
        from rowlock.key_kernels import copy_text  # noqa: PLC0415 - Numba is loaded on first use

        rows = np.ascontiguousarray(rows, np.int64)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(sizes_of(self.offsets, rows, len(self.data), self.source), out=offsets[1:])
        data = np.empty(offsets[-1], np.uint8)
        if copy_text(self.data, self.offsets, rows, data, offsets):
            raise damaged_offsets(self.offsets, len(self.data), self.source)
        return TextArray(data, offsets)

    def part(self, start: int, stop: int) -> TextArray:
        """Return a view of the text from `start` to `stop`."""
        return TextArray(self.data, self.offsets[start : stop + 1], self.source)

    def strings(self) -> AnyArray:
        """Return the text as an object array of str; bytes that are not UTF-8 are shown as escapes."""
        offsets = self.sound_offsets()
        memory = self.data[offsets[0] : offsets[-1]].tobytes()
        out = np.empty(len(self), object)
        for i, (start, stop) in enumerate(itertools.pairwise((offsets - offsets[0]).tolist())):
            out[i] = memory[start:stop].decode("utf-8", "backslashreplace")
        return out

    def hash(self) -> UInt64Array:
        """Return the ``mix64-1`` hash of every text, uint64, shape (n,); see `rowlock.keys.Keys`."""
        from rowlock.key_kernels import hash_all_text  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(self), np.uint64)
        return self._whole(hash_all_text(self.data, self.offsets, out), out)

    def hash_of(self, rows: Int64Array, *, bad_is_zero: bool = False) -> UInt64Array:
        """Return the hash of each of `rows`, uint64, shape (k,); `bad_is_zero`: 0 for what cannot be read."""
        from rowlock.key_kernels import hash_text  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(rows), np.uint64)
        num_bad = hash_text(self.data, self.offsets, rows, out)
        return out if bad_is_zero else self._whole(num_bad, out)

    def equal(self, rows: Int64Array, other: TextArray, other_rows: Int64Array) -> BoolArray:
        """Return whether text ``rows[i]`` is text ``other_rows[i]`` of `other`, bool, shape (k,)."""
        from rowlock.key_kernels import equal_text  # noqa: PLC0415 - Numba is loaded on first use

        out = np.empty(len(rows), np.bool_)
        left, right = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(other_rows, np.int64)
        equal_text(self.data, self.offsets, left, other.data, other.offsets, right, out)
        return out

    def _whole(self, num_bad: int, out: UInt64Array) -> UInt64Array:
        if num_bad:
            raise damaged_offsets(self.offsets, len(self.data), self.source)
        return out

    def sound_offsets(self) -> Int64Array:
        """Return the offsets if they all make sense, or raise."""
        if not are_sound(self.offsets[:-1], self.offsets[1:], len(self.data)).all():
            raise damaged_offsets(self.offsets, len(self.data), self.source)
        return self.offsets
