"""The growing key index: new rows in memory, one new run for each commit, old runs merged in when due."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from rowlock.errors import StoreWriteError
from rowlock.store.commit.format import ROOT, Run, array_metadata, chunk_name
from rowlock.store.disk.files import sync_folder, write_bytes, write_json
from rowlock.store.index.committed import map_run
from rowlock.store.index.key_index import KeyIndex, SortedRun, merge_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rowlock.arrays import Int64Array, UInt64Array
    from rowlock.keys import Keys
    from rowlock.store.commit.format import Commit

__all__ = ["IndexWriter"]


class IndexWriter:
    """Knows all keys of a store, committed or not, and writes the new ones.

    A run absorbs every earlier run that is at most twice as long, so that run lengths more than double towards
    the oldest: n appends rewrite each entry about log2(n) times, and read no keys at all.

    Parameters
    ----------
    path : Path
        The store.
    commit : Commit
        What is there.
    stored : callable
        Returns the keys of all rows so far, to tell different keys of one hash apart.
    """

    def __init__(self, path: Path, commit: Commit, stored: Callable[[], Keys]) -> None:
        self._path = path
        self._stored = stored
        self._kind = commit.key_kind
        self._runs = commit.key_index
        self._mapped = [map_run(path, run) for run in commit.key_index]
        self._fresh: list[SortedRun] = []
        self.remove_stale()

    def find(self, keys: Keys) -> Int64Array:
        """Return the row of every key, or -1; see `KeyIndex.find`."""
        runs = [*self._mapped, *self._fresh]
        index = KeyIndex(runs, self._stored, self._kind or keys.kind, str(self._path), suspicious=False)
        return index.find(keys, "the block")

    def add(self, hashes: UInt64Array, first_row: int) -> None:
        """Take note of the keys of new rows."""
        self._fresh.append(SortedRun.of(hashes, first_row))
        while len(self._fresh) > 1 and len(self._fresh[-2]) <= 2 * len(self._fresh[-1]):
            self._fresh[-2:] = [merge_all(self._fresh[-2:])]

    def write(self, number: int) -> tuple[Run, ...]:
        """Write the run of commit `number`, and return the runs that the commit names."""
        if not self._fresh:
            return self._runs
        kept, fresh = list(self._runs), list(self._fresh)
        while kept and kept[-1].num_keys <= 2 * sum(map(len, fresh)):
            kept.pop()
            fresh.append(self._intact(self._mapped[len(kept)]))
        merged = merge_all(fresh)
        run = Run(f"run-{number:08d}", len(merged), f"{merged.compute_digest():016x}")
        folder = self._path / "key_index" / run.name
        folder.mkdir(exist_ok=True)
        shape = (2, len(merged))
        write_json(folder / ROOT, array_metadata(shape, shape, "uint64"))
        words = (merged.hashes.astype("<u8", copy=False), merged.rows.astype("<u8", copy=False))
        write_bytes(folder / chunk_name(0, 0), *words)
        sync_folder(folder)
        sync_folder(folder.parent)
        return (*kept, run)

    def accept(self, runs: tuple[Run, ...]) -> None:
        """Go on from the commit that names `runs`."""
        known = dict(zip((run.name for run in self._runs), self._mapped, strict=True))
        self._mapped = [known.get(run.name) or map_run(self._path, run) for run in runs]
        self._runs = runs
        self._fresh = []
        self.remove_stale()

    def remove_stale(self) -> None:
        """Remove the runs that no commit names any more, or not yet. Readers have theirs mapped."""
        named = {run.name for run in self._runs}
        for folder in (self._path / "key_index").glob("run-*"):
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)

    def _intact(self, run: SortedRun) -> SortedRun:
        """Return a run that is about to be merged: damage must not be written anew as if it were right."""
        if run.digest != run.compute_digest():
            raise StoreWriteError(
                f"{run.name} of the key index of {self._path} is damaged. Nothing was committed; restore it from a"
                " copy before appending."
            )
        return run
