"""When stored pixels are those that decoding would give: the same file, unchanged, and the same settings."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from typing import NamedTuple

__all__ = ["Identity", "digest_of", "identify", "is_settled"]

_STATUS = struct.Struct("<qqq")
_COARSE_NS, _FINE_NS = 2_000_000_000, 100_000_000
_SECOND_NS = 1_000_000_000


class Identity(NamedTuple):
    """Name of an entry, 128 bits, and when the file last changed."""

    low: int
    """Where it is looked up; never 0."""
    high: int
    """Part of its check."""
    changed_ns: int
    """The file's ctime."""


def digest_of(*settings: object) -> bytes:
    """Return 16 bytes that tell these settings from all others."""
    return hashlib.blake2b(repr(settings).encode(), digest_size=16).digest()


def identify(path: bytes, settings: bytes) -> Identity | None:
    """Return what the file at `path` is called in the cache; None where the system does not say what it is.

    Its name, size, mtime and ctime. The latter is set by whatever writes or renames a file and cannot be set by
    hand: a file of equal size that comes with its old mtime (``cp -p``, archives) in another's place is told apart.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are bytes
    except OSError:
        return None
    facts = _STATUS.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest = hashlib.blake2b(path + facts, digest_size=16, key=settings).digest()
    low, high = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
    return Identity(low or 1, high, status.st_ctime_ns)


def is_settled(identity: Identity) -> bool:
    """Return whether a change from now on would show in the file's times.

    The clock of a file system ticks every few milliseconds, in some every two seconds: a file that is written twice
    within a tick looks the same. Git calls such files racily clean.
    """
    tick = _FINE_NS if identity.changed_ns % _SECOND_NS else _COARSE_NS
    return time.time_ns() - identity.changed_ns > tick
