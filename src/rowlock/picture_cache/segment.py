"""Files of records of one size: one writer appends, everybody reads, nothing is ever written over.

``NAME.pixels`` holds records: the pixels of a picture, and behind them their check. ``NAME.places`` holds 8 bytes a
record, the low half of its identity, which is written after the record; 0: none. It is no more than a hint where to
look: the check, which covers identity and pixels, decides. So nothing is synced, and a killed writer or a power
failure leaves records that nobody finds, or that nobody believes.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import numpy as np

from rowlock.picture_cache.folder import make_segment_name
from rowlock.private_folder import open_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, UInt64Array

__all__ = ["CHECK_BYTES", "NAME_BYTES", "PIXELS", "PLACES", "OpenFile", "Segment", "SegmentWriter", "read_names"]

PIXELS, PLACES = ".pixels", ".places"
CHECK_BYTES = NAME_BYTES = 8
_MOST_PARTS = 512  # of a call; systems take 1024


class OpenFile:
    """A descriptor that is closed when the last thread lets go of it, and so never while one uses it."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.descriptor = -1
        self.descriptor = open_file(path, new=new)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Segment:
    """The records of one writer, for reading.

    Parameters
    ----------
    path : Path
    record_bytes : int
        The check included.
    keep_open : bool
        False: the file is opened for each record, because this process may not have that many open.
    """

    def __init__(self, path: Path, record_bytes: int, *, keep_open: bool = True) -> None:
        self._path = path
        self._record_bytes = record_bytes
        self._file = OpenFile(path) if keep_open else None

    def opened(self) -> OpenFile:
        """Return the open file, which stays open as long as somebody holds it.

        Raises
        ------
        OSError
        """
        return self._file or OpenFile(self._path)

    @property
    def kept_open(self) -> OpenFile | None:
        """The open file, if it is one that stays open."""
        return self._file

    def offset(self, slot: int) -> int:
        """Return where a record begins."""
        return slot * self._record_bytes

    def is_in_memory(self, slot: int) -> bool:
        """Return whether the system has the middle of a record in its memory; False where it does not say."""
        if self._file is None or not hasattr(os, "RWF_NOWAIT"):
            return False
        middle = slot * self._record_bytes + self._record_bytes // 2
        try:
            return os.preadv(self._file.descriptor, [bytearray(1)], middle, os.RWF_NOWAIT) == 1
        except OSError:  # it would have to wait, or this file system does not know the question
            return False

    def will_need(self, slot: int) -> None:
        """Let the system read a record into its memory, and do not wait for it."""
        if self._file is not None and hasattr(os, "posix_fadvise"):
            start = slot * self._record_bytes
            with contextlib.suppress(OSError):  # advice that is not taken costs nothing
                os.posix_fadvise(self._file.descriptor, start, self._record_bytes, os.POSIX_FADV_WILLNEED)


class SegmentWriter(Segment):
    """A new segment, and its only writer; many threads may write at once, each into slots of its own.

    Raises
    ------
    OSError
        It cannot be made, and by `write`: the disk refused.
    """

    def __init__(self, folder: Path, settings: bytes, record_bytes: int) -> None:
        self.name = make_segment_name(settings)
        self._num_slots = 0
        self._names = OpenFile(folder / (self.name + PLACES), new=True)
        self._pixels = OpenFile(folder / (self.name + PIXELS), new=True)
        super().__init__(folder / (self.name + PIXELS), record_bytes, keep_open=False)
        self._file = self._pixels

    def reserve(self, num_records: int) -> int:
        """Return the first of so many slots that nobody else writes; not for several threads at once."""
        first = self._num_slots
        self._num_slots += num_records
        return first

    def write(self, first: int, lows: Sequence[int], pixels: Sequence[AnyArray], checks: Sequence[int]) -> None:
        """Write records into the slots from `first` on, and then their names."""
        records = list[memoryview]()
        for one, check in zip(pixels, checks, strict=True):
            records += [one.data.cast("B"), memoryview(int(check).to_bytes(CHECK_BYTES, "little"))]
        _write(self._pixels, records, first * self._record_bytes)
        _write(self._names, [np.array(lows, "<u8").data.cast("B")], first * NAME_BYTES)

    @property
    def is_deleted(self) -> bool:
        """Whether nobody will find what is written from now on."""
        return os.fstat(self._pixels.descriptor).st_nlink == 0


def read_names(path: Path, first_slot: int) -> UInt64Array:
    """Return the low halves of the identities in ``NAME.places``, from a slot on; 0: no record.

    Raises
    ------
    OSError
    """
    file = OpenFile(path)
    num_bytes = os.fstat(file.descriptor).st_size - first_slot * NAME_BYTES
    data = os.pread(file.descriptor, max(0, num_bytes), first_slot * NAME_BYTES)
    return np.frombuffer(data[: len(data) // NAME_BYTES * NAME_BYTES], "<u8").astype(np.uint64)


def _write(file: OpenFile, parts: list[memoryview], offset: int) -> None:
    while parts:
        done = os.pwritev(file.descriptor, parts[:_MOST_PARTS], offset)
        offset += done
        while parts and done >= len(parts[0]):
            done -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][done:]
