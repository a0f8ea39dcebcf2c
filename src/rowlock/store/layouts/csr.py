"""The ``csr`` layout: what is not zero, as AnnData writes a compressed sparse row matrix into Zarr.

::

    matrix/            group, attributes encoding-type "csr_matrix", encoding-version "0.1.0", shape
    ├── data/          (num_cells,) values, row after row; shard i is the file c.<i>
    ├── indices/       (num_cells,) their columns, int16 or int32, ascending in each row; sharded alike
    └── indptr/        (num_rows + 1,) int64: where the cells of each row begin; one chunk

Zero is what has no bit set: -0.0 is a cell like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.store.commit.format import array_metadata, chunk_name, group_metadata
from rowlock.store.commit.replaced_files import map_committed, use_committed
from rowlock.store.disk.advice import advise
from rowlock.store.disk.files import GrowingFile, sync_folder, write_bytes
from rowlock.store.disk.item_shards import ItemShards, ItemWriter
from rowlock.store.disk.mapped import map_file

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.commit.row_check import RowCheck
    from rowlock.store.layouts.base import Fault, MatrixReader, MatrixWriter, Nodes

__all__ = [
    "INDPTR",
    "CsrReader",
    "CsrWriter",
    "cells_of",
    "index_dtype",
    "most_cells",
    "nodes",
    "open_reader",
    "open_writer",
    "start",
]

INDPTR = f"matrix/indptr/{chunk_name(0)}"
_WIDEST_INT16 = 1 << 15


def index_dtype(num_columns: int) -> np.dtype[Any]:
    """Return the dtype of column numbers: signed, because SciPy takes no other."""
    return np.dtype("<i2" if num_columns <= _WIDEST_INT16 else "<i4")


def nodes(commit: Commit) -> Nodes:
    """Return the metadata of the group and its arrays."""
    group = group_metadata()
    group["attributes"] = {
        "encoding-type": "csr_matrix",
        "encoding-version": "0.1.0",
        "shape": [commit.num_rows, commit.num_columns],
    }
    cells, chunk = (commit.num_cells,), (commit.cells_per_shard,)
    offsets = (commit.num_rows + 1,)
    return {
        "matrix": group,
        "matrix/data": array_metadata(cells, chunk, commit.dtype),
        "matrix/indices": array_metadata(cells, chunk, index_dtype(commit.num_columns).name),
        "matrix/indptr": array_metadata(offsets, offsets, "int64"),
    }


def start(path: Path) -> None:
    """Make what a matrix without rows needs."""
    for name in ("data", "indices", "indptr"):
        (path / "matrix" / name).mkdir(parents=True, exist_ok=True)
    write_bytes(path / "matrix" / "indptr" / chunk_name(0), np.zeros(1, "<i8"))
    sync_folder(path / "matrix" / "indptr")
    sync_folder(path / "matrix")


class CsrReader:
    """Compressed sparse rows; see `MatrixReader`."""

    _load = staticmethod(map_file)

    def __init__(self, path: Path, commit: Commit) -> None:
        self._matrix = path / "matrix"
        self._cells_per_shard, self._num_cells = commit.cells_per_shard, commit.num_cells
        self._kind = np.empty(0, index_dtype(commit.num_columns))
        self._bits = np.dtype(f"u{commit.row_dtype.itemsize}")
        num_bytes = 8 * (commit.num_rows + 1)
        self.num_bytes = commit.num_cells * (self._bits.itemsize + self._kind.itemsize) + num_bytes
        indptr = use_committed(path, commit, INDPTR, lambda file: self._load(file, num_bytes, random=False))
        self._indptr: Int64Array = indptr.view("<i8")
        self._open_shards(path, commit)

    def _open_shards(self, path: Path, commit: Commit) -> None:
        self._data = _mapped_cells(path, commit, "data", self._bits.itemsize)
        self._indices = _mapped_cells(path, commit, "indices", self._kind.itemsize)

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Make rows dense, and check them from their cells."""
        from rowlock.store.layouts.csr_kernels import gather_cells  # noqa: PLC0415 - Numba is loaded on first use

        num_bad: int = gather_cells(
            rows, rows, np.asarray(out).view(self._bits), self._indptr, self._data.bases, self._indices.bases,
            self._kind, self._cells_per_shard, self._num_cells, *check.by_half_words,
        )  # fmt: skip
        return num_bad

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which pages will be read."""
        from rowlock.store.layouts.csr_kernels import find_cells  # noqa: PLC0415 - Numba is loaded on first use

        addresses, num_bytes = np.empty(len(rows), np.uint64), np.empty(len(rows), np.int64)
        for shards, item_bytes in ((self._data, self._bits.itemsize), (self._indices, self._kind.itemsize)):
            find_cells(
                rows, self._indptr, shards.bases, item_bytes, self._cells_per_shard, self._num_cells,
                addresses, num_bytes,
            )  # fmt: skip
            advise(addresses, num_bytes, residency_is_told=shards.residency_is_told)

    def place_of(self, row: int) -> str:
        """Return shard and cells of a row."""
        start, stop = (int(offset) for offset in self._indptr[row : row + 2])
        shard = chunk_name(max(0, start) // self._cells_per_shard)
        return f"{self._matrix}, data/{shard} and indices/{shard}, cells {start:,}..{stop - 1:,} by its indptr"

    def faults(self) -> list[Fault]:
        """Return nothing: every stored byte belongs to a row."""
        return []


class CsrWriter:
    """Compressed sparse rows; see `MatrixWriter`."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._index_dtype = index_dtype(commit.num_columns)
        self._data = _cells(path / "matrix" / "data", commit.row_dtype.itemsize, most_cells(commit), commit)
        self._indices = _cells(path / "matrix" / "indices", self._index_dtype.itemsize, most_cells(commit), commit)
        self._indptr = GrowingFile(path / "matrix" / "indptr" / chunk_name(0), 8 * (commit.num_rows + 1))

    def append(self, block: AnyArray) -> bool:
        """Add the cells of rows; return whether a shard was filled."""
        ends, columns, data = cells_of(block, self._index_dtype)
        self._indptr.append((ends + self._data.num_items).astype("<i8", copy=False))
        self._indices.append(columns)
        return self._data.append(data)

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        self._data.sync()
        self._indices.sync()
        self._indptr.sync()

    def facts(self) -> dict[str, Any]:
        """Return how many cells there are, and the length of a chunk."""
        return {"num_cells": self._data.num_items, "cells_per_shard": self._data.items_per_shard}

    def close(self) -> None:
        """Drop what was not synced."""
        self._data.close()
        self._indices.close()
        self._indptr.close()


