"""Reading the pictures: each file once, decoded as strictly as in training, on all processors."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.errors import RowError
from rowlock.pictures.decode import decode
from rowlock.pictures.digests import digest_like
from rowlock.pictures.kinds import kind_of
from rowlock.pictures.sizes import picture_size_of
from rowlock.processors import num_processors
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.checking.files import PictureFiles
    from rowlock.store.progress import Progress

__all__ = ["Fault", "Scan"]

_CHUNK = 16
_AHEAD = 4  # chunks a processor


class Fault(NamedTuple):
    """Why a picture cannot be used."""

    stage: str
    """``"missing"``, ``"read"``, ``"decode"``, or ``"disk"``: the disk's fault and not the file's."""
    reason: str


class Scan:
    """What every file turned out to be; arrays have one entry a file.

    Ctrl-C ends it: what was read until then is kept, `was_stopped` says so.

    Attributes
    ----------
    is_good : bool array
        Whether it was decoded to its end.
    height, width : int32 arrays
        As a viewer shows it.
    num_bytes : int64 array
    digest : void array of 16 bytes
        BLAKE2b of the file.
    is_blank : bool array
        Whether all of its pixels are the same.
    kinds : list of str
        By content.
    faults : dict of int to Fault
    changed : dict of int to dict of str to str
        Of a file whose bytes are not those that were hashed: each digest that it should have, and what it has.
    """

    def __init__(self, files: PictureFiles, progress: Progress = None) -> None:
        count = len(files)
        self._files = files
        self._digests = files.digests
        self.is_good: BoolArray = np.zeros(count, np.bool_)
        self.is_blank: BoolArray = np.zeros(count, np.bool_)
        self.height, self.width = np.zeros((2, count), np.int32)
        self.num_bytes = np.zeros(count, np.int64)
        self.digest = np.zeros(count, "V16")
        self.kinds = [""] * count
        self.faults: dict[int, Fault] = {}
        self.changed: dict[int, dict[str, str]] = {}
        self.was_stopped = False
        if count:
            with reporting(progress, "reading pictures", count) as report:
                self._run(report)

    @property
    def num_read(self) -> int:
        """Files that could be read, and decoded to their end."""
        return int(self.is_good.sum())

    def _run(self, report: Callable[[int], None]) -> None:
        pool = ThreadPoolExecutor(num_processors())
        try:
            for done in _in_order(pool, self._chunk, len(self._files)):
                report(done)
        except KeyboardInterrupt:
            self.was_stopped = True
        finally:
            pool.shutdown(cancel_futures=True)
            self._files.close()

    def _chunk(self, start: int, stop: int) -> int:
        for source, some in itertools.groupby(range(start, stop), self._files.sources.__getitem__):
            files = list(some)
            with source.reading([self._files.paths[file] for file in files], None, keep_on_error=False):
                self._look_at(files)
        return stop

    def _look_at(self, files: list[int]) -> None:
        for file in files:
            try:
                self._look(file)
            except RowError as error:
                gone = isinstance(error.__cause__, FileNotFoundError)
                self.faults[file] = Fault("missing" if gone else error.stage, _printable(error.reason))
            except OSError as error:
                self.faults[file] = Fault("disk", _printable(str(error)))
            except MemoryError:
                self.faults[file] = Fault("decode", "its pixels do not fit into memory")

    def _look(self, file: int) -> None:
        images = self._files.images[file]
        data = bytes(self._files.sources[file].read(self._files.paths[file]).data)
        self.num_bytes[file] = len(data)
        self.digest[file] = np.void(hashlib.blake2b(data, digest_size=16).digest())
        found = {digest: digest_like(digest, data) for digest in self._digests.get(file, ())}
        others = {digest: own for digest, own in found.items() if digest != own}
        if others:
            self.changed[file] = others
        self.kinds[file] = kind_of(data)
        pixels = decode(data, images.channels, images.max_pixels, images.size, images.resize)
        self.height[file], self.width[file] = picture_size_of(data)
        self.is_blank[file] = _is_blank(pixels)
        self.is_good[file] = True


def _printable(text: str) -> str:
    """Return a text whose surrogates, which stand for odd bytes of a file name, are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_blank(pixels: AnyArray) -> bool:
    """Whether all pixels are the same; of most pictures, the first row tells that they are not."""
    first = pixels[0, 0]
    return bool((pixels[0] == first).all() and (pixels == first).all())


def _in_order(pool: ThreadPoolExecutor, work: Callable[[int, int], int], count: int) -> Iterator[int]:
    """Yield what is done; not more than a few chunks are queued, however many files there are."""
    waiting: deque[Future[int]] = deque()
    for start in range(0, count, _CHUNK):
        waiting.append(pool.submit(work, start, min(start + _CHUNK, count)))
        if len(waiting) > _AHEAD * num_processors():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
