"""A URL on its way, and who fetches it: what reading ahead and fetching say to each other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.meter import Meter
    from rowlock.pictures.content import Content, Version

__all__ = ["Fetch", "Wanted"]


class Fetch(Protocol):
    """Who fetches: `rowlock.remote.fetching.Fetcher`."""

    def version(self, url: str) -> Version | None:
        """Return the state of a file, None where its server tells none."""

    def content(self, url: str) -> Content:
        """Return a file, or raise why not."""

    def end_overdue(self) -> None:
        """Break off what takes too long."""

    def end(self) -> None:
        """Break off everything."""


class Wanted:
    """A URL on its way: announced, being fetched, or here.

    Attributes
    ----------
    version : Version or None
        Its state, where it was asked for.
    content : Content or None
        None as well where somebody has the picture already.
    error : Exception or None
        What came instead.
    costs : Meter or None
        Of fetching it; for the first who takes it.
    """

    def __init__(self, url: str, is_kept: Callable[[Version], bool] | None) -> None:
        self.url = url
        self.is_kept = is_kept
        self.version: Version | None = None
        self.content: Content | None = None
        self.error: BaseException | None = None
        self.costs: Meter | None = None
        self.is_begun = False
        self.is_urgent = False
        self.num_announced = 0  # batches that will ask for it
        self.num_readers = 0  # threads that are at it
        self.done_at = 0.0
        self.done = threading.Event()

    @property
    def num_bytes(self) -> int:
        """Memory that waits."""
        return 0 if self.content is None else len(self.content.data)

    @property
    def is_idle(self) -> bool:
        """Whether it is here, and nobody is at it."""
        return self.done.is_set() and not self.num_readers
