"""Files of a piece of work, read and asked about together; whatever is odd about one is left to who reads it alone."""

from __future__ import annotations

import collections
import functools
from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.disk.system_calls import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["can_read_many", "read_many", "stat_many"]

_BUFFER_BYTES = 1 << 20
"""One a thread: some eight photographs of a size for training. For larger files a call each costs nothing."""

_FUNCTIONS = ("open", "statx", "read", "close")
_buffers: collections.deque[AnyArray] = collections.deque()
"""Those that nobody is using. Taking one and putting it back are one instruction of the interpreter each: no lock."""


@functools.cache
def can_read_many() -> bool:
    """Return whether this system has what the compiled loops call, and allows it: Linux does, but for old sandboxes."""
    return all(map(address_of, _FUNCTIONS)) and stat_many([b"/"])[0, 0] >= 0


def read_many(paths: Sequence[bytes], flags: int, max_bytes: int) -> Iterator[memoryview | None]:
    """Yield the content of regular files, in order; each is valid until the next is asked for.

    Parameters
    ----------
    paths : sequence of bytes
    flags : int
        Of ``os.open``.
    max_bytes : int
        Of a file.

    Yields
    ------
    memoryview or None
        None: it could not be read so, for whatever reason.
    """
    from rowlock.pictures.file_kernels import NOT_YET, read_files  # noqa: PLC0415 - Numba is loaded on first use

    functions = tuple(map(address_of, _FUNCTIONS))
    names, starts, sizes = _names(paths), np.zeros(len(paths), np.int64), np.full(len(paths), NOT_YET)
    buffer = _take_buffer()
    most = min(max_bytes, buffer.size)
    try:
        view = buffer.data
        for number in range(len(paths)):
            if sizes[number] == NOT_YET:
                read_files(functions, names, number, flags, most, buffer, starts, sizes)
            start, size = int(starts[number]), int(sizes[number])
            yield view[start : start + size] if size >= 0 else None
    finally:
        _buffers.append(buffer)


def stat_many(paths: Sequence[bytes]) -> Int64Array:
    """Return size, mtime and ctime (ns) of files, shape (n, 3), links followed; size -1: the system does not tell."""
    from rowlock.pictures.file_kernels import stat_files  # noqa: PLC0415 - Numba is loaded on first use

    found = np.empty((len(paths), 3), np.int64)
    stat_files(address_of("statx"), _names(paths), found)
    return found


def _names(paths: Sequence[bytes]) -> AnyArray:
    return np.frombuffer(b"\0".join([*paths, b""]), np.uint8)


def _take_buffer() -> AnyArray:
    try:
        return _buffers.pop()
    except IndexError:
        return np.empty(_BUFFER_BYTES, np.uint8)
