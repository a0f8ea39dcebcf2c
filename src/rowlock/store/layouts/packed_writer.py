"""Writing of the ``packed`` layout: rows are compressed one by one into shards with Zarr's index at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import StoreWriteError
from rowlock.store.commit.format import chunk_name
from rowlock.store.disk.files import GrowingFile, sync_folder
from rowlock.store.disk.mapped import map_file
from rowlock.store.disk.tail_shard import TailShard, remove_later_shards
from rowlock.store.layouts.blosc import encode_rows

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.store.commit.format import Commit

__all__ = ["INDEX_SUM_BYTES", "OFFSETS", "PackedWriter", "offsets_path", "packed_shard_path", "shard_index"]

INDEX_SUM_BYTES = 4
_MISSING = np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # what Zarr calls a chunk that is not there
_PIECE_BYTES = 8 << 20
_MOST_ROWS = 1 << 20  # of a shard: its index, 16 bytes a row, is made in memory


OFFSETS = f"row_offsets/{chunk_name(0)}"
"""The file that says where the chunk of each row begins."""


def packed_shard_path(path: Path, shard: int) -> Path:
    """Return the file of a shard of the store at `path`."""
    return path / "matrix" / chunk_name(shard, 0)


def offsets_path(path: Path) -> Path:
    """Return the file that says where the chunk of each row begins."""
    return path / OFFSETS


def shard_index(edges: Int64Array, rows_per_shard: int) -> bytes:
    """Return the index of a shard as Zarr's sharding codec has it, with its checksum.

    Parameters
    ----------
    edges : int64, shape (n + 1,)
        Where the chunks of its rows begin and end in the file.
    rows_per_shard : int
        Rows of a full shard; those from n on are not there.
    """
    from rowlock.store.layouts.crc32c import crc32c  # noqa: PLC0415 - Numba is loaded on first use

    entries: UInt64Array = np.full((rows_per_shard, 2), _MISSING, "<u8")
    entries[: len(edges) - 1, 0] = edges[:-1]
    entries[: len(edges) - 1, 1] = np.diff(edges)
    checksum = int(crc32c(entries.reshape(-1).view(np.uint8)))
    return entries.tobytes() + checksum.to_bytes(INDEX_SUM_BYTES, "little")


class PackedWriter:
    """Compressed rows; see `MatrixWriter`.

    The first shard is full when its chunks are as long as was asked for; every later one has as many rows.
    """

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path = path
        self._shuffle = commit.shuffle
        self._shard_bytes = commit.shard_bytes
        self._num_rows = commit.num_rows
        self._tail = TailShard(lambda shard: packed_shard_path(path, shard))
        remove_later_shards(path / "matrix", commit.num_shards)
        num_bytes = 8 * (commit.num_rows + 1)
        offsets = map_file(offsets_path(path), num_bytes, random=False).view("<i8")
        self._total = int(offsets[-1])
        full = commit.num_rows > 0 and commit.tail_bytes == 0
        self._fixed = commit.rows_per_shard if full or commit.num_rows > commit.rows_per_shard else None
        first = commit.num_rows // self._fixed * self._fixed if self._fixed else 0
        self._edges = [offsets[first:] - offsets[first]]  # of the chunks in the tail, piece by piece
        if self._tail_bytes != commit.tail_bytes:
            raise StoreWriteError(
                f"{offsets_path(path)} is damaged: by it the last shard ends at byte {self._tail_bytes:,}, but the"
                f" commit says {commit.tail_bytes:,}. Nothing was written; restore it from a copy before appending."
            )
        self._offsets = GrowingFile(offsets_path(path), num_bytes)

    def append(self, block: AnyArray) -> bool:
        """Compress rows, some MiB at a time; return whether a shard was filled."""
        piece = max(1, _PIECE_BYTES // (block.shape[1] * block.itemsize))
        filled = [self._append_piece(block[start : start + piece]) for start in range(0, len(block), piece)]
        return any(filled)

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        if self._tail.is_open:
            self._finish()
        sync_folder(self._path / "matrix")
        self._offsets.sync()

    def facts(self) -> dict[str, Any]:
        """Return the length of a chunk of the grid, and where the last shard's chunks end."""
        return {"rows_per_shard": self._rows_per_shard, "tail_bytes": self._tail_bytes}

    def close(self) -> None:
        """Drop what was not synced."""
        self._tail.drop()
        self._offsets.close()

    @property
    def _rows_per_shard(self) -> int:
        return self._fixed or max(1, self._num_rows)

    @property
    def _tail_bytes(self) -> int:
        return int(self._edges[-1][-1])

    @property
    def _tail_rows(self) -> int:
        return sum(map(len, self._edges)) - 1

    def _append_piece(self, block: AnyArray) -> bool:
        chunks, sizes = encode_rows(block, shuffle=self._shuffle)
        filled = False
        done = 0
        while done < len(chunks):
            count = self._room(sizes[done:])
            self._write(chunks[done : done + count], sizes[done : done + count])
            done += count
            if self._is_full():
                self._finish()
                self._edges = [np.zeros(1, np.int64)]
                filled = True
        return filled

    def _room(self, sizes: Int64Array) -> int:
        """Return how many of the next rows the shard takes, at least one."""
        if self._fixed is not None:
            return min(len(sizes), self._fixed - self._tail_rows)
        long_enough = int(np.searchsorted(self._tail_bytes + np.cumsum(sizes), self._shard_bytes)) + 1
        return min(len(sizes), long_enough, _MOST_ROWS - self._tail_rows)

    def _is_full(self) -> bool:
        if self._fixed is None:
            if self._tail_bytes < self._shard_bytes and self._tail_rows < _MOST_ROWS:
                return False
            self._fixed = self._tail_rows
        return self._tail_rows == self._fixed

    def _write(self, chunks: list[bytes], sizes: Int64Array) -> None:
        shard = self._num_rows // self._fixed if self._fixed else 0
        self._tail.write(shard, self._tail_bytes, b"".join(chunks))
        ends = np.cumsum(sizes)
        self._offsets.append((self._total + ends).astype("<i8", copy=False))
        self._edges.append(self._tail_bytes + ends)
        self._total += int(ends[-1])
        self._num_rows += len(chunks)

    def _finish(self) -> None:
        """Write the index behind the chunks."""
        self._edges = [np.concatenate(self._edges)]
        self._tail.finish(self._tail_bytes, shard_index(self._edges[0], self._rows_per_shard))
