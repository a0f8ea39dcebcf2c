"""Keys of a source without an index of its own, found by hash and compared exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import KeyTypeError, RepeatedKeysError

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array
    from rowlock.keys import Keys

__all__ = ["KeyJoin"]


class KeyJoin:
    """The row of every key; holds the keys and 16 bytes for each.

    Raises
    ------
    RepeatedKeysError
        A key occurs twice.
    """

    def __init__(self, keys: Keys, address: str) -> None:
        twice = keys.repeated()
        if len(twice):
            raise RepeatedKeysError(
                f"{address}: {len(twice):,} of {len(keys):,} keys repeat an earlier one: {keys.describe(twice)}."
                " A key must name one row; drop the repeats first."
            )
        self._keys = keys
        self._address = address
        hashes = keys.hash()
        self._rows = np.argsort(hashes).astype(np.int64, copy=False)
        self._hashes = hashes[self._rows]

    def find(self, keys: Keys, what: str) -> Int64Array:
        """Return the row of each of `keys`, int64, shape (n,); -1 where there is none."""
        if keys.kind != self._keys.kind:
            raise KeyTypeError(
                f"{what}: {keys.kind} keys ({keys.describe(most=2)}) are never equal to the {self._keys.kind} keys of"
                f" {self._address} ({self._keys.describe(most=2)}). Convert one of them."
            )
        hashes = keys.hash()
        places = np.searchsorted(self._hashes, hashes)
        found = np.full(len(keys), -1, np.int64)
        left = np.arange(len(keys))
        while len(left):  # more than once only where different texts share a hash
            left = left[places[left] < len(self._rows)]
            left = left[self._hashes[places[left]] == hashes[left]]
            rows = self._rows[places[left]]
            same = self._keys.equal(rows, keys, left)
            found[left[same]] = rows[same]
            left = left[~same]
            places[left] += 1
        return found
