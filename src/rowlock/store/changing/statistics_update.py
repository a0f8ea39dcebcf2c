"""Statistics for stores that have none: written before there were any, or with replaced rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.changing.replace import put_commit
from rowlock.store.commit.format import read_commit
from rowlock.store.commit.replaced_files import settle
from rowlock.store.disk.files import writing
from rowlock.store.disk.lock import WriterLock
from rowlock.store.reading.opened import OpenedStore
from rowlock.store.statistics.columns import ColumnTotals
from rowlock.store.statistics.file import write_statistics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["update_statistics"]

_PIECE_BYTES = 8 << 20


def update_statistics(path: Path, report: Callable[[int], None]) -> None:
    """See `FeatureStore.update_statistics`."""
    with writing(f"to {path}", read_commit(path).num_rows):
        lock = WriterLock(path)
        try:
            settle(path, read_commit(path))
            opened = OpenedStore(path)
            commit = opened.commit
            if commit.num_rows:
                totals = sum_up(opened, report)
                digest = write_statistics(path, totals.values, commit.number + 1)
                put_commit(path, commit, commit.next(statistics=digest))
        finally:
            lock.release()


def sum_up(opened: OpenedStore, report: Callable[[int], None]) -> ColumnTotals:
    """Read all rows, each checked, and return their totals."""
    commit = opened.commit
    totals = ColumnTotals(commit.num_columns)
    size = max(1, _PIECE_BYTES // commit.row_bytes)
    out = np.empty((min(size, commit.num_rows), commit.num_columns), commit.row_dtype)
    for start in range(0, commit.num_rows, size):
        rows = np.arange(start, min(start + size, commit.num_rows))
        opened.will_need(rows)
        opened.gather(rows, out[: len(rows)], None, None)
        totals.add(out[: len(rows)])
        report(int(rows[-1]) + 1)
    return totals
