"""Changing rows of the ``packed`` layout: a chunk of another length moves the chunks behind it in its shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import StoreCorruptError
from rowlock.store.changing.base import Restored, Rewritten
from rowlock.store.changing.row_spans import Edits, RowSpans, Run, in_sorted
from rowlock.store.changing.splice import Splice, moved_offsets
from rowlock.store.changing.spool import Spool
from rowlock.store.commit.format import chunk_name
from rowlock.store.commit.replaced_files import FilePart, write_changes, write_new, write_offsets
from rowlock.store.disk.mapped import map_file
from rowlock.store.layouts.blosc import encode_rows
from rowlock.store.layouts.packed_writer import OFFSETS, shard_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["PackedChanges"]

_PIECE_BYTES = 8 << 20
_INDEX_ENTRY, _INDEX_SUM = 16, 4


class PackedChanges:
    """See `RowChanges`."""

    def __init__(self, opened: OpenedStore) -> None:
        self._opened, self._path, self._commit = opened, opened.path, opened.commit
        num_bytes = 8 * (self._commit.num_rows + 1)
        self._offsets: Int64Array = map_file(self._path / OFFSETS, num_bytes, random=False).view("<i8")
        self._spool = Spool(self._path, 1)

    def restore(self, rows: Int64Array, block: AnyArray) -> None:
        """Keep the chunks of proved rows."""
        piece = max(1, _PIECE_BYTES // self._commit.row_bytes)
        for start in range(0, len(rows), piece):
            part = np.ascontiguousarray(block[start : start + piece])
            chunks, sizes = encode_rows(part, shuffle=self._commit.shuffle)
            self._spool.add(rows[start : start + piece], sizes, b"".join(chunks))

    def finish(self, damaged: Int64Array, number: int) -> Restored:
        """Write chunks and offsets where it is proved that they belong there, and what is left as new shards.

        A chunk that is longer or shorter than what was there (another version of LZ4 wrote that) does not fit in.
        """
        given = self._spool.rows()
        rows, _, sources = given
        if not self._shards_are_certain():
            self._write_indexes(damaged)
            return Restored(unplaced=rows)
        restored, longer = [Restored()], []
        for shard in np.unique(rows // self._commit.rows_per_shard).tolist():
            placed, edits = self._restore_shard(shard, damaged, given)
            restored.append(placed)
            longer += [edits] if len(edits.rows) else []
        self._write_indexes(damaged)
        return Restored(
            np.concatenate([part.touched for part in restored]),
            np.concatenate([part.unplaced for part in restored]),
            self._write_shards(longer, rows, sources, number) if longer else Rewritten(),
        )

    def rewrite(self, rows: Int64Array, block: AnyArray, number: int) -> Rewritten:
        """Write the shards that hold one of the rows, and where all rows begin."""
        faults = self._opened.matrix_faults()
        if faults:
            raise StoreCorruptError(
                f"{faults[0][2]} of rows {faults[0][0]}..{faults[0][1] - 1} does not agree with {self._path / OFFSETS},"
                " and new files would hide it. Nothing was written; `store.repair` first."
            )
        self.restore(rows, block)
        known, sizes, sources = self._spool.rows()
        shards = known // self._commit.rows_per_shard
        where = str(self._path / OFFSETS)
        edits = []
        for shard in np.unique(shards).tolist():
            first, spans = self._spans(shard, self._has_check)
            spans.require_order(where)
            found = spans.edits(known[shards == shard] - first, sizes[shards == shard], where)
            edits.append(found.behind(first))
        return self._write_shards(edits, known, sources, number)

    def close(self) -> None:
        """Let go of the chunks that were kept."""
        self._spool.close()

    def _has_check(self, rows: Int64Array) -> Any:
        return ~in_sorted(rows, self._opened.still_damaged(rows))

    def _limits(self, shard: int) -> tuple[int, int]:
        """Return the first row of a shard, and the row behind its last."""
        most = self._commit.rows_per_shard
        return shard * most, min((shard + 1) * most, self._commit.num_rows)

    def _chunk_bytes(self, shard: int) -> int:
        """Return how long the chunks of a shard are, by the commit or by the length of the file."""
        if shard == self._commit.num_shards - 1 and self._commit.tail_bytes:
            return self._commit.tail_bytes
        index_bytes = _INDEX_ENTRY * self._commit.rows_per_shard + _INDEX_SUM
        return (self._path / _shard(shard)).stat().st_size - index_bytes

    def _spans(self, shard: int, has_check: Any) -> tuple[int, RowSpans]:
        """Return the first row of a shard, and where its rows lie, both counted from its start."""
        first, stop = self._limits(shard)
        own = self._offsets[first : stop + 1] - self._offsets[first]
        return first, RowSpans(own, self._chunk_bytes(shard), lambda rows: has_check(rows + first))

    def _shards_are_certain(self) -> bool:
        """Return whether the offsets of the first rows of all shards agree with how long the shards are."""
        first_rows = np.arange(self._commit.num_shards) * self._commit.rows_per_shard
        lengths = [self._chunk_bytes(shard) for shard in range(self._commit.num_shards)]
        whole = len(lengths) - bool(self._commit.tail_bytes)
        edges = self._offsets[np.append(first_rows, self._commit.num_rows)]
        return bool((edges[: whole + 1] == np.append(0, np.cumsum(lengths))[: whole + 1]).all())

    def _restore_shard(self, shard: int, damaged: Int64Array, given: tuple[Int64Array, ...]) -> tuple[Restored, Edits]:
        """Write what fits into one shard; return what became of its rows, and the edits that do not fit in."""
        first, spans = self._spans(shard, lambda wanted: ~in_sorted(wanted, damaged))
        spans.trust_if_apart()
        is_own = given[0] // self._commit.rows_per_shard == shard
        rows, sizes, sources = (part[is_own] for part in given)
        rows = rows - first
        stop = self._limits(shard)[1]
        own = damaged[(damaged >= first) & (damaged < stop)] - first
        runs = [(run, self._places(run, first)) for run in spans.runs(own, rows, sizes)]
        longer = Edits.joined([run.edits() for run, places in runs if _is_longer(run, places, rows)])
        done, starts, lengths = (
            np.concatenate([part[places >= 0] for part, places in parts])
            for parts in (
                [(run.rows, places) for run, places in runs],
                [(places, places) for _, places in runs],
                [(run.sizes, places) for run, places in runs],
            )
        )
        held = in_sorted(done, rows)
        self._write_chunks(shard, starts[held], lengths[held], sources[np.searchsorted(rows, done[held])])
        touched = self._write_offsets(shard, done + first, starts + self._offsets[first], lengths)
        unplaced = rows[~in_sorted(rows, np.union1d(done, longer.rows))]
        return Restored(touched, unplaced + first), longer.behind(first)

    def _places(self, run: Run, first: int) -> Int64Array:
        """Return where each row begins; a chunk's length is that of what was there only if the offsets agree."""
        places = run.places()
        if not run.is_complete:
            begin, end = (self._offsets[first + run.rows + i] - self._offsets[first] for i in (0, 1))
            places[(places != begin) | (places + run.sizes != end)] = -1
        return places

    def _write_chunks(self, shard: int, starts: Int64Array, sizes: Int64Array, sources: Int64Array) -> None:
        if len(starts):
            parts = zip(starts.tolist(), sources.tolist(), sizes.tolist(), strict=True)
            changes = ((start, self._spool.read(0, source, size)) for start, source, size in parts)
            write_changes(self._path / _shard(shard), changes)

    def _write_offsets(self, shard: int, rows: Int64Array, starts: Int64Array, sizes: Int64Array) -> Int64Array:
        """Write offsets that are proved, where they are wrong; return the rows beside them."""
        touched = write_offsets(self._path / OFFSETS, self._offsets, rows, starts, sizes)
        first, stop = self._limits(shard)
        return touched[(touched >= first) & (touched < stop)]

    def _write_indexes(self, damaged: Int64Array) -> None:
        """Write Zarr's index of the shards where it is damaged, but no row is: the offsets are right then."""
        for first, stop, _ in self._opened.matrix_faults():
            own = damaged[(damaged >= first) & (damaged < stop)]
            if not len(self._opened.still_damaged(own)):
                edges = self._offsets[first : stop + 1] - self._offsets[first]
                index = shard_index(edges, self._commit.rows_per_shard)
                file = self._path / _shard(first // self._commit.rows_per_shard)
                write_changes(file, [(int(edges[-1]), index)], int(edges[-1]) + len(index))

    def _write_shards(self, edits: list[Edits], rows: Int64Array, sources: Int64Array, number: int) -> Rewritten:
        """Write the shards of `edits` anew, one for each, and the offsets of all rows."""
        names, starts, facts = [], [], {}
        grown = 0
        for edit in edits:
            shard = int(edit.rows[0]) // self._commit.rows_per_shard
            first, stop = self._limits(shard)
            from_spool = sources[np.searchsorted(rows, edit.rows)]
            splice = Splice(edit.starts, edit.stops, edit.sizes, from_spool, self._chunk_bytes(shard))
            own = self._offsets[first : stop + 1] - self._offsets[first]
            edges = [part for _, part in moved_offsets(own, edit.rows - first, splice.new_starts, edit.sizes)]
            index = shard_index(np.concatenate(edges), self._commit.rows_per_shard)
            write_new(self._path, _shard(shard), splice.total + len(index), self._parts(shard, splice, index), number)
            names.append(_shard(shard))
            starts.append(int(self._offsets[first]) + grown + splice.new_starts)
            grown += splice.total - self._chunk_bytes(shard)
            if shard == self._commit.num_shards - 1 and self._commit.tail_bytes:
                facts = {"tail_bytes": splice.total}
        changed = Edits.joined(edits)
        moved = moved_offsets(self._offsets, changed.rows, np.concatenate(starts), changed.sizes)
        write_new(self._path, OFFSETS, self._offsets.nbytes, ((8 * first, part) for first, part in moved), number)
        return Rewritten((*names, OFFSETS), facts)

    def _parts(self, shard: int, splice: Splice, index: bytes) -> Iterator[tuple[int, Any]]:
        """Yield where the bytes of a new shard come from."""
        for position, source, count, is_new in splice.pieces(0, splice.total):
            old = FilePart(self._path / _shard(shard), source, count)
            yield position, self._spool.read(0, source, count) if is_new else old
        yield splice.total, index


def _is_longer(run: Run, places: Int64Array, rows: Int64Array) -> bool:
    """Return whether all of a run is at hand, but does not fit in."""
    at_hand = run.is_complete and bool(in_sorted(run.rows, rows).all())
    return at_hand and bool((places < 0).all()) and run.start <= run.stop


def _shard(shard: int) -> str:
    return f"matrix/{chunk_name(shard, 0)}"
