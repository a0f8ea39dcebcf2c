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
from typing import TYPE_CHECKING, Any, TypeVar

from rowlock.store.files import copy_start, sync_folder, write_all
from rowlock.store.mapped import map_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.store.format import Commit

__all__ = ["map_committed", "settle", "use_committed", "write_changed", "write_changes"]

Result = TypeVar("Result")


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
    descriptor = os.open(_beside(path, name, number), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        copy_start(path / name, descriptor, num_bytes)
        for offset, data in changes:
            write_all(descriptor, data, offset)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_changes(file: Path, changes: Iterable[tuple[int, Any]]) -> None:
    """Write into a file where it is, and make it durable: only for bytes that are known to be what was committed."""
    descriptor = os.open(file, os.O_WRONLY)
    try:
        for offset, data in changes:
            write_all(descriptor, data, offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(path: Path, commit: Commit) -> None:
    """Give the files that `commit` wrote anew their usual names, and remove those of no commit.

    For the holder of the writer's lock, before anything else is done: the next commit forgets these names.
    """
    for name in commit.replaced:
        with suppress(FileNotFoundError):  # done already
            os.replace(_beside(path, name, commit.number), path / name)  # noqa: PTH105 - counted by the crash tests
    for stale in path.glob("*/.*.replaced-*"):
        stale.unlink()
    for folder in sorted({(path / name).parent for name in commit.replaced}):
        sync_folder(folder)
