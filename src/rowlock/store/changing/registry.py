"""The changes of rows by layout."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rowlock.store.changing.csr_changes import CsrChanges
from rowlock.store.changing.packed_changes import PackedChanges
from rowlock.store.changing.raw_changes import RawChanges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.store.changing.base import RowChanges
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["row_changes"]

_CHANGES: dict[str, Callable[[OpenedStore], RowChanges]] = {
    "raw": RawChanges,
    "csr": CsrChanges,
    "packed": PackedChanges,
}


@contextmanager
def row_changes(opened: OpenedStore) -> Iterator[RowChanges]:
    """Yield what changes rows of a store that has some."""
    changes = _CHANGES[opened.commit.layout](opened)
    try:
        yield changes
    finally:
        changes.close()
