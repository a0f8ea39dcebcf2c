"""The last decoded pieces of a matrix, within a bound of bytes; each is decoded once, whoever asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from rowlock.arrays import AnyArray

__all__ = ["PieceCache"]


class PieceCache:
    """Arrays by name: the first ones that fit stay, and of all others the newest.

    Every shuffled batch walks through the pieces in ascending order. A cache that drops what was not used for
    longest drops each piece just before it is needed again, and never helps; one that keeps what it has helps
    with the share that fits. Rows in order need the newest piece alone, however large it is.

    Parameters
    ----------
    max_bytes : int
        Most that stays. The newest comes on top, and what is being decoded or copied from: a piece for each
        thread.

    Attributes
    ----------
    num_bytes : int
        That stay now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._kept: dict[Hashable, AnyArray] = {}
        self._newest: dict[Hashable, AnyArray] = {}
        self._loading: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    def get(self, name: Hashable, load: Callable[[], AnyArray]) -> AnyArray:
        """Return the array of that name, from `load` if it is not kept; threads that ask meanwhile wait for it."""
        while True:
            with self._lock:
                found = self._kept.get(name, self._newest.get(name))
                if found is not None:
                    return found
                other = self._loading.get(name)
                if other is None:
                    mine = self._loading[name] = threading.Event()
                    break
            other.wait()
            if name not in self._kept and name not in self._newest:  # it failed there, or was followed by others
                return load()
        try:
            array = load()
            self._keep(name, array)
            return array
        finally:
            with self._lock:
                del self._loading[name]
            mine.set()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._newest = {}
            self.num_bytes = 0

    def _keep(self, name: Hashable, array: AnyArray) -> None:
        with self._lock:
            if self.num_bytes + array.nbytes > self.max_bytes:
                self._newest = {name: array}
                return
            self._kept[name] = array
            self.num_bytes += array.nbytes
