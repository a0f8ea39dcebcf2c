"""`PictureCache`: pixels from the disk where they are right, from the decoder where they are not."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import numpy as np

from rowlock.meter import note_cache, note_read, stage
from rowlock.picture_cache.folder import list_files
from rowlock.picture_cache.identity import identify, is_settled
from rowlock.picture_cache.kernels import check_record, read_records
from rowlock.picture_cache.places import NOWHERE, Places
from rowlock.picture_cache.segment import (
    CHECK_BYTES,
    NAME_BYTES,
    PIXELS,
    PLACES,
    OpenFile,
    Segment,
    SegmentWriter,
    read_names,
)
from rowlock.private_folder import make_folder
from rowlock.store.commit.row_check import RowFactors
from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.picture_cache.identity import Identity
    from rowlock.pictures.content import Version

__all__ = ["PictureCache"]

_log = logging.getLogger(__name__)

_SLOT_BITS = 40
_SLOTS = (1 << _SLOT_BITS) - 1
_MOST_OPEN = 128  # segments; of 1024 files that a process may usually have open
_LOOK_SECONDS = 2.0  # between looks at what other processes have written
_SAMPLES = 8
_FREE_SHARE = 10  # without a budget, a tenth of the disk is left free


class PictureCache:
    """Pixels of one size, in a folder that all processes of a user may share, also with other settings.

    Parameters
    ----------
    folder : str or path
        Made where it is missing.
    settings : bytes
        Digest of all that decides what becomes of a file: see `rowlock.picture_cache.identity.digest_of`.
    row_bytes : int
        Of a picture's pixels.
    max_bytes : int or None
        Budget of the whole folder; None: until a tenth of the disk is free. When it is used up, nothing more is
        added, and nothing is thrown out: an epoch reads each picture once, so whatever was thrown out would be asked
        for as soon as what took its place.

    Raises
    ------
    ConfigError
        The folder is not safe. One that cannot be used is no error: all is decoded.

    Notes
    -----
    Hits take no lock. Nothing that a disk does raises.
    """

    def __init__(
        self, folder: str | os.PathLike[str], settings: bytes, row_bytes: int, max_bytes: int | None = None
    ) -> None:
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link that is refused
        self._settings = settings
        self._record_bytes = row_bytes + CHECK_BYTES
        self._max_bytes = max_bytes
        self._factors = RowFactors.of(UUID(bytes=settings), row_bytes)
        self._places = Places()
        self._segments: list[Segment] = []
        self._seen: dict[str, tuple[int, int]] = {}  # name: number of the segment, slots that were looked at
        self._has_warned: set[str] = set()
        self._writing = _Writing()
        self._is_closed = False
        try:
            make_folder(self._folder)
        except OSError as error:
            self._stop_adding(f"the folder cannot be used ({error.strerror or error})")
        self._look()

    def fill(
        self, pictures: Sequence[tuple[bytes, Version | None]], pixels: AnyArray, places: Sequence[int]
    ) -> list[int]:
        """Fill in what is here, proved, and return the numbers of the `pictures` that are not.

        Parameters
        ----------
        pictures : sequence of (key, Version or None)
            See `rowlock.pictures.content.key_of`; the present state of the file, None: nothing of it is kept.
        pixels : uint8, shape (n, row_bytes), C-contiguous
        places : sequence of int
            Row of `pixels` for each picture.
        """
        with stage("read"):
            wanted = self._find(pictures)
            at = np.array([places[one.number] for one in wanted], np.int64)
            are_right = self._read(wanted, pixels, at)
        num_right = int(are_right.sum())
        note_read(num_right * self._record_bytes)
        note_cache(num_hits=num_right)
        if num_right < len(wanted):
            self._reject([one.identity for one, is_right in zip(wanted, are_right, strict=True) if not is_right])
        here = {one.number for one, is_right in zip(wanted, are_right, strict=True) if is_right}
        return [number for number in range(len(pictures)) if number not in here]

    def add(self, key: bytes, before: Version | None, now: Callable[[], Version | None], pixels: AnyArray) -> None:
        """Keep pixels that were decoded, if the file is still in the state that it was in before that.

        Parameters
        ----------
        key : bytes
        before : Version or None
            The file's state before it was read; None: nothing of it is kept.
        now : callable
            Returns the state of the bytes that were decoded, or that of the file now.
        pixels : uint8, C-contiguous
        """
        note_cache(num_misses=1)
        if before is not None and not self._is_closed and self._may_add(before) and now() == before:
            self._append(identify(key, before, self._settings), pixels.reshape(-1))

    def will_need(self, pictures: Iterable[tuple[bytes, Version | None]]) -> list[bytes]:
        """Let the system read the records of pictures, and return the keys of those that have none.

        If the first few are in its memory, so are all others, or nearly: nothing more is looked up.
        """
        segments = self._segments  # before the places: `close` forgets places first
        missing, num_in_memory = [], 0
        for number, (key, version) in enumerate(pictures):
            place = NOWHERE if version is None else self._places.find(identify(key, version, self._settings).low)
            if place == NOWHERE:
                missing.append(key)
                continue
            segment, slot = segments[place >> _SLOT_BITS], place & _SLOTS
            if number < _SAMPLES and segment.is_in_memory(slot):
                num_in_memory += 1
            else:
                segment.will_need(slot)
            if number + 1 == num_in_memory == _SAMPLES:
                break
        return missing

    def close(self) -> None:
        """Let go of all files, as soon as no thread uses them; all is decoded from now on."""
        self._is_closed = True
        self._writing.writer = None
        self._places = Places()
        self._segments = []

    def _find(self, pictures: Sequence[tuple[bytes, Version | None]]) -> list[_Wanted]:
        """Return the records that should be here."""
        segments = self._segments  # before the places: `close` forgets places first
        found = list[_Wanted]()
        for number, (key, version) in enumerate(pictures):
            if version is None:
                continue
            identity = identify(key, version, self._settings)
            place = self._places.find(identity.low)
            if place != NOWHERE:
                found.append(_Wanted(number, identity, segments[place >> _SLOT_BITS], place & _SLOTS))
        return found

    def _read(self, wanted: Sequence[_Wanted], pixels: AnyArray, at: Int64Array) -> BoolArray:
        """Read records into rows `at` of `pixels`; return which are whole, and proved."""
        files = [_opened(one.segment) for one in wanted]  # held until they are read
        are_right = np.zeros(len(wanted), np.bool_)
        descriptors = np.array([-1 if file is None else file.descriptor for file in files], np.int64)
        offsets = np.array([one.segment.offset(one.slot) for one in wanted], np.int64)
        high = np.array([one.identity.high for one in wanted], np.uint64)
        factors = self._factors
        read_records(
            address_of("preadv"), descriptors, offsets, pixels, at, factors.factors, factors.salt, high, are_right
        )
        return are_right

    def _reject(self, identities: Sequence[Identity]) -> None:
        self._writing_of_this_process()
        for identity in identities:
            self._places.put(identity.low, NOWHERE)
        note_cache(num_rejected=len(identities))
        self._warn_once("rejected", "an entry is damaged or cannot be read; it is decoded again, as all such will be")

    def _may_add(self, version: Version) -> bool:
        writing = self._writing_of_this_process()
        if time.monotonic() > writing.look_at:
            self._look()
        return not writing.is_off and is_settled(version)

    def _append(self, identity: Identity, pixels: AnyArray) -> None:
        try:
            writer, number = self._reserve(self._writing)
            if writer is not None:
                factors = self._factors
                check = check_record(pixels, factors.factors, factors.salt, np.uint64(identity.high))
                slot = writer.append(identity.low, pixels, int(check))
                self._places.put(identity.low, number << _SLOT_BITS | slot)
        except OSError as error:
            self._stop_adding(f"it cannot be written ({error.strerror or error})")

    def _reserve(self, writing: _Writing) -> tuple[SegmentWriter | None, int]:
        """Return this process's segment, with room for one more record, and its number; None: the budget is used up."""
        with writing.lock:
            if writing.room <= 0:
                self._warn_once("full", f"it is full ({_budget(self._max_bytes)}); the rest is decoded every time")
                return None, NOWHERE
            if writing.writer is None:
                writing.writer = SegmentWriter(self._folder, self._settings, self._record_bytes)
                writing.number = self._number_of(writing.writer)
            writing.room -= 1
            return writing.writer, writing.number

    def _number_of(self, segment: Segment) -> int:
        self._segments.append(segment)
        return len(self._segments) - 1

    def _writing_of_this_process(self) -> _Writing:
        if self._writing.pid != os.getpid():  # forked: a segment has one writer, and locks may be held by nobody
            self._writing = _Writing()
            self._places.lock = threading.Lock()
        return self._writing

    def _look(self) -> None:
        """See what other processes have added, and how much room is left."""
        writing = self._writing
        if not writing.lock.acquire(blocking=False):
            return
        try:
            writing.look_at = time.monotonic() + _LOOK_SECONDS
            self._look_at_files(writing)
        except OSError as error:
            self._stop_adding(f"the folder cannot be read ({error.strerror or error})")
        finally:
            writing.lock.release()

    def _look_at_files(self, writing: _Writing) -> None:
        if writing.writer is not None and writing.writer.is_deleted:
            writing.writer = None
        own = "" if writing.writer is None else writing.writer.name
        files = list_files(self._folder)
        prefix = self._settings.hex()[:16]
        found = [self._new_in(name.removesuffix(PLACES), num_bytes // NAME_BYTES)
                 for name, num_bytes in files
                 if name.startswith(prefix) and name.endswith(PLACES) and name != own + PLACES]  # fmt: skip
        if any(len(names) for names, _ in found):
            self._places.put_many(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        writing.room = self._room_beside(sum(file.num_bytes for file in files))

    def _new_in(self, name: str, num_slots: int) -> tuple[AnyArray, AnyArray]:
        """Return names and places of the records of a segment that were not looked at yet."""
        number, seen = self._seen.get(name, (NOWHERE, 0))
        try:
            names = read_names(self._folder / (name + PLACES), seen) if num_slots > seen else np.empty(0, np.uint64)
            if number == NOWHERE and len(names):
                keep_open = len(self._segments) < _MOST_OPEN
                number = self._number_of(
                    Segment(self._folder / (name + PIXELS), self._record_bytes, keep_open=keep_open)
                )
        except OSError:  # vanished meanwhile, or not to be read
            names = np.empty(0, np.uint64)
        if len(names):
            self._seen[name] = number, seen + len(names)
        slots = np.flatnonzero(names)
        return names[slots], slots + seen + (number << _SLOT_BITS)

    def _room_beside(self, used_bytes: int) -> int:
        """Return how many more records may be added."""
        if self._max_bytes is None:
            disk = shutil.disk_usage(self._folder)
            free_bytes = disk.free - disk.total // _FREE_SHARE
        else:
            free_bytes = self._max_bytes - used_bytes
        return free_bytes // (self._record_bytes + NAME_BYTES)

    def _stop_adding(self, why: str) -> None:
        self._writing.is_off = True
        self._warn_once("off", f"{why}; nothing more is added to it. Training goes on, and decodes what is not there")

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._has_warned:
            self._has_warned.add(kind)
            _log.warning("cache %s: %s.", self._folder, text)


class _Wanted(NamedTuple):
    """A record that should be there, for picture `number`."""

    number: int
    identity: Identity
    segment: Segment
    slot: int


def _opened(segment: Segment) -> OpenFile | None:
    try:
        return segment.opened()
    except OSError:  # vanished, or too many files are open
        return None


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


def _budget(max_bytes: int | None) -> str:
    return "a tenth of the disk is left free" if max_bytes is None else f"cache_bytes={max_bytes:,}"
