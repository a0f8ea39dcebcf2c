"""Files that must be as long as a commit says: opened, or read into memory as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import StoreFormatError
from rowlock.retries import retried

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["load_file", "open_whole"]


def open_whole(path: Path, num_bytes: int) -> int:
    """Return a descriptor for reading a file that has at least `num_bytes`.

    Raises
    ------
    StoreFormatError
        The file is shorter than the commit says.
    FileNotFoundError
        The file is not there.
    """
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    size = os.fstat(descriptor).st_size
    if size < num_bytes:
        os.close(descriptor)
        raise _cut_off(path, size, num_bytes)
    return descriptor


def load_file(path: Path, num_bytes: int, *, random: bool) -> AnyArray:  # noqa: ARG001 - as `map_file`
    """Return the first `num_bytes` of a file, uint8, read-only, in memory: nothing that happens to it is seen.

    Takes the place of `rowlock.store.disk.mapped.map_file`, and raises what it does; an error that may pass is tried
    again before.
    """
    return retried(_load, path, num_bytes)


def _load(path: Path, num_bytes: int) -> AnyArray:
    content = np.empty(num_bytes, np.uint8)
    with os.fdopen(open_whole(path, num_bytes), "rb", buffering=0) as file:
        done = 0
        while done < num_bytes:
            count = file.readinto(content[done:].data)
            if not count:
                raise _cut_off(path, done, num_bytes)
            done += count
    content.flags.writeable = False
    return content


def _cut_off(path: Path, size: int, num_bytes: int) -> StoreFormatError:
    return StoreFormatError(
        f"{path} has {size:,} bytes, but the store's commit needs {num_bytes:,}: it was cut off."
        " Restore the file from a copy, or write the store again."
    )
