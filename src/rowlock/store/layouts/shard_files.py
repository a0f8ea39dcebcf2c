"""The shards of one array as open files, read by `pread` into memory of ours: nothing is mapped."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import StoreError, StoreFormatError
from rowlock.meter import note_read, note_retry, stage
from rowlock.retries import retried
from rowlock.store.commit.replaced_files import use_committed
from rowlock.store.disk.system_calls import address_of, read_at
from rowlock.store.disk.whole_files import open_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit

__all__ = ["ReadFailedError", "ShardFiles"]

_SAMPLES = 8  # spans that are in memory, before a whole batch is taken for cached


class ReadFailedError(Exception):
    """The system refused to read the bytes of a row, again and again; the cause says why.

    Attributes
    ----------
    row : int
    """

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class ShardFiles:
    """Descriptors of all shards of one array, opened at once, so that the commit stays what it is.

    Parameters
    ----------
    path : Path
        The store.
    commit : Commit
    names : sequence of str
        The files, such as ``"matrix/c.3.0"``.
    sizes : sequence of int
        How long each must be.
    shard_bytes : int
        On the line of all shards (`rowlock.store.disk.span_kernels`), shard i begins at ``i * shard_bytes``.
    """

    def __init__(
        self, path: Path, commit: Commit, names: Sequence[str], sizes: Sequence[int], shard_bytes: int
    ) -> None:
        self._path, self._commit, self._names, self._sizes = path, commit, names, sizes
        self._shard_bytes = shard_bytes
        self._opened: list[int] = []
        for shard in range(len(names)):
            self._opened.append(self._open(shard))
        self._descriptors: Int64Array = np.array(self._opened, np.int64)
        self._pread, self._fadvise = address_of("pread"), address_of("posix_fadvise")

    def read(self, rows: Int64Array, starts: Int64Array, num_bytes: Int64Array, target: AnyArray) -> Int64Array:
        """Read the span of every row to `target`, one after the other.

        Parameters
        ----------
        rows : int64, shape (n,)
            Whose spans they are, for errors.
        starts, num_bytes : int64, shape (n,)
        target : uint8
            At least as long as all spans together.

        Returns
        -------
        int64, shape (n,)
            How many bytes of each there were: fewer than asked for where a file was cut off.

        Raises
        ------
        ReadFailedError
            The system refused, and again when it was asked up to four times more.
        """
        num_read = np.zeros(len(starts), np.int64)
        places = np.cumsum(num_bytes) - num_bytes
        done = 0
        with stage("read"):
            while True:
                rest = slice(done, None)
                begin = int(places[done]) if done < len(starts) else 0
                done += self._read_until_refused(starts[rest], num_bytes[rest], target[begin:], num_read[rest])
                if done == len(starts):
                    break
                part = target[places[done] : places[done] + num_bytes[done]]
                try:
                    num_read[done] = self._read_again(int(starts[done]), part)
                except OSError as error:
                    raise ReadFailedError(int(rows[done])) from error
                done += 1
        note_read(int(num_read.sum()))
        return num_read

    def will_need(self, starts: Int64Array, num_bytes: Int64Array) -> None:
        """Tell the system which spans will be read, unless they seem to be in memory."""
        if not self._fadvise or self._seem_cached(starts, num_bytes):
            return
        from rowlock.store.disk.span_kernels import advise_spans  # noqa: PLC0415 - Numba is loaded on first use

        advise_spans(
            np.uint64(self._fadvise), self._descriptors, self._shard_bytes, starts, num_bytes, os.POSIX_FADV_WILLNEED
        )

    def cut_off(self, start: int, num_bytes: int) -> str:
        """Return which files of a span end too early now, for messages; empty if none does."""
        shards = range(start // self._shard_bytes, (start + max(1, num_bytes) - 1) // self._shard_bytes + 1)
        found = []
        for shard in shards[: len(self._opened)]:
            with suppress(OSError):
                size = os.fstat(self._opened[shard]).st_size
                if size < self._sizes[shard]:
                    found.append(f"{self._names[shard]} was cut off to {size:,} bytes while it was open")
        return "".join(f"; {text}" for text in found)

    def _open(self, shard: int) -> int:
        try:
            descriptor = retried(
                use_committed, self._path, self._commit, self._names[shard],
                lambda file: open_whole(file, self._sizes[shard]),
            )  # fmt: skip
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
            raise StoreError(
                f'{self._path} cannot be opened with io="pread": it keeps {len(self._names)} files of'
                f" {self._names[0].rpartition('/')[0]} open, and the system has no descriptors left: {error.strerror}."
                ' Raise the limit (ulimit -n), open it with io="mmap", or write it with a larger shard_bytes=.'
            ) from error
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # nothing but rows is read ahead
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        return descriptor

    def _reopen(self, shard: int) -> None:
        """Open a file by its name again, in place of the descriptor that other threads use at this moment.

        A file that another machine renamed away on a network mount is stale. What is there now has the rows of the
        commit, or their checks will tell.
        """
        descriptor = self._open(shard)
        try:
            os.dup2(descriptor, self._opened[shard], inheritable=False)
        finally:
            os.close(descriptor)

    def _read_until_refused(
        self, starts: Int64Array, num_bytes: Int64Array, target: AnyArray, num_read: Int64Array
    ) -> int:
        """Read spans; return how many could be read."""
        if not self._pread:
            return self._read_slowly(starts, num_bytes, target, num_read)
        from rowlock.store.disk.span_kernels import read_spans  # noqa: PLC0415 - Numba is loaded on first use

        count: int = read_spans(
            np.uint64(self._pread), self._descriptors, self._shard_bytes, starts, num_bytes,
            np.uint64(target.ctypes.data), num_read,
        )  # fmt: skip
        return count

    def _read_slowly(self, starts: Int64Array, num_bytes: Int64Array, target: AnyArray, num_read: Int64Array) -> int:
        """Do the same by Python's own functions, span after span."""
        begin = 0
        for i, (start, count) in enumerate(zip(starts.tolist(), num_bytes.tolist(), strict=True)):
            try:
                num_read[i] = self._read_one(start, target[begin : begin + count])
            except OSError:
                return i
            begin += count
        return len(starts)

    def _read_again(self, start: int, target: AnyArray) -> int:
        note_retry()
        return retried(self._reopen_and_read, start, target)

    def _reopen_and_read(self, start: int, target: AnyArray) -> int:
        for shard in range(start // self._shard_bytes, (start + len(target) - 1) // self._shard_bytes + 1):
            with suppress(OSError, StoreFormatError):  # not there or shorter: what is open is still the best
                self._reopen(shard)
        return self._read_one(start, target)

    def _read_one(self, start: int, target: AnyArray) -> int:
        """Read one span; return how many bytes there were."""
        view, done = target.data, 0
        while done < len(view):
            shard, offset = divmod(start + done, self._shard_bytes)
            count = read_at(self._opened[shard], view[done : done + self._shard_bytes - offset], offset)
            if not count:
                break
            done += count
        return done

    def _seem_cached(self, starts: Int64Array, num_bytes: Int64Array) -> bool:
        """Return whether the first bytes of some spans can be had without waiting: telling costs as much as reading."""
        some = np.flatnonzero(num_bytes)
        some = some[:: max(1, len(some) // _SAMPLES)][:_SAMPLES]
        if not hasattr(os, "RWF_NOWAIT"):
            return len(some) == 0
        byte = bytearray(1)
        try:
            for start in starts[some].tolist():
                shard, offset = divmod(start, self._shard_bytes)
                os.preadv(self._opened[shard], [byte], offset, os.RWF_NOWAIT)
        except OSError:  # not in memory, or a file system that cannot tell
            return False
        return True

    def __del__(self) -> None:
        for descriptor in getattr(self, "_opened", ()):
            with suppress(OSError):
                os.close(descriptor)
