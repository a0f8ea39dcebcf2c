"""The ``packed`` layout: rows compressed one by one, in Zarr shards of about 256 MiB.

``matrix/`` is one Zarr array with the codec ``sharding_indexed``; shard i is the file ``c.<i>.0``: the chunks of
its rows, one after the other, then the index of Zarr. ``row_offsets/`` says where the chunk of every row begins,
counted through the chunks of all shards: by it a row is found without looking for an index whose place changes
with every append. A row of zeros is a chunk like any other; there are no missing ones.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import StoreFormatError
from rowlock.keys import Keys
from rowlock.store.commit.format import array_metadata, chunk_name, read_commit
from rowlock.store.commit.replaced_files import map_committed, open_committed, use_committed
from rowlock.store.disk.advice import advise
from rowlock.store.disk.files import sync_folder, write_bytes
from rowlock.store.disk.mapped import map_file
from rowlock.store.layouts.blosc import chunk_start, codec_metadata
from rowlock.store.layouts.lz4 import decode_chunk, lz4_decoder
from rowlock.store.layouts.packed_writer import (
    INDEX_SUM_BYTES,
    OFFSETS,
    PackedWriter,
    offsets_path,
    packed_shard_path,
    shard_index,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.commit.row_check import RowCheck
    from rowlock.store.layouts.base import Fault, MatrixReader, MatrixWriter, Nodes

__all__ = ["PackedReader", "nodes", "open_reader", "open_writer", "start"]

_ENTRY_BYTES = 16
_MOST_BYTES = 1 << 62


def nodes(commit: Commit) -> Nodes:
    """Return the metadata of the matrix and of the offsets."""
    shape, offsets = (commit.num_rows, commit.num_columns), (commit.num_rows + 1,)
    matrix = array_metadata(shape, (commit.rows_per_shard, commit.num_columns), commit.dtype)
    itemsize = commit.row_dtype.itemsize
    configuration = {
        "chunk_shape": [1, commit.num_columns],
        "codecs": [*matrix["codecs"], codec_metadata(itemsize, shuffle=commit.shuffle)],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }
    matrix["codecs"] = [{"name": "sharding_indexed", "configuration": configuration}]
    return {"matrix": matrix, "row_offsets": array_metadata(offsets, offsets, "int64")}


def start(path: Path) -> None:
    """Make what a matrix without rows needs."""
    for name in ("matrix", "row_offsets"):
        (path / name).mkdir(exist_ok=True)
    write_bytes(offsets_path(path), np.zeros(1, "<i8"))
    sync_folder(path / "row_offsets")


class PackedReader:
    """Compressed rows; see `MatrixReader`."""

    _load = staticmethod(map_file)

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path, self._commit = path, commit
        self._num_rows, self._rows_per_shard = commit.num_rows, commit.rows_per_shard
        self._row_bytes, self._shuffle = commit.row_bytes, commit.shuffle
        itemsize = commit.row_dtype.itemsize
        self._bits = np.dtype(f"u{itemsize}")
        starts = [
            chunk_start(commit.row_bytes, itemsize, shuffle=commit.shuffle, stored=stored) for stored in (False, True)
        ]
        self._starts: UInt64Array = np.frombuffer(b"".join(starts), "<u8")
        num_bytes = 8 * (commit.num_rows + 1)
        offsets = use_committed(path, commit, OFFSETS, lambda file: self._load(file, num_bytes, random=False))
        self._offsets: Int64Array = offsets.view("<i8")
        self._sizes = np.array([self._chunk_bytes(shard) for shard in range(commit.num_shards)], np.int64)
        self.num_bytes = int(self._sizes.sum()) + 8 * (commit.num_rows + 1)
        self._decoder = lz4_decoder()
        self._open_shards(path, commit)

    def _open_shards(self, path: Path, commit: Commit) -> None:
        self._maps = [
            map_committed(path, commit, f"matrix/{chunk_name(shard, 0)}", self._needed_bytes(shard, size), random=True)
            for shard, size in enumerate(self._sizes.tolist())
        ]
        self._bases: UInt64Array = np.array([shard.ctypes.data for shard in self._maps], np.uint64)
        self._residency_is_told = bool(self._maps) and os.access(packed_shard_path(path, 0), os.W_OK)

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Decode rows, and check them in `out`."""
        if not self._decoder:
            return self._gather_slowly(rows, out, check)
        return self._gather_fast(rows, out, check)

    def _gather_fast(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        from rowlock.store.layouts.packed_kernels import gather_chunks  # noqa: PLC0415 - Numba is loaded on first use

        num_bad: int = gather_chunks(
            rows, rows, np.asarray(out).view(self._bits), self._offsets, self._bases, self._sizes,
            self._rows_per_shard, self._starts, self._shuffle, np.uint64(self._decoder), *check.by_words,
        )  # fmt: skip
        return num_bad

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which pages will be read."""
        advise(*self._find(rows), residency_is_told=self._residency_is_told)

    def place_of(self, row: int) -> str:
        """Return file, byte and length of the chunk of a row."""
        shard, start, stop = self._span(row)
        return f"{packed_shard_path(self._path, shard)} at byte {start:,}, {stop - start:,} bytes long by row_offsets"

    def faults(self) -> list[Fault]:
        """Return the shards whose index is not what other Zarr readers need: those of the last commit."""
        found = [
            (*self._rows_of(shard), f"the Zarr index of {packed_shard_path(self._path, shard)}")
            for shard in range(len(self._sizes))
            if not self._has_index(shard)
        ]
        if not found:
            return []
        last = read_commit(self._path)
        is_last = (last.uuid, last.num_replaces) == (self._commit.uuid, self._commit.num_replaces)
        return found if is_last else []  # else the files have other content by now; ours have no names

    def _rows_of(self, shard: int) -> tuple[int, int]:
        return shard * self._rows_per_shard, min((shard + 1) * self._rows_per_shard, self._num_rows)

    def _span(self, row: int) -> tuple[int, int, int]:
        """Return the shard of a row, and where its chunk begins and ends there."""
        shard = row // self._rows_per_shard
        first, start, stop = (int(self._offsets[i]) for i in (shard * self._rows_per_shard, row, row + 1))
        return shard, start - first, stop - first

    def _chunk_bytes(self, shard: int) -> int:
        first, stop = self._rows_of(shard)
        num_bytes = int(self._offsets[stop]) - int(self._offsets[first])
        if not 0 <= num_bytes < _MOST_BYTES:
            raise StoreFormatError(
                f"{offsets_path(self._path)} is damaged: shard {shard} would have {num_bytes:,} bytes. Restore it from"
                " a copy, or write the store again."
            )
        return num_bytes

    def _needed_bytes(self, shard: int, num_bytes: int) -> int:
        """Return how long the file of a shard is at least: its chunks, and so much of its index as has rows."""
        first, stop = self._rows_of(shard)
        return num_bytes + _ENTRY_BYTES * (stop - first) + INDEX_SUM_BYTES

    def _has_index(self, shard: int) -> bool:
        """Return whether the index is right; the last shard may have been replaced by a longer one meanwhile."""
        first, stop = self._rows_of(shard)
        edges = self._offsets[first : stop + 1] - self._offsets[first]
        expected = int(edges[-1]) + _ENTRY_BYTES * self._rows_per_shard + INDEX_SUM_BYTES
        with open_committed(self._path, self._commit, f"matrix/{chunk_name(shard, 0)}") as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected:
                return size > expected and shard == len(self._sizes) - 1
            file.seek(int(edges[-1]))
            return file.read() == shard_index(edges, self._rows_per_shard)

    def _find(self, rows: Int64Array) -> tuple[UInt64Array, Int64Array]:
        from rowlock.store.layouts.packed_kernels import find_chunks  # noqa: PLC0415 - Numba is loaded on first use

        addresses, num_bytes = np.empty(len(rows), np.uint64), np.empty(len(rows), np.int64)
        find_chunks(rows, self._offsets, self._bases, self._sizes, self._rows_per_shard, addresses, num_bytes)
        return addresses, num_bytes

    def _gather_slowly(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Do the same one row after the other, through what the blosc2 package promises."""
        from rowlock.store.commit.row_kernels import check_block  # noqa: PLC0415 - Numba is loaded on first use

        if len(rows) and (rows.min() < 0 or rows.max() >= self._num_rows):
            return -1
        proof, found, key_hashes = check.proof, check.found, check.key_hashes
        if not len(key_hashes):
            key_hashes = Keys(proof.numbers[rows] if len(proof.numbers) else rows).hash()
        readable = np.array([self._decode(int(row), out[i]) for i, row in enumerate(rows)], bool)
        address, factors = np.uint64(out.ctypes.data), proof.factors
        check_block(address, self._row_bytes, factors.factors, factors.salt, key_hashes, found)
        stored = proof.checks[rows]
        found[~readable] = ~stored[~readable]
        return int(np.count_nonzero(found != stored))

    def _chunk(self, row: int) -> bytes:
        """Return the chunk of a row; its offsets make sense."""
        shard, start, stop = self._span(row)
        chunk: bytes = self._maps[shard][start:stop].tobytes()
        return chunk

    def _decode(self, row: int, out: AnyArray) -> bool:
        """Write one row, if its chunk begins as every chunk does and can be decoded; else zeros."""
        shard, start, stop = self._span(row)
        out[:] = 0
        if not 0 <= start <= stop <= self._sizes[shard] or stop - start < _ENTRY_BYTES:
            return False
        chunk = self._chunk(row)
        sizes = np.array([self._row_bytes, stop - start], "<u4")
        if (
            len(chunk) != stop - start
            or int.from_bytes(chunk[:8], "little") not in self._starts.tolist()
            or chunk[8:16] != sizes.tobytes()
        ):
            return False
        try:
            decoded = decode_chunk(chunk)
        except (RuntimeError, ValueError):
            return False
        if len(decoded) != self._row_bytes:
            return False
        out[:] = np.frombuffer(decoded, out.dtype)
        return True


def open_reader(path: Path, commit: Commit) -> MatrixReader:
    """Return the matrix of `commit`."""
    return PackedReader(path, commit)


def open_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer that goes on behind `commit`."""
    return PackedWriter(path, commit)
