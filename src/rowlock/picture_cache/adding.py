"""Adding to the cache: segments that this process writes, the room that is left, and what is done when a disk fails."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.locks import tried
from rowlock.picture_cache.asked import Missing, Wanted
from rowlock.picture_cache.entries import Entry
from rowlock.picture_cache.identity import identify, is_settled
from rowlock.picture_cache.kernels import check_record
from rowlock.picture_cache.places import NOWHERE
from rowlock.picture_cache.segment import CHECK_BYTES, NAME_BYTES, SegmentWriter
from rowlock.private_folder import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.picture_cache.entries import Entries
    from rowlock.picture_cache.identity import Identity
    from rowlock.picture_cache.trouble import Trouble
    from rowlock.pictures.content import Version
    from rowlock.store.commit.row_check import RowFactors

__all__ = ["Adder"]

_LOOK_SECONDS = 2.0  # between looks at what other processes have written
_FREE_SHARE = 10  # without a budget, a tenth of the disk is left free


class Adder:
    """Adds pictures to a folder of the cache, as long as there is room and the disk takes them. Nothing raises.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    settings : bytes
    row_bytes : int
        Of a picture's pixels.
    max_bytes : int or None
        Budget of the whole folder; None: until a tenth of the disk is free.
    entries : Entries
        What is here, which grows.
    factors : RowFactors
        Of the checks.
    trouble : Trouble
    """

    def __init__(
        self,
        folder: Path,
        settings: bytes,
        row_bytes: int,
        max_bytes: int | None,
        entries: Entries,
        factors: RowFactors,
        trouble: Trouble,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._record_bytes = row_bytes + CHECK_BYTES
        self._max_bytes = max_bytes
        self._entries = entries
        self._factors = factors
        self._trouble = trouble
        self._writing = _Writing()
        try:
            make_folder(folder)
        except OSError as error:
            self._stop(f"the folder cannot be used ({error.strerror or error})")
        self.look()

    def add(self, decoded: Sequence[tuple[Missing, Callable[[], Version | None], AnyArray]]) -> list[Wanted]:
        """Keep pixels, and return what can be read from now on; see `PictureCache.add`."""
        if not self._may_add():
            return []
        kept = [_Kept(missing, identify(missing.key, version, self._settings), pixels)
                for missing, now, pixels in decoded
                if (version := _unchanged(missing, now)) is not None]  # fmt: skip
        return self._append(kept) if kept else []

    def look(self) -> None:
        """See what other processes have added, and how much room is left."""
        writing, is_held = self._writing, False
        try:
            for taken in tried(writing.lock):
                is_held = taken
                writing.look_at = time.monotonic() + _LOOK_SECONDS
                self._look_at_files(writing)
                break
        except OSError as error:
            self._stop(f"the folder cannot be read ({error.strerror or error})")
        finally:
            if is_held:
                writing.lock.release()

    def of_this_process(self) -> _Writing:
        """Return the state of writing, a new one in a forked child: a segment has one writer, locks may be nobody's."""
        if self._writing.pid != os.getpid():
            self._writing = _Writing()
            self._entries.after_fork()
        return self._writing

    def close(self) -> None:
        """Let go of the segment that is written."""
        self._writing.writer = None

    def _may_add(self) -> bool:
        writing = self.of_this_process()
        if time.monotonic() > writing.look_at:
            self.look()
        return not writing.is_off

    def _append(self, kept: Sequence[_Kept]) -> list[Wanted]:
        factors = self._factors
        try:
            reserved = self._reserve(self._writing, len(kept))
            if reserved is None:
                return []
            writer, segment, first, num_slots = reserved
            kept = kept[:num_slots]
            checks = [check_record(one.pixels, factors.factors, factors.salt, np.uint64(one.identity.high))
                      for one in kept]  # fmt: skip
            writer.write(first, [one.identity.low for one in kept], [one.pixels for one in kept], checks)
            places = [self._entries.put(one.identity.low, segment, first + at) for at, one in enumerate(kept)]
        except OSError as error:
            self._stop(f"it cannot be written ({error.strerror or error})")
            return []
        return [Wanted(one.missing, one.identity, Entry(place, writer))
                for one, place in zip(kept, places, strict=True)]  # fmt: skip

    def _reserve(self, writing: _Writing, num_records: int) -> tuple[SegmentWriter, int, int, int] | None:
        """Return this process's segment, its number, a slot, and how many from there are free; None: none is."""
        with writing.lock:
            num_free = min(num_records, writing.room)
            if num_free < num_records:
                self._trouble.tell("full", f"it is full ({_budget(self._max_bytes)}); the rest is decoded every time")
            if num_free <= 0:
                return None
            if writing.writer is None:
                writing.writer = SegmentWriter(self._folder, self._settings, self._record_bytes)
                writing.number = self._entries.add_segment(writing.writer)
            writing.room -= num_free
            return writing.writer, writing.number, writing.writer.reserve(num_free), num_free

    def _look_at_files(self, writing: _Writing) -> None:
        if writing.writer is not None and writing.writer.is_deleted:
            writing.writer = None
        used_bytes = self._entries.look("" if writing.writer is None else writing.writer.name)
        writing.room = self._room_beside(used_bytes)

    def _room_beside(self, used_bytes: int) -> int:
        """Return how many more records may be added."""
        if self._max_bytes is None:
            disk = shutil.disk_usage(self._folder)
            free_bytes = disk.free - disk.total // _FREE_SHARE
        else:
            free_bytes = self._max_bytes - used_bytes
        return free_bytes // (self._record_bytes + NAME_BYTES)

    def _stop(self, why: str) -> None:
        self._writing.is_off = True
        self._trouble.tell(
            "off", f"{why}; nothing more is added to it. Training goes on, and decodes what is not there"
        )


class _Kept(NamedTuple):
    """Pixels on their way into the cache."""

    missing: Missing
    identity: Identity
    pixels: AnyArray


class _Writing:
    """What one process needs for adding."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.writer: SegmentWriter | None = None
        self.number = NOWHERE
        self.room = 0
        self.look_at = 0.0
        self.is_off = False


def _unchanged(missing: Missing, now: Callable[[], Version | None]) -> Version | None:
    """Return the state that the file was in before it was decoded, if it is in it still, and a change would show."""
    before = missing.version
    return before if before is not None and is_settled(before, missing.asked_ns) and now() == before else None


def _budget(max_bytes: int | None) -> str:
    return "a tenth of the disk is left free" if max_bytes is None else f"cache_bytes={max_bytes:,}"
