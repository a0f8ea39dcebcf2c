"""When stored pixels are those that decoding would give: the same file, unchanged, and the same settings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rowlock.pictures.content import Version

__all__ = ["Identity", "digest_of", "identify", "is_settled"]

_COARSE_NS, _FINE_NS = 2_000_000_000, 100_000_000
_SECOND_NS = 1_000_000_000


class Identity(NamedTuple):
    """Name of an entry, 128 bits."""

    low: int
    """Where it is looked up; never 0."""
    high: int
    """Part of its check."""


def digest_of(*settings: object) -> bytes:
    """Return 16 bytes that tell these settings from all others."""
    return hashlib.blake2b(repr(settings).encode(), digest_size=16).digest()


def identify(key: bytes, version: Version, settings: bytes) -> Identity:
    """Return what the pixels of a picture in this state of its file are called in the cache."""
    digest = hashlib.blake2b(b"\0".join((key, version.facts)), digest_size=16, key=settings).digest()
    low, high = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
    return Identity(low or 1, high)


def is_settled(version: Version, now_ns: int) -> bool:
    """Return whether a change after `now_ns` would show in the file's times.

    The clock of a file system ticks every few milliseconds, in some every two seconds: a file that is written twice
    within a tick looks the same. Git calls such files racily clean.
    """
    tick = _FINE_NS if version.changed_ns % _SECOND_NS else _COARSE_NS
    return now_ns - version.changed_ns > tick
