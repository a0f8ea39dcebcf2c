"""The writer's session: rows go in, a commit makes them count."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rowlock.errors import ConfigError, RepeatedKeysError, StoreWriteError
from rowlock.keys import Keys
from rowlock.store.commit.addresses import shown_path
from rowlock.store.commit.format import ROOT, array_metadata, group_metadata, read_commit
from rowlock.store.commit.replaced_files import settle
from rowlock.store.disk.files import PARTIAL, sync_folder, write_json, writing
from rowlock.store.disk.lock import WriterLock
from rowlock.store.given.block_checks import require_columns, require_key_name
from rowlock.store.given.blocks import Source
from rowlock.store.given.cast import cast_block
from rowlock.store.index.index_writer import IndexWriter
from rowlock.store.layouts.registry import layout_of, matrix_writer
from rowlock.store.statistics.file import StatisticsWriter
from rowlock.store.writing.row_files import RowFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from rowlock.arrays import AnyArray, UInt64Array
    from rowlock.store.given.blocks import Matrix
    from rowlock.store.layouts.base import MatrixWriter

__all__ = ["StoreWriter"]

_WHOLE_BYTES = 64 << 20  # an append of up to this size is cast and looked at as a whole before it is written


class StoreWriter:
    """Adds rows to a store; made by `FeatureStore.writer`.

    Rows count once they are committed: when a shard is full, when `commit` is called, and at the end of the
    ``with`` block. If the block ends with an exception, what was not committed is dropped.

    Parameters
    ----------
    path : Path
        A store.
    on_commit : callable
        Called without arguments after every commit.
    lock : WriterLock or None
        The store's lock, if the caller holds it already; it stays the caller's.

    Raises
    ------
    StoreLockedError
        Another writer has the store.
    """

    def __init__(
        self, path: Path, on_commit: Callable[[], None] = lambda: None, lock: WriterLock | None = None
    ) -> None:
        self._path, self._shown = path, shown_path(path)
        self._on_commit = on_commit
        self._files: RowFiles | None = None
        self._matrix: MatrixWriter | None = None
        with writing(f"to {self._shown}", 0):
            self._own_lock = WriterLock(path) if lock is None else None
        try:
            self._commit = read_commit(path)
            self._num_rows = self._commit.num_rows
            with writing(f"to {self._shown}", self._num_rows):
                self._open_files()
        except BaseException:
            self.close()
            raise

    @property
    def num_rows(self) -> int:
        """Rows so far, committed or not."""
        return self._num_rows

    def append(self, block: Matrix, keys: Any = None) -> int:
        """Add rows behind the last.

        Parameters
        ----------
        block : array, sparse matrix, frame, or iterable of these
            Shape (n, num_columns).
        keys : n keys, or None
            Needed if, and only if, the store has keys.

        Returns
        -------
        int
            Rows of the store, with those that are not committed yet.

        Raises
        ------
        ConfigError
            Another width, other column names, or values that the store's dtype cannot hold.
        KeyTypeError, RepeatedKeysError
            Keys of another kind, or that the store has already.
        StoreWriteError
            The disk refused. The last commit is safe; this writer is finished.

        Notes
        -----
        A block that is refused leaves nothing behind. What is larger than 64 MiB, or an iterable, is looked at
        block by block, and the blocks before the refused one are kept.
        """
        source = Source.of(block, self._commit.row_dtype)
        require_columns(self._shown, self._commit, source)
        require_key_name(self._shown, self._commit, keys)
        known = None if keys is None else Keys.of(keys, "keys")
        if known is not None and source.num_rows is not None and len(known) != source.num_rows:
            raise ConfigError(f"{len(known):,} keys for {source.num_rows:,} rows")
        if source.num_rows is None or source.num_rows * self._commit.row_bytes > _WHOLE_BYTES:
            self.append_blocks(source, known)
        else:
            blocks = [self._cast(part) for _, part in source.blocks]
            whole = np.concatenate(blocks) if blocks else np.empty((0, source.num_columns), self._commit.row_dtype)
            self._append_checked(whole, known)
        return self._num_rows

    def append_blocks(
        self, source: Source, keys: Keys | None, progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Add the blocks of `source` one by one; `keys` are those of all of them, or come with the blocks."""
        first = self._num_rows
        for own_keys, block in source.blocks:
            start = self._num_rows - first
            part = keys.take(slice(start, start + len(block))) if keys is not None else own_keys
            if part is not None and len(part) != len(block):
                raise ConfigError(f"there are only {0 if keys is None else len(keys):,} keys, but more rows")
            self._append_checked(self._cast(block), part)
            progress(self._num_rows - first)
        if keys is not None and self._num_rows - first != len(keys):
            raise ConfigError(f"{len(keys):,} keys for {self._num_rows - first:,} rows")

    def commit(self) -> int:
        """Make all rows so far durable and visible; return their number."""
        files, matrix = self._required()
        if self._num_rows > self._commit.num_rows:
            with self._guarded():
                self._commit_rows(files, matrix)
            self._on_commit()
        return self._num_rows

    def close(self) -> None:
        """Let go of the store without a commit."""
        if self._matrix is not None:
            self._matrix.close()
            self._matrix = None
            self._statistics.report()
        if self._files is not None:
            self._files.close()
            self._files = None
        if self._own_lock is not None:
            self._own_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.close()

    def _open_files(self) -> None:
        """Remove what a killed writer left, and open what will grow."""
        for stale in list(self._path.rglob(f".*{PARTIAL}")):
            stale.unlink()
        settle(self._path, self._commit)
        self._files = RowFiles(self._path, self._commit)
        self._index = IndexWriter(self._path, self._commit, self._files.stored_keys)
        self._statistics = StatisticsWriter(self._path, self._commit)
        self._matrix = matrix_writer(self._path, self._commit)

    def _cast(self, block: AnyArray) -> AnyArray:
        commit = self._commit
        return cast_block(block, commit.row_dtype, first_row=self._num_rows, columns=commit.columns)

    def _append_checked(self, block: AnyArray, keys: Keys | None) -> None:
        """Add a block that is cast already."""
        files, matrix = self._required()
        hashes = self._hashes_of_new(keys, len(block))
        if not len(block):
            return
        with self._guarded():
            files.append(block, keys, hashes)
            if keys is not None:
                self._index.add(hashes, self._num_rows)
            filled = matrix.append(block)
            self._statistics.add(block)
            self._num_rows += len(block)
        if filled:
            self.commit()

    def _hashes_of_new(self, keys: Keys | None, num_rows: int) -> UInt64Array:
        """Return the hashes that the rows' checks are bound to, or raise if the keys do not fit the store."""
        kind = self._commit.key_kind
        if (keys is None) != (kind is None):
            has = "has no keys: leave keys= out" if kind is None else f"has {kind} keys: give keys="
            raise ConfigError(f"{self._shown} {has}")
        if keys is None:
            return Keys(np.arange(self._num_rows, self._num_rows + num_rows, dtype=np.int64)).hash()
        known = np.flatnonzero(self._index.find(keys) >= 0)
        twice = keys.repeated()
        if len(known) or len(twice):
            rows, how = (
                (known, "that the store has already") if len(known) else (twice, "that occur twice in one block")
            )
            raise RepeatedKeysError(
                f"{len(rows):,} of {len(keys):,} keys {how}: {keys.describe(rows)}. Nothing of the block was written"
                f" to {self._shown}. A store has one row for a key; drop the repeats first."
            )
        return keys.hash()

    def _commit_rows(self, files: RowFiles, matrix: MatrixWriter) -> None:
        """Write data first, then what describes it, then the root: readers believe the root alone."""
        path, before = self._path, self._commit
        if read_commit(path).number != before.number:
            raise StoreWriteError(
                f"{path} was committed by another writer meanwhile: the locks of this file system do not work."
                f" Its rows are kept; the {self._num_rows - before.num_rows:,} rows of this session are not."
            )
        matrix.sync()
        files.sync()
        runs = self._index.write(before.number + 1)
        facts = {**matrix.facts(), **files.facts(), "statistics": self._statistics.write(before.number + 1)}
        after = before.next(num_rows=self._num_rows, key_index=runs, **facts)
        nodes = layout_of(after.layout).nodes(after)
        nodes |= {name: array_metadata(shape, chunks, dtype) for name, (shape, chunks, dtype) in after.arrays.items()}
        for name, metadata in nodes.items():
            write_json(path / name / ROOT, metadata)
            sync_folder(path / name)
        write_json(path / ROOT, group_metadata(after))
        sync_folder(path)
        self._commit = after
        self._index.accept(runs)
        self._statistics.accept(after.number)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """After a failure in here nothing more is written: what the files hold is not known any more."""
        try:
            with writing(f"to {self._shown}", self._commit.num_rows):
                yield
        except BaseException:
            self.close()
            raise

    def _required(self) -> tuple[RowFiles, MatrixWriter]:
        if self._files is None or self._matrix is None:
            raise StoreWriteError(
                f"this writer of {self._shown} is finished, with {self._commit.num_rows:,} rows committed."
                " Open a new one."
            )
        return self._files, self._matrix
