"""Corrections: rows get other values in a new commit; readers of earlier commits do not see it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import row_numbers
from rowlock.errors import ConfigError, MissingKeysError, RepeatedKeysError, StoreCorruptError, StoreWriteError
from rowlock.keys import Keys
from rowlock.store.changing.raw_places import places_of_checks
from rowlock.store.changing.registry import row_changes
from rowlock.store.commit.format import ROOT, group_metadata, read_commit
from rowlock.store.commit.replaced_files import settle, write_changed
from rowlock.store.commit.row_check import RowFactors, changed_digest
from rowlock.store.disk.files import sync_folder, write_json, writing
from rowlock.store.disk.lock import WriterLock
from rowlock.store.given.block_checks import require_columns, require_key_name
from rowlock.store.given.blocks import Source
from rowlock.store.given.cast import cast_block
from rowlock.store.reading.opened import OpenedStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.given.blocks import Matrix

__all__ = ["checks_of", "commit_files", "locked", "put_commit", "replace_rows"]


@contextmanager
def locked(path: Path) -> Iterator[OpenedStore]:
    """Hold the writer's lock and yield the last commit, all files under their usual names."""
    commit = read_commit(path)
    with writing(f"to {path}", commit.num_rows):
        lock = WriterLock(path)
        try:
            settle(path, read_commit(path))
            yield OpenedStore(path)
        finally:
            lock.release()


def put_commit(path: Path, before: Commit, after: Commit) -> None:
    """Make `after` count, once everything that it names is on disk."""
    if read_commit(path).number != before.number:
        raise StoreWriteError(
            f"{path} was committed by another writer meanwhile: the locks of this file system do not work."
            " Its rows are kept; nothing of this change is."
        )
    write_json(path / ROOT, group_metadata(after))
    sync_folder(path)


def checks_of(commit: Commit, block: AnyArray, hashes: UInt64Array) -> UInt64Array:
    """Return the row_check of rows that are C-contiguous and in the store's dtype."""
    from rowlock.store.commit.row_kernels import check_block  # noqa: PLC0415 - Numba is loaded on first use

    checks = np.empty(len(block), np.uint64)
    factors = RowFactors.of(commit.uuid, commit.row_bytes)
    check_block(np.uint64(block.ctypes.data), commit.row_bytes, factors.factors, factors.salt, hashes, checks)
    return checks


def replace_rows(path: Path, keys: Any, matrix: Matrix) -> int:
    """See `FeatureStore.replace`."""
    with locked(path) as opened:
        commit = opened.commit
        require_key_name(path, commit, keys)
        rows, hashes = _rows_of(opened, keys)
        block = _block_of(path, commit, matrix, rows)
        if len(rows):
            order = np.argsort(rows)
            checks = checks_of(commit, block, hashes)
            _write(opened, rows[order], block[order], checks[order])
        return len(rows)


def _write(opened: OpenedStore, rows: Int64Array, block: AnyArray, checks: UInt64Array) -> None:
    """Write the changed files beside, then the root that names them, then give them their usual names."""
    path, commit = opened.path, opened.commit
    if opened.rows_digest(commit.num_rows) != commit.rows_digest:
        raise StoreCorruptError(
            f"the checks of {path} are not those that were committed, and a new commit would hide it. Nothing was"
            " written; `store.repair` first."
        )
    number = commit.number + 1
    with row_changes(opened) as changes:
        rewritten = changes.rewrite(rows, block, number)
    places = places_of_checks(commit, rows)
    write_changed(path, places.name, places.num_bytes, places.size, places.changes(checks[:, None]), number)
    digest = changed_digest(commit.rows_digest, rows, opened.checks(rows), checks)
    commit_files(opened, (*rewritten.names, places.name), {**rewritten.facts, "rows_digest": digest})


def commit_files(opened: OpenedStore, names: tuple[str, ...], facts: dict[str, Any]) -> None:
    """Make files count that were written beside, and give them their usual names."""
    path, commit = opened.path, opened.commit
    for folder in sorted({(path / name).parent for name in names}):
        sync_folder(folder)
    after = commit.next(**facts, replaced=names, num_replaces=commit.num_replaces + 1)
    put_commit(path, commit, after)
    settle(path, after)


def _rows_of(opened: OpenedStore, keys: Any) -> tuple[Int64Array, UInt64Array]:
    """Return the rows that `keys` name, each once, and the hashes that their checks are bound to."""
    if opened.index is None:
        rows = row_numbers(keys, "the rows to replace (this store has no keys)")
        if len(rows) and (rows.min() < 0 or rows.max() >= opened.commit.num_rows):
            raise ConfigError(
                f"rows to replace must be in 0..{opened.commit.num_rows - 1}, not {rows.min()}..{rows.max()}"
            )
        wanted = Keys(rows)
    else:
        wanted = Keys.of(keys, "replace")
        rows = opened.index.find(wanted, "replace")
    missing, twice = np.flatnonzero(rows < 0), wanted.repeated()
    if len(missing):
        raise MissingKeysError(
            f"{len(missing):,} of {len(wanted):,} keys are not in {opened.path}: {wanted.describe(missing)}. Nothing"
            " was written; store.append adds rows."
        )
    if len(twice):
        raise RepeatedKeysError(
            f"{len(twice):,} of {len(wanted):,} rows to replace are named twice: {wanted.describe(twice)}. Nothing"
            " was written."
        )
    return rows, wanted.hash()


def _block_of(path: Path, commit: Commit, matrix: Matrix, rows: Int64Array) -> AnyArray:
    """Return the new rows as they are stored."""
    source = Source.of(matrix, commit.row_dtype)
    require_columns(path, commit, source)
    blocks = [cast_block(block, commit.row_dtype, columns=commit.columns) for _, block in source.blocks]
    whole = np.concatenate([np.empty((0, commit.num_columns), commit.row_dtype), *blocks])
    if len(whole) != len(rows):
        raise ConfigError(f"{len(rows):,} keys for {len(whole):,} rows. Nothing was written.")
    return whole
