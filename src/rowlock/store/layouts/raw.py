"""The ``raw`` layout: uncompressed rows at known places, in shard files of about 256 MiB.

``matrix/`` is one Zarr array; shard i is the file ``c.<i>.0`` and holds rows_per_shard rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.store.commit.format import array_metadata, chunk_name
from rowlock.store.commit.replaced_files import map_committed
from rowlock.store.disk.advice import advise
from rowlock.store.disk.item_shards import ItemShards, ItemWriter

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.commit.row_check import RowCheck
    from rowlock.store.layouts.base import Fault, MatrixReader, MatrixWriter, Nodes

__all__ = ["RawReader", "RawWriter", "nodes", "open_reader", "open_writer", "start"]


def nodes(commit: Commit) -> Nodes:
    """Return the metadata of the matrix."""
    chunk = (commit.rows_per_shard, commit.num_columns)
    return {"matrix": array_metadata((commit.num_rows, commit.num_columns), chunk, commit.dtype)}


def start(path: Path) -> None:
    """Make what a matrix without rows needs."""
    (path / "matrix").mkdir(exist_ok=True)


class RawReader:
    """Uncompressed rows; see `MatrixReader`."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path = path
        self._rows_per_shard, self._row_bytes = commit.rows_per_shard, commit.row_bytes
        self.num_bytes = commit.num_rows * commit.row_bytes
        self._open_shards(path, commit)

    def _open_shards(self, path: Path, commit: Commit) -> None:
        self._shards = ItemShards(
            lambda shard: _shard_path(path, shard),
            commit.row_bytes,
            commit.num_rows,
            commit.rows_per_shard,
            lambda shard, n: map_committed(path, commit, f"matrix/{chunk_name(shard, 0)}", n, random=True),
        )

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Copy rows, and check them in `out`."""
        from rowlock.store.commit.row_kernels import gather_rows  # noqa: PLC0415 - Numba is loaded on first use

        num_bad: int = gather_rows(
            rows, self._shards.bases, self._rows_per_shard, self._row_bytes, np.uint64(out.ctypes.data),
            *check.by_words,
        )  # fmt: skip
        return num_bad

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which pages will be read."""
        from rowlock.store.commit.row_kernels import find_rows  # noqa: PLC0415 - Numba is loaded on first use

        addresses = np.empty(len(rows), np.uint64)
        find_rows(rows, self._shards.bases, self._rows_per_shard, self._row_bytes, addresses)
        advise(addresses, np.full(len(rows), self._row_bytes), residency_is_told=self._shards.residency_is_told)

    def place_of(self, row: int) -> str:
        """Return file, byte and length of a row."""
        shard, number = divmod(row, self._rows_per_shard)
        return f"{_shard_path(self._path, shard)} at byte {number * self._row_bytes:,}, {self._row_bytes:,} bytes long"

    def faults(self) -> list[Fault]:
        """Return nothing: there is nothing beside the rows."""
        return []


class RawWriter:
    """Uncompressed rows; see `MatrixWriter`."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._rows = ItemWriter(
            path / "matrix",
            lambda shard: _shard_path(path, shard),
            commit.row_bytes,
            num_items=commit.num_rows,
            items_per_shard=commit.rows_per_shard,
            most_items=max(1, commit.shard_bytes // commit.row_bytes),
        )

    def append(self, block: AnyArray) -> bool:
        """Add rows; return whether a shard was filled."""
        return self._rows.append(block)

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        self._rows.sync()

    def close(self) -> None:
        """Drop what was not synced."""
        self._rows.close()

    def facts(self) -> dict[str, Any]:
        """Return the length of a chunk."""
        return {"rows_per_shard": self._rows.items_per_shard}


def open_reader(path: Path, commit: Commit) -> MatrixReader:
    """Return the matrix of `commit`."""
    return RawReader(path, commit)


def open_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer that goes on behind `commit`."""
    return RawWriter(path, commit)


def _shard_path(path: Path, shard: int) -> Path:
    return path / "matrix" / chunk_name(shard, 0)
