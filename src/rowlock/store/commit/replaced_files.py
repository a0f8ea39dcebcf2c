"""Files that a commit wrote anew: under names of their own until the commit counts, then under the usual ones.

A correction changes files that the last commit uses, several of them, and Zarr fixes their names. So they are written
beside, as ``.c.3.0.replaced-00000012``; the root of commit 12 names them, and that one rename makes all of them count.
Only then are they renamed over the old ones (`settle`), by this writer or, if it dies, by the next. Readers look for
the name beside first. What was mapped from an old file before stays as it is: a rename takes no file away from its
readers.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from rowlock.store.disk.files import copy_bytes, sync_folder, write_all
from rowlock.store.disk.mapped import map_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit

__all__ = [
    "FilePart",
    "map_committed",
    "open_committed",
    "settle",
    "use_committed",
    "write_changed",
    "write_changes",
    "write_new",
    "write_offsets",
]

Result = TypeVar("Result")


@dataclass(frozen=True)
class FilePart:
    """Bytes of a file, to be copied inside of the system."""

    path: Path
    start: int
    num_bytes: int


def _beside(path: Path, name: str, number: int) -> Path:
    file = path / name
    return file.with_name(f".{file.name}.replaced-{number:08d}")


def use_committed(path: Path, commit: Commit, name: str, use: Callable[[Path], Result]) -> Result:
    """Return what `use` makes of the file `name`, such as ``"matrix/c.3.0"``, as the commit has it."""
    if name in commit.replaced:
        with suppress(FileNotFoundError):  # it has got its usual name, maybe at this moment
            return use(_beside(path, name, commit.number))
    return use(path / name)


def map_committed(path: Path, commit: Commit, name: str, num_bytes: int, *, random: bool) -> AnyArray:
    """Return the first bytes of a file as the commit has it; see `use_committed` and `map_file`."""
    return use_committed(path, commit, name, lambda file: map_file(file, num_bytes, random=random))


def open_committed(path: Path, commit: Commit, name: str) -> BinaryIO:
    """Return a file as the commit has it, open for reading."""
    return use_committed(path, commit, name, lambda file: file.open("rb"))


def write_changed(
    path: Path, name: str, num_bytes: int, size: int, changes: Iterable[tuple[int, Any]], number: int
) -> None:
    """Write a changed copy of a file for commit `number`, and make it durable; the folder is not synced.

    Parameters
    ----------
    path : Path
        The store.
    name : str
        Such as ``"matrix/c.3.0"``.
    num_bytes : int
        Committed length.
    size : int
        Length of the file, which may be larger; what lies between uses no disk.
    changes : pairs of (offset, C-contiguous array)
    number : int
    """
    write_new(path, name, size, [(0, FilePart(path / name, 0, num_bytes)), *changes], number)


def write_new(path: Path, name: str, size: int, parts: Iterable[tuple[int, Any]], number: int) -> None:
    """Write a file for commit `number` from parts, arrays or `FilePart`, each with its offset; see `write_changed`."""
    descriptor = os.open(_beside(path, name, number), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        for offset, data in parts:
            if isinstance(data, FilePart):
                copy_bytes(data.path, data.start, descriptor, offset, data.num_bytes)
            else:
                write_all(descriptor, data, offset)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_changes(file: Path, changes: Iterable[tuple[int, Any]], size: int | None = None) -> None:
    """Write into a file where it is, and make it durable: only for bytes that are known to be what was committed."""
    descriptor = os.open(file, os.O_WRONLY)
    try:
        for offset, data in changes:
            write_all(descriptor, data, offset)
        if size is not None:
            os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_offsets(
    file: Path, offsets: Int64Array, rows: Int64Array, starts: Int64Array, sizes: Int64Array
) -> Int64Array:
    """Write where rows begin and end, as is proved, into an array of offsets where it has other values.

    Returns the rows on both sides of what was written.
    """
    entries, first = np.unique(np.concatenate([rows, rows + 1]), return_index=True)
    values = np.concatenate([starts, starts + sizes])[first].astype("<i8", copy=False)
    wrong = offsets[entries] != values
    entries, values = entries[wrong], values[wrong]
    if len(entries):
        write_changes(file, zip((8 * entries).tolist(), (value.tobytes() for value in values), strict=True))
    beside = np.unique(np.concatenate([entries - 1, entries]))
    return beside[(beside >= 0) & (beside < len(offsets) - 1)]


def settle(path: Path, commit: Commit) -> None:
    """Give the files that `commit` wrote anew their usual names, and remove those of no commit.

    For the holder of the writer's lock, before anything else is done: the next commit forgets these names.
    """
    for name in commit.replaced:
        with suppress(FileNotFoundError):  # done already
            os.replace(_beside(path, name, commit.number), path / name)  # noqa: PTH105 - counted by the crash tests
    for stale in list(path.rglob(".*.replaced-*")):
        stale.unlink()
    for folder in sorted({(path / name).parent for name in commit.replaced}):
        sync_folder(folder)
