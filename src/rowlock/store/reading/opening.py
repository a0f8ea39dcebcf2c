"""Opening a store, whatever may be at its address, and whoever may be writing meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.errors import StoreError, StoreFormatError, StoreLockedError, StoreNotFoundError
from rowlock.store.commit.format import ROOT, read_commit
from rowlock.store.disk.ways import MMAP
from rowlock.store.reading.opened import OpenedStore

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_store"]

_OPEN_TRIES = 20


def open_store(path: Path, io: str = MMAP) -> OpenedStore:
    """Open the latest commit; if a writer makes the next one, or another store, meanwhile, start over."""
    if not path.is_dir() or not (path / ROOT).exists():
        raise _not_found(path)
    for _ in range(_OPEN_TRIES):
        try:
            opened = _try_to_open(path, io)
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error}") from error
        if opened is not None:
            return opened
    raise StoreLockedError(f"{path} is committed faster than it can be opened; try again")


def _try_to_open(path: Path, io: str) -> OpenedStore | None:
    """Return the store, or None if it was replaced, or files were removed by a newer commit, meanwhile."""
    before = read_commit(path)
    try:
        opened = OpenedStore(path, io)
    except FileNotFoundError as error:
        if read_commit(path) == before:
            raise StoreFormatError(f"{path} is not complete: {error}. Restore the file from a copy.") from error
        return None
    except StoreFormatError:
        if read_commit(path) == before:
            raise
        return None  # a file of a newer commit, which is shorter than the earlier one needs
    after, commit = read_commit(path), opened.commit
    if (after.uuid, after.num_replaces) != (commit.uuid, commit.num_replaces):
        return None
    # Two commits later the place of these statistics is taken.
    return opened if after.number == commit.number or opened.statistics_are_intact else None


def _not_found(path: Path) -> StoreNotFoundError | StoreFormatError:
    if path.exists():
        return StoreFormatError(
            f"{path} is not a feature store: it has no {ROOT}. rowlock.FeatureStore.write makes one."
        )
    near = [entry.name for entry in path.parent.glob("*.zarr")][:5] if path.parent.is_dir() else []
    return StoreNotFoundError(f"there is no store at {path}." + (f" Beside it: {', '.join(near)}." if near else ""))
