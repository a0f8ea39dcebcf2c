"""Reading at a place of an open file: by the C library's own functions, and by what Python has where there are none."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READERS", "address_of", "read_at"]

_WORD_BYTES = 8
_seeking = threading.Lock()


@cache
def address_of(name: str) -> int:
    """Return the address of a function of the C library that compiled loops can call; 0 if there is none."""
    if os.name != "posix" or ctypes.sizeof(ctypes.c_void_p) != _WORD_BYTES:
        return 0  # the loops pass offsets of 64 bits
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _by_preadv(descriptor: int, target: memoryview, offset: int) -> int:
    return os.preadv(descriptor, [target], offset)


def _by_pread(descriptor: int, target: memoryview, offset: int) -> int:
    data = os.pread(descriptor, len(target), offset)
    target[: len(data)] = data
    return len(data)


def _by_seeking(descriptor: int, target: memoryview, offset: int) -> int:
    """Read where the system has no call for it, as Windows: the place belongs to the descriptor."""
    with _seeking:
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, len(target))
    target[: len(data)] = data
    return len(data)


READERS: dict[str, Callable[[int, memoryview, int], int]] = {
    "preadv": _by_preadv,
    "pread": _by_pread,
    "lseek": _by_seeking,
}
"""Ways to read into memory from an offset, by the function of `os` that each needs, best first; they return how many
bytes there were."""

read_at = next(reader for name, reader in READERS.items() if hasattr(os, name))
