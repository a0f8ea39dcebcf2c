"""Files as arrays: mapped read-only, told that reads are random, and holding no file descriptor."""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import StoreFormatError
from rowlock.store.disk.whole_files import open_whole

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["map_file"]

_FAILED = ctypes.c_void_p(-1).value


def map_file(path: Path, num_bytes: int, *, random: bool) -> AnyArray:
    """Return the first `num_bytes` of a file, uint8, mapped and read-only.

    The length is checked first: reading a map beyond the end of its file ends the process. The file may be
    longer, renamed over or removed afterwards: the map keeps what it shows.

    Parameters
    ----------
    path : Path
    num_bytes : int
    random : bool
        Whether single pages will be read in no order (``MADV_RANDOM``), so that none is read in vain.

    Raises
    ------
    StoreFormatError
        The file is shorter than the commit says, or the system cannot map it.
    FileNotFoundError
        The file is not there.
    """
    descriptor = open_whole(path, num_bytes)
    try:
        if num_bytes == 0:
            return np.empty(0, np.uint8)
        return _map(descriptor, num_bytes, random=random, path=path)
    finally:
        os.close(descriptor)


def _map(descriptor: int, num_bytes: int, *, random: bool, path: Path) -> AnyArray:
    try:
        if os.name == "posix":
            return np.asarray(_Map(descriptor, num_bytes, random=random))
        return np.frombuffer(mmap.mmap(descriptor, num_bytes, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise StoreFormatError(
            f"cannot map {path} ({num_bytes:,} bytes): {error}. A store of very many shards can meet the"
            " system's limit of maps for one process (vm.max_map_count)."
        ) from error


class _Map:
    """One mapping; ``mmap.mmap`` keeps a descriptor for each, and a store may have hundreds of shards."""

    def __init__(self, descriptor: int, num_bytes: int, *, random: bool) -> None:
        library = _library()
        address = library.mmap(None, num_bytes, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address in (None, _FAILED):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._address, self._num_bytes, self._unmap = address, num_bytes, library.munmap
        if random and hasattr(mmap, "MADV_RANDOM"):
            library.madvise(address, num_bytes, mmap.MADV_RANDOM)
        self.__array_interface__ = {
            "version": 3, "shape": (num_bytes,), "typestr": "|u1", "data": (address, True),
        }  # fmt: skip

    def __del__(self) -> None:
        if hasattr(self, "_unmap"):
            self._unmap(self._address, self._num_bytes)


@cache
def _library() -> Any:
    """Return the C library with the three calls typed."""
    library = ctypes.CDLL(None, use_errno=True)
    size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    library.mmap.argtypes = [pointer, size, number, number, number, ctypes.c_ssize_t]
    library.mmap.restype = pointer
    library.munmap.argtypes = [pointer, size]
    library.madvise.argtypes = [pointer, size, number]
    return library
