"""The readers of ``io="pread"``: rows are read into memory of ours, and decoded and checked there.

Small files (offsets) are read into memory as a whole. Rows go through scratch memory of a call, a piece at a time,
so that a piece stays in the cache of a core between reading and checking; the loops that decode and check are those
of the mapped readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.meter import note_scratch
from rowlock.store.commit.format import chunk_name
from rowlock.store.disk.whole_files import load_file
from rowlock.store.layouts.csr import CsrReader
from rowlock.store.layouts.packed import PackedReader
from rowlock.store.layouts.raw import RawReader
from rowlock.store.layouts.shard_files import ShardFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray, BoolArray, Int64Array, UInt64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.commit.row_check import RowCheck
    from rowlock.store.layouts.base import MatrixReader

__all__ = ["PREAD_READERS"]

_PIECE_BYTES = 256 << 10
_ENDLESS = 1 << 62
_CHUNK_BYTES = 64  # more than a chunk has beside its row; a longer one is damaged


class RawPreadReader(RawReader):
    """Uncompressed rows, read to where they are wanted; see `MatrixReader`."""

    def _open_shards(self, path: Path, commit: Commit) -> None:
        counts = _counts(commit.num_rows, commit.rows_per_shard)
        names = [f"matrix/{chunk_name(shard, 0)}" for shard in range(len(counts))]
        sizes = [count * commit.row_bytes for count in counts]
        self._files = ShardFiles(path, commit, names, sizes, commit.rows_per_shard * commit.row_bytes)

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Read rows into `out`, and check them there."""
        from rowlock.store.commit.row_kernels import check_read  # noqa: PLC0415 - Numba is loaded on first use

        if _are_outside(rows, check):
            return -1
        starts, num_bytes = self._spans(rows)
        target, num_bad = np.asarray(out).reshape(-1).view(np.uint8), 0
        for piece in _pieces(num_bytes):
            part = target[piece.start * self._row_bytes : piece.stop * self._row_bytes]
            num_read = self._files.read(rows[piece], starts[piece], num_bytes[piece], part)
            num_bad += check_read(
                rows[piece], num_read, self._row_bytes, np.uint64(part.ctypes.data),
                *check.part(piece).by_words,
            )  # fmt: skip
        return num_bad

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which bytes will be read."""
        self._files.will_need(*self._spans(rows))

    def place_of(self, row: int) -> str:
        """Return file, byte and length of a row."""
        return super().place_of(row) + self._files.cut_off(row * self._row_bytes, self._row_bytes)

    def _spans(self, rows: Int64Array) -> tuple[Int64Array, Int64Array]:
        return rows * self._row_bytes, np.full(len(rows), self._row_bytes)


class CsrPreadReader(CsrReader):
    """Compressed sparse rows, whose cells are read in two calls a row; see `MatrixReader`."""

    _load = staticmethod(load_file)

    def _open_shards(self, path: Path, commit: Commit) -> None:
        self._num_columns = commit.num_columns
        counts = _counts(commit.num_cells, commit.cells_per_shard)

        def files(name: str, item_bytes: int) -> ShardFiles:
            names = [f"matrix/{name}/{chunk_name(shard)}" for shard in range(len(counts))]
            sizes = [count * item_bytes for count in counts]
            return ShardFiles(path, commit, names, sizes, commit.cells_per_shard * item_bytes)

        self._data_files = files("data", self._bits.itemsize)
        self._index_files = files("indices", self._kind.itemsize)

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Read cells, make rows dense, and check them from their cells."""
        from rowlock.store.layouts.csr_kernels import gather_cells  # noqa: PLC0415 - Numba is loaded on first use

        if _are_outside(rows, check):
            return -1
        data_bytes, index_bytes = self._bits.itemsize, self._kind.itemsize
        first, count, sound = self._cells(rows)
        bits = np.asarray(out).view(self._bits)
        scratch, num_bad = _scratch(count * (data_bytes + index_bytes)), 0
        for piece in _pieces(count * (data_bytes + index_bytes)):
            part, starts, counts = rows[piece], first[piece], count[piece]
            edge = int(counts.sum()) * data_bytes
            data, indices = scratch[:edge], scratch[edge:]
            whole = sound[piece] & (
                self._data_files.read(part, starts * data_bytes, counts * data_bytes, data) == counts * data_bytes
            )
            whole &= (
                self._index_files.read(part, starts * index_bytes, counts * index_bytes, indices)
                == counts * index_bytes
            )
            edges, places = _edges(counts, whole)
            num_bad += gather_cells(
                part, places, bits[piece], edges, _base(data), _base(indices), self._kind, _ENDLESS, _ENDLESS,
                *check.part(piece).by_half_words,
            )  # fmt: skip
        return num_bad

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which bytes will be read."""
        first, count, _ = self._cells(rows)
        for files, item_bytes in ((self._data_files, self._bits.itemsize), (self._index_files, self._kind.itemsize)):
            files.will_need(first * item_bytes, count * item_bytes)

    def place_of(self, row: int) -> str:
        """Return shard and cells of a row."""
        first, count, _ = (int(values[0]) for values in self._cells(np.array([row])))
        cut = [
            files.cut_off(first * item_bytes, count * item_bytes)
            for files, item_bytes in (
                (self._data_files, self._bits.itemsize),
                (self._index_files, self._kind.itemsize),
            )
        ]
        return super().place_of(row) + "".join(cut)

    def _cells(self, rows: Int64Array) -> tuple[Int64Array, Int64Array, BoolArray]:
        """Return the first cell of each row, how many it has, and whether its offsets make sense; else 0 and 0."""
        start, stop = self._indptr[rows], self._indptr[rows + 1]
        sound = (start >= 0) & (start <= stop) & (stop <= self._num_cells) & (stop - start <= self._num_columns)
        return np.where(sound, start, 0), np.where(sound, stop - start, 0), sound


class PackedPreadReader(PackedReader):
    """Compressed rows, whose chunks are read in one call a row; see `MatrixReader`."""

    _load = staticmethod(load_file)

    def _open_shards(self, path: Path, commit: Commit) -> None:
        sizes = [self._needed_bytes(shard, size) for shard, size in enumerate(self._sizes.tolist())]
        names = [f"matrix/{chunk_name(shard, 0)}" for shard in range(len(sizes))]
        self._shard_bytes = max(sizes, default=1)
        self._files = ShardFiles(path, commit, names, sizes, self._shard_bytes)

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which bytes will be read."""
        starts, num_bytes, _ = self._chunks(rows)
        self._files.will_need(starts, num_bytes)

    def place_of(self, row: int) -> str:
        """Return file, byte and length of the chunk of a row."""
        start, num_bytes, _ = (int(values[0]) for values in self._chunks(np.array([row])))
        return super().place_of(row) + self._files.cut_off(start, num_bytes)

    def _gather_fast(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        from rowlock.store.layouts.packed_kernels import gather_chunks  # noqa: PLC0415 - Numba is loaded on first use

        if _are_outside(rows, check):
            return -1
        starts, num_bytes, sound = self._chunks(rows)
        bits = np.asarray(out).view(self._bits)
        scratch, num_bad = _scratch(num_bytes), 0
        for piece in _pieces(num_bytes):
            part, counts = rows[piece], num_bytes[piece]
            whole = sound[piece] & (self._files.read(part, starts[piece], counts, scratch) == counts)
            edges, places = _edges(counts, whole)
            num_bad += gather_chunks(
                part, places, bits[piece], edges, _base(scratch), np.full(1, len(scratch)), _ENDLESS, self._starts,
                self._shuffle, np.uint64(self._decoder), *check.part(piece).by_words,
            )  # fmt: skip
        return num_bad

    def _chunk(self, row: int) -> bytes:
        starts, num_bytes, _ = self._chunks(np.array([row]))
        chunk = np.empty(int(num_bytes[0]), np.uint8)
        count = self._files.read(np.array([row]), starts, num_bytes, chunk)
        return chunk[: int(count[0])].tobytes()

    def _chunks(self, rows: Int64Array) -> tuple[Int64Array, Int64Array, BoolArray]:
        """Return where the chunk of each row begins, its length, and whether its offsets make sense; else 0 and 0."""
        shards = rows // self._rows_per_shard
        first = self._offsets[shards * self._rows_per_shard]
        start, stop = self._offsets[rows] - first, self._offsets[rows + 1] - first
        sound = (first >= 0) & (start >= 0) & (start <= stop) & (stop <= self._sizes[shards])
        sound &= stop - start <= 2 * self._row_bytes + _CHUNK_BYTES
        return np.where(sound, shards * self._shard_bytes + start, 0), np.where(sound, stop - start, 0), sound


PREAD_READERS: dict[str, Callable[[Path, Commit], MatrixReader]] = {
    "raw": RawPreadReader,
    "csr": CsrPreadReader,
    "packed": PackedPreadReader,
}
"""By layout."""


def _are_outside(rows: Int64Array, check: RowCheck) -> bool:
    return bool(len(rows) and (rows.min() < 0 or rows.max() >= len(check.proof.checks)))


def _counts(num_items: int, items_per_shard: int) -> list[int]:
    """Return how many items each shard has."""
    return [min(items_per_shard, num_items - start) for start in range(0, num_items, items_per_shard)]


def _pieces(num_bytes: Int64Array) -> Iterator[slice]:
    """Yield slices of rows that have `_PIECE_BYTES` together, at most, or are a single row."""
    ends, start = np.cumsum(num_bytes), 0
    while start < len(num_bytes):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PIECE_BYTES, side="right")))
        yield slice(start, stop)
        start = stop


def _scratch(num_bytes: Int64Array) -> AnyArray:
    """Return memory for every piece of `_pieces`, of this call alone."""
    most = max(min(_PIECE_BYTES, int(num_bytes.sum())), int(num_bytes.max(initial=0)))
    note_scratch(most)
    return np.empty(most, np.uint8)


def _base(memory: AnyArray) -> UInt64Array:
    return np.full(1, memory.ctypes.data, np.uint64)


def _edges(num_items: Int64Array, whole: BoolArray) -> tuple[Int64Array, Int64Array]:
    """Return where rows lie that were read one after the other, and which entry of that each row has.

    Entry 0 is where a shard begins; then there are two for each row, so that one that could not be read whole can
    have offsets that make no sense: what decodes knows that case.
    """
    ends = np.cumsum(num_items)
    edges = np.zeros(2 * len(num_items) + 1, np.int64)
    edges[1::2], edges[2::2] = np.where(whole, ends - num_items, -1), np.where(whole, ends, -1)
    places = np.arange(1, len(edges), 2)
    edges.flags.writeable = places.flags.writeable = False
    return edges, places
