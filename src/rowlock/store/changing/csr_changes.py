"""Changing rows of the ``csr`` layout: a row of another length moves all cells behind it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.store.changing.base import Restored, Rewritten
from rowlock.store.changing.row_spans import RowSpans, in_sorted
from rowlock.store.changing.splice import Splice, ends_before, moved_offsets
from rowlock.store.changing.spool import Spool
from rowlock.store.commit.format import ROOT, chunk_name
from rowlock.store.commit.replaced_files import FilePart, write_changes, write_new, write_offsets
from rowlock.store.disk.files import json_bytes
from rowlock.store.disk.mapped import map_file
from rowlock.store.layouts.csr import INDPTR, cells_of, index_dtype, most_cells, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["CsrChanges"]

_ARRAYS = ("data", "indices")


class CsrChanges:
    """See `RowChanges`."""

    def __init__(self, opened: OpenedStore) -> None:
        self._opened, self._path, self._commit = opened, opened.path, opened.commit
        self._kind = index_dtype(self._commit.num_columns)
        self._itemsizes = (self._commit.row_dtype.itemsize, self._kind.itemsize)
        num_bytes = 8 * (self._commit.num_rows + 1)
        self._indptr: Int64Array = map_file(self._path / INDPTR, num_bytes, random=False).view("<i8")
        self._spool: Spool | None = None

    def restore(self, rows: Int64Array, block: AnyArray) -> None:
        """Keep the cells of proved rows."""
        if self._spool is None:
            self._spool = Spool(self._path, *self._itemsizes)
        ends, columns, data = cells_of(np.ascontiguousarray(block), self._kind)
        self._spool.add(rows, np.diff(ends, prepend=0), data, columns)

    def finish(self, damaged: Int64Array, number: int) -> Restored:  # noqa: ARG002 - the next commit is not needed
        """Write cells and `indptr` where it is proved that they belong there."""
        if self._spool is None:
            return Restored()
        known, sizes, sources = self._spool.rows()
        spans = RowSpans(self._indptr, self._commit.num_cells, lambda rows: ~in_sorted(rows, damaged))
        spans.trust_if_apart()
        runs = [(run.rows, run.places(), run.sizes) for run in spans.runs(damaged, known, sizes)]
        rows, starts, lengths = (np.concatenate(part) for part in zip(*runs, strict=True))
        placed = starts >= 0
        rows, starts, lengths = rows[placed], starts[placed], lengths[placed]
        given = in_sorted(rows, known)
        where = np.searchsorted(known, rows[given])
        self._write_cells(self._spool, starts[given], lengths[given], sources[where])
        touched = write_offsets(self._path / INDPTR, self._indptr, rows, starts, lengths)
        return Restored(touched, known[~in_sorted(known, rows)])

    def rewrite(self, rows: Int64Array, block: AnyArray, number: int) -> Rewritten:
        """Write all shards from the first row of another length on, and what says where rows begin."""
        spans = RowSpans(self._indptr, self._commit.num_cells, self._has_check)
        spans.require_order(str(self._path / INDPTR))
        ends, columns, data = cells_of(block, self._kind)
        edits = spans.edits(rows, np.diff(ends, prepend=0), str(self._path / INDPTR))
        splice = Splice(edits.starts, edits.stops, edits.sizes, ends_before(edits.sizes), self._commit.num_cells)
        facts = {"num_cells": splice.total, "cells_per_shard": self._cells_per_shard(splice.total)}
        names = []
        for name, itemsize, values in zip(_ARRAYS, self._itemsizes, (data, columns), strict=True):
            names += self._write_shards(name, itemsize, values, splice, number)
        if not np.array_equal(edits.sizes, edits.stops - edits.starts):
            moved = moved_offsets(self._indptr, edits.rows, splice.new_starts, edits.sizes)
            write_new(self._path, INDPTR, self._indptr.nbytes, ((8 * first, part) for first, part in moved), number)
            names.append(INDPTR)
        return Rewritten((*names, *self._write_metadata(facts, number)), facts)

    def close(self) -> None:
        """Let go of the cells that were kept."""
        if self._spool is not None:
            self._spool.close()

    def _has_check(self, rows: Int64Array) -> Any:
        return ~in_sorted(rows, self._opened.still_damaged(rows))

    def _cells_per_shard(self, num_cells: int) -> int:
        """Return the length of a chunk, which is that of all cells while there is a single one."""
        commit = self._commit
        most = commit.cells_per_shard if commit.num_cells > commit.cells_per_shard else most_cells(commit)
        return min(most, max(1, num_cells))

    def _write_shards(self, name: str, itemsize: int, values: AnyArray, splice: Splice, number: int) -> list[str]:
        before, after = self._commit.cells_per_shard, self._cells_per_shard(splice.total)
        names = []
        for first in range(0, splice.total, after):
            stop = min(first + after, splice.total)
            if before == after and splice.is_unchanged(first, stop):
                continue
            shard = f"matrix/{name}/{chunk_name(first // after)}"
            parts = self._parts(name, itemsize, values, splice, first, stop)
            write_new(self._path, shard, after * itemsize, parts, number)
            names.append(shard)
        return names

    def _parts(
        self, name: str, itemsize: int, values: AnyArray, splice: Splice, first: int, stop: int
    ) -> Iterator[tuple[int, Any]]:
        """Yield where the cells of a new shard come from: from `values`, or from the old shards."""
        most = self._commit.cells_per_shard
        for position, source, count, is_new in splice.pieces(first, stop):
            if is_new:
                yield (position - first) * itemsize, values[source : source + count]
                continue
            for shard, cell, at, length in _by_shard(source, count, most):
                file = self._path / "matrix" / name / chunk_name(shard)
                yield (position - first + at) * itemsize, FilePart(file, cell * itemsize, length * itemsize)

    def _write_metadata(self, facts: dict[str, int], number: int) -> list[str]:
        before, after = nodes(self._commit), nodes(self._commit.next(**facts))
        names = []
        for node in sorted(after):
            if after[node] != before[node]:
                content = json_bytes(after[node])
                write_new(self._path, f"{node}/{ROOT}", len(content), [(0, content)], number)
                names.append(f"{node}/{ROOT}")
        return names

    def _write_cells(self, spool: Spool, starts: Int64Array, sizes: Int64Array, sources: Int64Array) -> None:
        """Write cells of proved rows in place; `starts` ascend."""

        def parts() -> Iterator[tuple[int, int, int, int]]:
            for start, size, source in zip(starts.tolist(), sizes.tolist(), sources.tolist(), strict=True):
                for shard, cell, at, length in _by_shard(start, size, self._commit.cells_per_shard):
                    yield shard, cell, source + at, length

        for array, (name, itemsize) in enumerate(zip(_ARRAYS, self._itemsizes, strict=True)):
            for shard, own in groupby(parts(), key=lambda part: part[0]):
                changes = ((cell * itemsize, spool.read(array, source, length)) for _, cell, source, length in own)
                write_changes(self._path / "matrix" / name / chunk_name(shard), changes)


def _by_shard(start: int, count: int, most: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield items that lie in one shard each: shard, number in it, number of these items before, how many."""
    done = 0
    while done < count:
        shard, cell = divmod(start + done, most)
        length = min(count - done, most - cell)
        yield shard, cell, done, length
        done += length
