"""Where each entry lies: 16 bytes an entry in sorted arrays, because dicts of many millions do not fit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array, UInt64Array

__all__ = ["NOWHERE", "Places"]

NOWHERE = -1
_MOST_RECENT = 1 << 16


class Places:
    """A map from the low half of an identity to a number, for many readers and few writers.

    Readers take no lock: what is new lies in a small dict that is looked at first; when it is merged, the new
    arrays are published before the dict is emptied, so that an entry is always in one of the two.
    """

    def __init__(self) -> None:
        self._sorted: tuple[UInt64Array, Int64Array] = np.empty(0, np.uint64), np.empty(0, np.int64)
        self._recent: dict[int, int] = {}
        self.lock = threading.Lock()

    def find(self, low: int) -> int:
        """Return where the entry is, or `NOWHERE`."""
        place = self._recent.get(low)
        if place is not None:
            return place
        names, places = self._sorted
        at = names.searchsorted(np.uint64(low))
        return int(places[at]) if at < len(names) and names[at] == low else NOWHERE

    def put(self, low: int, place: int) -> None:
        """Note an entry; a later place wins, and `NOWHERE` forgets it."""
        with self.lock:
            self._recent[low] = place
            if len(self._recent) > _MOST_RECENT:
                self._merge(np.empty(0, np.uint64), np.empty(0, np.int64))

    def put_many(self, names: UInt64Array, places: Int64Array) -> None:
        """Note many entries, of which the last of a name wins."""
        with self.lock:
            self._merge(names, places)

    def _merge(self, names: UInt64Array, places: Int64Array) -> None:
        recent = list(self._recent.items())
        names = np.concatenate([np.array([low for low, _ in recent], np.uint64), names])
        places = np.concatenate([np.array([place for _, place in recent], np.int64), places])
        names, places = _last_of_each(names, places)
        old_names, old_places = self._sorted
        at = old_names.searchsorted(names)
        is_known = np.zeros(len(names), np.bool_)
        is_known[at < len(old_names)] = old_names[at[at < len(old_names)]] == names[at < len(old_names)]
        old_places = old_places.copy()  # readers may be looking at the other
        old_places[at[is_known]] = places[is_known]
        at, is_new = at[~is_known], ~is_known
        self._sorted = np.insert(old_names, at, names[is_new]), np.insert(old_places, at, places[is_new])
        self._recent = {}


def _last_of_each(names: UInt64Array, places: Int64Array) -> tuple[UInt64Array, Int64Array]:
    order = np.argsort(names, kind="stable")
    names, places = names[order], places[order]
    is_last = np.ones(len(names), np.bool_)
    is_last[:-1] = names[1:] != names[:-1]
    return names[is_last], places[is_last]
