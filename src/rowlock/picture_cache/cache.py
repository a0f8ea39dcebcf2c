"""`PictureCache`: pixels from the disk where they are right, from the decoder where they are not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from rowlock.meter import note_cache, note_read, stage
from rowlock.picture_cache.adding import Adder
from rowlock.picture_cache.asked import Missing, Wanted
from rowlock.picture_cache.entries import SLOT_BITS, Entries
from rowlock.picture_cache.identity import identify
from rowlock.picture_cache.kernels import read_records
from rowlock.picture_cache.segment import CHECK_BYTES, OpenFile, Segment
from rowlock.picture_cache.trouble import Trouble
from rowlock.store.commit.row_check import RowFactors
from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.picture_cache.identity import Identity
    from rowlock.picture_cache.recall import Recall
    from rowlock.pictures.content import Version

__all__ = ["PictureCache"]

_SAMPLES = 8


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
    recall : Recall or None
        What is noted about pictures that were read from here; None where the system, or the place of the pictures, has
        no way for that.
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
        self,
        folder: str | os.PathLike[str],
        settings: bytes,
        row_bytes: int,
        recall: Recall | None,
        max_bytes: int | None = None,
    ) -> None:
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow a link that is refused
        self._settings = settings
        self._record_bytes = row_bytes + CHECK_BYTES
        self._factors = RowFactors.of(UUID(bytes=settings), row_bytes)
        self._entries = Entries(self._folder, settings, self._record_bytes)
        self._recall = recall
        self._trouble = Trouble(self._folder)
        self._is_closed = False
        self._adder = Adder(self._folder, settings, row_bytes, max_bytes, self._entries, self._factors, self._trouble)

    def fill(
        self,
        pictures: Int64Array,
        rows: Int64Array,
        pixels: AnyArray,
        describe: Callable[[list[int]], list[tuple[bytes, Version | None]]],
    ) -> list[Missing]:
        """Fill in what is here, proved, and return the pictures that are not.

        Parameters
        ----------
        pictures : int64, shape (n,)
            A number for each, under which it can be recalled.
        rows : int64, shape (n,)
            Row of `pixels` for each.
        pixels : uint8, shape (m, row_bytes), C-contiguous
        describe : callable
            Takes places in `pictures`, and returns (key, version) for each: see `rowlock.pictures.content.key_of`; and
            the present state of the file, None: nothing of it is kept.
        """
        with stage("read"):
            are_right = self._recalled(pictures, rows, pixels)
        rest = np.flatnonzero(~are_right).tolist()
        self._note_hits(len(pictures) - len(rest))
        if not rest:
            return []
        asked_ns, told = time.time_ns(), describe(rest)
        asked = [
            Missing(number, int(pictures[number]), key, version, asked_ns)
            for number, (key, version) in zip(rest, told, strict=True)
        ]
        with stage("read"):
            here = self._fill_looked_up(asked, rows, pixels)
        self._note_hits(len(here))
        return [one for one in asked if one.number not in here]

    def add(self, decoded: Sequence[tuple[Missing, Callable[[], Version | None], AnyArray]]) -> None:
        """Keep pixels that were decoded, of those files that are still in the state that they were in before that.

        All are written in one call: the system keeps what is written at once in larger pieces of memory, and reads them
        back faster.

        Parameters
        ----------
        decoded : sequence of (Missing, callable, uint8 of shape (row_bytes,))
            What `fill` returned; what returns the state of the bytes that were decoded, or that of the file now; and
            the pixels.
        """
        note_cache(num_misses=len(decoded))
        if not self._is_closed:
            self._note(self._adder.add(decoded))

    def will_need(self, pictures: Iterable[tuple[bytes, Version | None]]) -> list[bytes]:
        """Let the system read the records of pictures, and return the keys of those that have none.

        If the first few are in its memory, so are all others, or nearly: nothing more is looked up.
        """
        missing, num_in_memory = [], 0
        for number, (key, version) in enumerate(pictures):
            entry = None if version is None else self._entries.find(identify(key, version, self._settings).low)
            if entry is None:
                missing.append(key)
                continue
            if number < _SAMPLES and entry.segment.is_in_memory(entry.slot):
                num_in_memory += 1
            else:
                entry.segment.will_need(entry.slot)
            if number + 1 == num_in_memory == _SAMPLES:
                break
        return missing

    def close(self) -> None:
        """Let go of all files, as soon as no thread uses them; all is decoded from now on."""
        self._is_closed = True
        self._adder.close()
        self._entries.close()

    def _recalled(self, pictures: Int64Array, rows: Int64Array, pixels: AnyArray) -> BoolArray:
        """Read the records of pictures whose files are as they were when they were last read from here."""
        if self._recall is None:
            return np.zeros(len(pictures), np.bool_)
        files = self._entries.open_files()  # held until they are read
        return self._recall.read(pictures, files.descriptors, SLOT_BITS, self._factors, pixels, rows)

    def _fill_looked_up(self, asked: Sequence[Missing], rows: Int64Array, pixels: AnyArray) -> set[int]:
        """Fill in what is found by name, and return the numbers of the pictures that were right."""
        wanted = self._find(asked)
        are_right = self._read(wanted, pixels, rows[[one.missing.number for one in wanted]])
        right = [one for one, is_right in zip(wanted, are_right, strict=True) if is_right]
        if len(right) < len(wanted):
            self._reject([one.identity for one, is_right in zip(wanted, are_right, strict=True) if not is_right])
        self._note(right)
        return {one.missing.number for one in right}

    def _note_hits(self, num_hits: int) -> None:
        note_read(num_hits * self._record_bytes)
        note_cache(num_hits=num_hits)

    def _note(self, wanted: Sequence[Wanted]) -> None:
        if self._recall is not None and wanted:
            missing = [one.missing for one in wanted]
            pictures, facts = [one.picture for one in missing], [one.version.facts for one in missing if one.version]
            self._recall.note(
                pictures, facts, [one.entry.place for one in wanted], [one.identity.high for one in wanted]
            )

    def _find(self, asked: Sequence[Missing]) -> list[Wanted]:
        """Return the records that should be here."""
        found = list[Wanted]()
        for one in asked:
            if one.version is not None:
                identity = identify(one.key, one.version, self._settings)
                entry = self._entries.find(identity.low)
                if entry is not None:
                    found.append(Wanted(one, identity, entry))
        return found

    def _read(self, wanted: Sequence[Wanted], pixels: AnyArray, at: Int64Array) -> BoolArray:
        """Read records into rows `at` of `pixels`; return which are whole, and proved."""
        files = [_opened(one.entry.segment) for one in wanted]  # held until they are read
        are_right = np.zeros(len(wanted), np.bool_)
        descriptors = np.array([-1 if file is None else file.descriptor for file in files], np.int64)
        offsets = np.array([one.entry.segment.offset(one.entry.slot) for one in wanted], np.int64)
        high = np.array([one.identity.high for one in wanted], np.uint64)
        factors = self._factors
        read_records(
            address_of("preadv"), descriptors, offsets, pixels, at, factors.factors, factors.salt, high, are_right
        )
        return are_right

    def _reject(self, identities: Sequence[Identity]) -> None:
        self._adder.of_this_process()
        for identity in identities:
            self._entries.forget(identity.low)
        note_cache(num_rejected=len(identities))
        self._trouble.tell(
            "rejected", "an entry is damaged or cannot be read; it is decoded again, as all such will be"
        )


def _opened(segment: Segment) -> OpenFile | None:
    try:
        return segment.opened()
    except OSError:  # vanished, or too many files are open
        return None
