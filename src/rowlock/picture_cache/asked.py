"""Pictures on their way from the cache, or into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rowlock.picture_cache.entries import Entry
    from rowlock.picture_cache.identity import Identity
    from rowlock.pictures.content import Version

__all__ = ["Missing", "Wanted"]


class Missing(NamedTuple):
    """A picture that must be decoded."""

    number: int
    """Place among those that were asked for."""
    picture: int
    """Under which it can be recalled."""
    key: bytes
    version: Version | None
    asked_ns: int
    """When its file was not read yet."""


class Wanted(NamedTuple):
    """A record that should be there."""

    missing: Missing
    identity: Identity
    entry: Entry
