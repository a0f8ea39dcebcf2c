"""The ``raw`` layout: uncompressed rows at known places, in shard files of about 256 MiB."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.files import PARTIAL, copy_start, sync_folder, write_all
from rowlock.store.format import chunk_name
from rowlock.store.mapped import map_file

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, UInt64Array
    from rowlock.store.format import Commit

__all__ = ["RawShards", "RawWriter", "shard_path"]


def shard_path(path: Path, number: int) -> Path:
    """Return the file of a shard of the store at `path`."""
    return path / "matrix" / chunk_name(number, 0)


class RawShards:
    """The mapped shards of one commit.

    Attributes
    ----------
    bases : uint64, shape (num_shards,)
        Address of the first row of every shard; valid as long as this object lives.
    residency_is_told : bool
        Whether the system says which pages are in memory. Linux says it to those who may write the file, and
        tells others that all are.
    """

    def __init__(self, path: Path, commit: Commit) -> None:
        self._maps = [
            map_file(shard_path(path, number), num_bytes, random=True)
            for number, num_bytes in enumerate(_committed_bytes(commit))
        ]
        self.bases: UInt64Array = np.array([shard.ctypes.data for shard in self._maps], np.uint64)
        self.residency_is_told = bool(self._maps) and os.access(shard_path(path, 0), os.W_OK)


def _committed_bytes(commit: Commit) -> list[int]:
    """Return how many bytes of every shard belong to the commit."""
    starts = range(0, commit.num_rows, commit.rows_per_shard)
    return [min(commit.rows_per_shard, commit.num_rows - start) * commit.row_bytes for start in starts]


class RawWriter:
    """Adds rows behind a commit. The last shard is written anew beside the committed one, and renamed.

    Parameters
    ----------
    path : Path
        The store.
    commit : Commit
        What is there.
    """

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path = path
        self._row_bytes = commit.row_bytes
        self._most_rows = commit.rows_per_shard if commit.num_shards > 1 else commit.most_rows_per_shard
        self._num_rows = commit.num_rows
        self._descriptor = -1
        for shard in (path / "matrix").glob("c.*.0"):
            if int(shard.name.split(".")[1]) >= commit.num_shards:
                shard.unlink()  # a killed writer's

    @property
    def rows_per_shard(self) -> int:
        """Rows of a chunk as the next commit has them: all rows while there is a single shard."""
        return min(self._most_rows, max(1, self._num_rows))

    def append(self, block: AnyArray) -> bool:
        """Add rows; return whether a shard was filled, which is a good moment for a commit.

        Parameters
        ----------
        block : shape (n, num_columns)
            C-contiguous, in the store's dtype.
        """
        filled = False
        done = 0
        while done < len(block):
            shard, start = divmod(self._num_rows, self._most_rows)
            count = min(len(block) - done, self._most_rows - start)
            write_all(self._opened(shard, start), block[done : done + count], start * self._row_bytes)
            self._num_rows += count
            done += count
            if start + count == self._most_rows:
                self._finish()
                filled = True
        return filled

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        if self._descriptor >= 0:
            self._finish()
        sync_folder(self._path / "matrix")

    def close(self) -> None:
        """Drop the shard that was not finished."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            path = shard_path(self._path, self._num_rows // self._most_rows)
            path.with_name(f".{path.name}{PARTIAL}").unlink(missing_ok=True)

    def _opened(self, shard: int, start: int) -> int:
        """Return the file that the shard is written into, with its earlier rows copied."""
        if self._descriptor < 0:
            path = shard_path(self._path, shard)
            beside = path.with_name(f".{path.name}{PARTIAL}")
            self._descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            if start:
                copy_start(path, self._descriptor, start * self._row_bytes)
        return self._descriptor

    def _finish(self) -> None:
        """Give the open shard its full length (without using disk for it), sync and rename it."""
        shard = (self._num_rows - 1) // self._most_rows
        path = shard_path(self._path, shard)
        os.ftruncate(self._descriptor, self.rows_per_shard * self._row_bytes)
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        os.replace(path.with_name(f".{path.name}{PARTIAL}"), path)  # noqa: PTH105 - counted by the crash tests
