"""Changing rows of the ``raw`` layout: each has its place, whatever is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.store.changing.base import Restored, Rewritten
from rowlock.store.changing.raw_places import places_of_rows
from rowlock.store.commit.replaced_files import write_changed, write_changes

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["RawChanges"]


class RawChanges:
    """See `RowChanges`."""

    def __init__(self, opened: OpenedStore) -> None:
        self._path, self._commit = opened.path, opened.commit

    def restore(self, rows: Int64Array, block: AnyArray) -> None:
        """Write proved rows where they belong. A reader finds them damaged until they are whole, and then right."""
        for places in places_of_rows(self._commit, rows):
            write_changes(self._path / places.name, places.changes(block))

    def finish(self, damaged: Int64Array, number: int) -> Restored:  # noqa: ARG002 - all is written
        """Return that nothing is left to do."""
        return Restored()

    def rewrite(self, rows: Int64Array, block: AnyArray, number: int) -> Rewritten:
        """Write changed copies of the shards."""
        names = []
        for places in places_of_rows(self._commit, rows):
            write_changed(self._path, places.name, places.num_bytes, places.size, places.changes(block), number)
            names.append(places.name)
        return Rewritten(tuple(names))

    def close(self) -> None:
        """Do nothing: nothing is open."""
