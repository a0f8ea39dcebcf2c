"""What is in a folder: the records of all processes, and where each of them lies."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.picture_cache.folder import list_files
from rowlock.picture_cache.places import NOWHERE, Places
from rowlock.picture_cache.segment import NAME_BYTES, PIXELS, PLACES, OpenFile, Segment, read_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["SLOT_BITS", "Entries", "Entry", "OpenFiles"]

SLOT_BITS = 40
"""A place is the number of a segment above these, and that of a record in it below."""

_SLOTS = (1 << SLOT_BITS) - 1
_MOST_OPEN = 128  # segments; of 1024 files that a process may usually have open


class Entry(NamedTuple):
    """A record that should be there."""

    place: int
    segment: Segment

    @property
    def slot(self) -> int:
        """Number of the record in its segment."""
        return self.place & _SLOTS


class OpenFiles(NamedTuple):
    """Descriptors by number of the segment, which stay open as long as somebody holds this; negative: not open."""

    held: list[OpenFile | None]
    descriptors: Int64Array

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> OpenFiles:
        """Return those that are kept open."""
        held = [segment.kept_open for segment in segments]
        return cls(held, np.array([-1 if file is None else file.descriptor for file in held], np.int64))


class Entries:
    """Records of one size and one kind, by the low half of their identity; readers take no lock.

    Parameters
    ----------
    folder : Path
    settings : bytes
        Files that were made with others are passed over.
    record_bytes : int
        The check included.
    """

    def __init__(self, folder: Path, settings: bytes, record_bytes: int) -> None:
        self._folder = folder
        self._prefix = settings.hex()[:16]
        self._record_bytes = record_bytes
        self._places = Places()
        self._segments: list[Segment] = []
        self._open_files = OpenFiles.of([])
        self._seen: dict[str, tuple[int, int]] = {}  # name: number of the segment, slots that were looked at

    def find(self, low: int) -> Entry | None:
        """Return where a record should be."""
        segments = self._segments  # before the places: `close` forgets places first
        place = self._places.find(low)
        return None if place == NOWHERE else Entry(place, segments[place >> SLOT_BITS])

    def open_files(self) -> OpenFiles:
        """Return the files of all segments, as far as they are kept open."""
        files, segments = self._open_files, self._segments
        if len(files.held) != len(segments):
            self._open_files = files = OpenFiles.of(list(segments))
        return files

    def put(self, low: int, segment: int, slot: int) -> int:
        """Note a record of a segment, by its number, and return its place."""
        place = segment << SLOT_BITS | slot
        self._places.put(low, place)
        return place

    def forget(self, low: int) -> None:
        """No longer know of a record."""
        self._places.put(low, NOWHERE)

    def add_segment(self, segment: Segment) -> int:
        """Return the number of a segment that is new here."""
        self._segments.append(segment)
        return len(self._segments) - 1

    def look(self, own: str) -> int:
        """See what other processes have added, and return how many bytes all files of the folder have.

        Parameters
        ----------
        own : str
            Name of the segment that this process writes, whose records are known.

        Raises
        ------
        OSError
        """
        files = list_files(self._folder)
        found = [self._new_in(name.removesuffix(PLACES), num_bytes // NAME_BYTES)
                 for name, num_bytes in files
                 if name.startswith(self._prefix) and name.endswith(PLACES) and name != own + PLACES]  # fmt: skip
        if any(len(names) for names, _ in found):
            self._places.put_many(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        return sum(file.num_bytes for file in files)

    def after_fork(self) -> None:
        """Take a new lock: a thread that does not exist here may hold the old one."""
        self._places.lock = threading.Lock()

    def close(self) -> None:
        """Let go of all files, as soon as no thread uses them."""
        self._places = Places()
        self._segments = []
        self._open_files = OpenFiles.of([])

    def _new_in(self, name: str, num_slots: int) -> tuple[AnyArray, AnyArray]:
        """Return names and places of the records of a segment that were not looked at yet."""
        number, seen = self._seen.get(name, (NOWHERE, 0))
        try:
            names = read_names(self._folder / (name + PLACES), seen) if num_slots > seen else np.empty(0, np.uint64)
            if number == NOWHERE and len(names):
                keep_open = len(self._segments) < _MOST_OPEN
                path = self._folder / (name + PIXELS)
                number = self.add_segment(Segment(path, self._record_bytes, keep_open=keep_open))
        except OSError:  # vanished meanwhile, or not to be read
            names = np.empty(0, np.uint64)
        if len(names):
            self._seen[name] = number, seen + len(names)
        slots = np.flatnonzero(names)
        return names[slots], slots + seen + (number << SLOT_BITS)