def cells_of(block: AnyArray, kind: np.dtype[Any]) -> tuple[Int64Array, AnyArray, AnyArray]:
    """Return where the cells of each row end, the columns of all cells (of dtype `kind`), and their bits."""
    from rowlock.store.layouts.csr_kernels import collect_cells  # noqa: PLC0415 - Numba is loaded on first use

    bits = block.view(f"u{block.itemsize}")
    num_cells = int(np.count_nonzero(bits))
    ends = np.empty(len(block), np.int64)
    columns, data = np.empty(num_cells, kind), np.empty(num_cells, bits.dtype)
    collect_cells(bits, ends, columns, data)
    return ends, columns, data


def most_cells(commit: Commit) -> int:
    """Return the cells of a full shard; the larger of its two files is as large as was asked for."""
    return max(1, commit.shard_bytes // max(commit.row_dtype.itemsize, index_dtype(commit.num_columns).itemsize))


def _mapped_cells(path: Path, commit: Commit, name: str, item_bytes: int) -> ItemShards:
    return ItemShards(
        lambda shard: path / "matrix" / name / chunk_name(shard),
        item_bytes,
        commit.num_cells,
        commit.cells_per_shard,
        lambda shard, n: map_committed(path, commit, f"matrix/{name}/{chunk_name(shard)}", n, random=True),
    )


def _cells(folder: Path, item_bytes: int, most_items: int, commit: Commit) -> ItemWriter:
    return ItemWriter(
        folder,
        lambda shard: folder / chunk_name(shard),
        item_bytes,
        num_items=commit.num_cells,
        items_per_shard=commit.cells_per_shard,
        most_items=most_items,
    )


def open_reader(path: Path, commit: Commit) -> MatrixReader:
    """Return the matrix of `commit`."""
    return CsrReader(path, commit)


def open_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer that goes on behind `commit`."""
    return CsrWriter(path, commit)
