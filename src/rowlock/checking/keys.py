"""Keys of the table: repeated ones, and stored rows that nothing refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.checking.report import Finding, amount
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.errors import RowlockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.checking.subject import Subject

__all__ = ["bad_keys", "repeated_keys", "unused_rows"]


def bad_keys(subject: Subject) -> Iterator[Finding]:
    """Find a key column that cannot be one: missing values, floats, lists."""
    for part in subject.tables:
        if part.table.key is not None:
            try:
                part.table.row_keys()
            except RowlockError as error:
                yield Finding("bad-keys", "error", f"{type(error).__name__}: {error}", len(part.rows), part.table.key)


def repeated_keys(subject: Subject) -> Iterator[Finding]:
    """Find keys that several rows have."""
    for part in subject.tables:
        if part.table.key is None or part.keys is None:
            continue
        hashes = part.keys.hash()[part.rows]
        _, first, count = np.unique(hashes, return_index=True, return_counts=True)
        again = np.flatnonzero(count > 1)
        if len(again):
            total = int((count[again] - 1).sum())
            yield Finding(
                "repeated-keys",
                "note",
                f"{amount(total, 'row has', 'rows have')} a key that another row has too",
                total,
                part.table.key,
                "each row counts; if they are of one thing, keep them on one side of a split"
                f" (group={part.table.key!r} / --group {part.table.key})",
                tuple(part.example(int(part.rows[first[i]]), f"in {count[i]:,} rows") for i in again[:NUM_EXAMPLES]),
            )


def unused_rows(subject: Subject) -> Iterator[Finding]:
    """Find stores with rows that no row of the table refers to, be it one that is left out or of another part."""
    for stored in subject.stores:
        column = getattr(stored.opened.what, "key", None) or stored.part.table.key
        if stored.store is None or stored.opened.reader is None or stored.store.key_kind is None or column is None:
            continue
        places = stored.store.find(stored.part.table.keys(column))
        num_unused = stored.store.num_rows - len(np.unique(places[places >= 0]))
        if num_unused:
            yield Finding(
                "unused-rows",
                "note",
                f"{num_unused:,} of {stored.store.num_rows:,} rows of the store are not in the table",
                num_unused,
                stored.opened.label,
                "no harm: they are not read",
            )
