"""Locks that are only tried, without a moment in which Ctrl-C would leave them held for good."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

__all__ = ["tried"]


def tried(lock: threading.Lock, seconds: float = 0.0) -> Iterator[bool]:
    """Return an iterator that takes a lock and yields True, or yields nothing where somebody holds it for so long.

    Python runs handlers of signals when a function of C that was called returns: behind ``if lock.acquire(...):`` and
    before the ``try``, too. A loop calls unseen. To be used like this, and in no other way::

        is_held = False
        try:
            for taken in tried(lock):
                is_held = taken
                ...
                break
        finally:
            if is_held:
                lock.release()
    """
    return iter(partial(lock.acquire, True, seconds) if seconds > 0 else partial(lock.acquire, False), False)
