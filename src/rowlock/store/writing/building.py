"""A store is built beside its place and appears there whole; what killed writers left is removed."""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from rowlock.errors import StoreExistsError, StoreFormatError, StoreLockedError
from rowlock.store.commit.addresses import BUILDING
from rowlock.store.commit.format import ROOT, read_commit
from rowlock.store.disk.files import sync_folder, writing
from rowlock.store.disk.lock import LOCK, WriterLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["built_beside"]

_GRACE_SECONDS = 60.0


@contextmanager
def built_beside(path: Path, *, overwrite: bool) -> Iterator[tuple[Path, WriterLock]]:
    """Yield a fresh hidden folder beside `path` and its lock; put it at `path` when the block ends well.

    Raises
    ------
    StoreExistsError
        Something is at `path`, and `overwrite` is False, or it is not a store.
    StoreLockedError
        The store that is to be replaced is being written.
    """
    with writing(f"beside {path}", 0):
        path.parent.mkdir(parents=True, exist_ok=True)
    old = _lock_old(path, overwrite=overwrite)
    beside = path.with_name(f".{path.name}.{BUILDING}-{uuid.uuid4().hex[:12]}")
    lock: WriterLock | None = None
    try:
        _remove_stale(path)
        with writing(f"beside {path}", 0):
            beside.mkdir()
            lock = WriterLock(beside)
        yield beside, lock
        with writing(f"to {path}", 0):
            _put(beside, path, replace=old is not None)
    finally:
        for held in (lock, old):
            if held is not None:
                held.release()
        shutil.rmtree(beside, ignore_errors=True)


def _lock_old(path: Path, *, overwrite: bool) -> WriterLock | None:
    """Return the lock of the store at `path`, or None where the place is free."""
    if not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir())):
        return None
    if not overwrite:
        raise StoreExistsError(
            f"{path} exists. Choose another address, or replace it with overwrite=True (--overwrite)."
        )
    try:
        read_commit(path)
    except (OSError, StoreFormatError) as error:
        if not (path / LOCK).exists():
            raise StoreExistsError(
                f"{path} exists and is not a feature store ({_what_is_there(path, error)});"
                " overwrite=True (--overwrite) replaces stores only. Remove it yourself if nobody needs it."
            ) from error
    return WriterLock(path)


def _what_is_there(path: Path, error: Exception) -> str:
    """Return why something is no store."""
    if not path.is_dir():
        return "it is a file" if path.is_file() else "it is no folder"
    if isinstance(error, FileNotFoundError):
        return f"a folder without {ROOT}"
    return str(error)


def _put(beside: Path, path: Path, *, replace: bool) -> None:
    sync_folder(beside)
    if not replace:
        try:
            os.rename(beside, path)  # noqa: PTH104 - Path.rename replaces files on some systems
        except OSError as error:
            if os.path.lexists(path):
                raise StoreExistsError(f"{path} was made by somebody else meanwhile; nothing was replaced") from error
            raise
    elif not _exchange(beside, path):
        aside = beside.with_name(f"{beside.name}.old")
        os.rename(path, aside)  # noqa: PTH104 - see above
        os.rename(beside, path)  # noqa: PTH104 - see above
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(path.parent)


def _exchange(left: Path, right: Path) -> bool:
    """Swap two folders in one step, where the system can."""
    function = _renameat2()
    if function is None:
        return False
    here, exchange = -100, 2
    return bool(function(here, os.fsencode(left), here, os.fsencode(right), exchange) == 0)


@cache
def _renameat2() -> Any:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


def _remove_stale(path: Path) -> None:
    """Remove builds of `path` whose writer is gone: nobody holds their lock."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}.{BUILDING}-*"):
        with contextlib.suppress(StoreLockedError, OSError):
            if not (folder / LOCK).exists() and time.time() - folder.stat().st_mtime < _GRACE_SECONDS:
                continue  # it is being made at this moment
            WriterLock(folder).release()
            shutil.rmtree(folder)
