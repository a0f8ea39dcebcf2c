"""`FeatureStore`: a matrix on disk, larger than memory, read by random row and checked row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rowlock.errors import ConfigError, StoreClosedError
from rowlock.keys import key_name as series_name
from rowlock.store.commit.addresses import store_path
from rowlock.store.disk.ways import MMAP, require_way
from rowlock.store.given.blocks import Source
from rowlock.store.given.cast import storable_dtype
from rowlock.store.mending import Mending
from rowlock.store.progress import reporting
from rowlock.store.reading.opening import open_store
from rowlock.store.row_reading import RowReading
from rowlock.store.writing.building import built_beside
from rowlock.store.writing.creation import SHARD_BYTES, first_commit, start_store, unique_keys
from rowlock.store.writing.writer import StoreWriter

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from rowlock.keys import KeyKind
    from rowlock.store.given.blocks import Matrix
    from rowlock.store.progress import Progress
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["FeatureStore"]


class FeatureStore(RowReading, Mending):
    """A matrix on disk with a key for every row, in the commit that it had when it was opened.

    Made by `FeatureStore.open`, `FeatureStore.write` or `FeatureStore.create`. Every row that is read is
    checked against the 64 bits that were stored for its bytes and its key. Reading is safe from many threads
    at once. Rows that others append are not seen; rows that are appended through this object are.
    """

    def __init__(self, path: str | os.PathLike[str], io: str = MMAP) -> None:
        self._io = require_way(io)
        self._path = store_path(path)
        self._opened: OpenedStore | None = open_store(self._path, self._io)

    @classmethod
    def open(cls, path: str | os.PathLike[str], io: str = MMAP) -> Self:
        """Open a store for reading; see the class.

        Parameters
        ----------
        path : str or path
        io : ``"mmap"`` or ``"pread"``
            Whether files are mapped into memory, or read. Mapped files are faster, but one that is cut off while it
            is in use ends the process, and so does a mapped page that a disk or network mount cannot deliver. With
            ``"pread"`` both are errors: for network mounts, and for data that others may change. The shards stay
            open, one descriptor each; checks, keys and offsets are held in memory, 8 to 40 bytes a row and the
            text of keys.

        Raises
        ------
        StoreNotFoundError
            There is nothing at `path`.
        StoreFormatError
            Not a store, a newer format, or a file that is missing or cut off.
        StoreError
            A file cannot be read, or there are more shards than the process may have files open.
        """
        return cls(path, io)

    @classmethod
    def write(
        cls,
        path: str | os.PathLike[str],
        matrix: Matrix,
        *,
        keys: Any = None,
        key_name: str | None = None,
        columns: Sequence[str] | None = None,
        dtype: Any = "float32",
        layout: str = "auto",
        overwrite: bool = False,
        progress: Progress = None,
        shard_bytes: int = SHARD_BYTES,
    ) -> Self:
        """Write a whole store: it appears at `path` complete, or not at all.

        Parameters
        ----------
        path : str or path
        matrix : array, memory map, SciPy matrix, frame of numbers, or an iterable of these
            Shape (num_rows, num_columns). An iterable gives blocks of rows, or pairs (keys, block); it is
            read once and never held in memory.
        keys : array, list or Series of int or str, or None
            The identity of every row; no repeats. The name of a Series is stored as the keys' name. None: the
            store has no keys, and is read by row number.
        key_name : str or None
            What the keys are called, where they are no named Series.
        columns : list of str, or None
            Names of the columns; a frame has its own.
        dtype : dtype or None
            What is stored; None keeps the input's. Values may be rounded to it (float64 to float32), but never
            overflow, wrap or lose a fraction.
        layout : ``"auto"``, ``"csr"``, ``"packed"`` or ``"raw"``
            How rows lie on disk: what is not zero, compressed one by one, or as they are. ``"auto"`` looks at
            the first ten thousand rows or so; `layout_reason` says what it saw.
        overwrite : bool
            Replace a store that is at `path`, once the new one is complete.
        progress : True, callable or None
            True shows a bar; a function gets (rows done, rows in all or None).
        shard_bytes : int
            About how large a file of the matrix becomes.

        Raises
        ------
        StoreExistsError
            Something is at `path`.
        ConfigError, KeyTypeError, RepeatedKeysError
            The matrix or the keys do not fit together, or cannot be stored.
        StoreWriteError
            The disk refused.
        """
        target = store_path(path)
        if isinstance(matrix, FeatureStore):
            raise ConfigError(
                f"{matrix.path} is a store already: rl.pack(store, {str(target)!r}) writes it again, with its keys"
            )
        source = Source.of(matrix, None if dtype is None else storable_dtype(dtype))
        known = unique_keys(keys, source.num_rows)
        commit = first_commit(
            num_columns=source.num_columns,
            columns=source.columns if columns is None else tuple(columns),
            key_kind=source.key_kind if known is None else known.kind,
            key_name=series_name(keys) if key_name is None else key_name,
            dtype=source.dtype if dtype is None else dtype,
            layout=layout,
            shard_bytes=shard_bytes,
        )
        with built_beside(target, overwrite=overwrite) as (beside, lock):
            start_store(beside, commit)
            with (
                reporting(progress, f"writing {target.name}", source.num_rows) as report,
                StoreWriter(beside, lock=lock) as writer,
            ):
                writer.append_blocks(source, known, report)
        return cls(target)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        num_columns: int | None = None,
        columns: Sequence[str] | None = None,
        keys: KeyKind | None = None,
        key_name: str | None = None,
        dtype: Any = "float32",
        layout: str = "auto",
        shard_bytes: int = SHARD_BYTES,
    ) -> Self:
        """Make a store without rows, to be filled with `append` or `writer`.

        Parameters
        ----------
        path : str or path
        num_columns : int
            Not needed where `columns` names them.
        columns : list of str, or None
        keys : ``"int"``, ``"text"`` or None
            What the keys of the rows will be.
        key_name : str or None
        dtype, layout, shard_bytes
            As in `write`.

        Raises
        ------
        StoreExistsError
            Something is at `path`.
        ConfigError
            The columns, the kind of keys or the dtype make no sense.
        """
        if keys not in {None, "int", "text"}:
            raise ConfigError(f'keys={keys!r}: rows have "int" keys, "text" keys or None')
        count = len(columns) if num_columns is None and columns is not None else num_columns
        if count is None:
            raise ConfigError("say how many columns the store has: num_columns= or columns=")
        commit = first_commit(
            num_columns=count,
            columns=None if columns is None else tuple(columns),
            key_kind=keys,
            key_name=key_name,
            dtype=dtype,
            layout=layout,
            shard_bytes=shard_bytes,
        )
        with built_beside(store_path(path), overwrite=False) as (beside, _):
            start_store(beside, commit)
        return cls(path)

    @property
    def path(self) -> Path:
        """Where the store is."""
        return self._path

    @property
    def io(self) -> str:
        """How its files are read, ``"mmap"`` or ``"pread"``."""
        return self._io

    def __repr__(self) -> str:
        if self._opened is None:
            return f"FeatureStore({str(self._path)!r}, closed)"
        return f"FeatureStore({str(self._path)!r}: {self._description})"

    def _repr_html_(self) -> str:
        from rowlock.showing import store_html  # noqa: PLC0415 - only in a notebook

        return store_html(self)

    def append(self, block: Matrix, keys: Any = None) -> int:
        """Add rows; they are committed and durable when this returns. Many small ones: use `writer`.

        Parameters
        ----------
        block : array, sparse matrix or frame
            Shape (n, num_columns).
        keys : n keys, or None

        Returns
        -------
        int
            The new number of rows.

        Raises
        ------
        StoreLockedError
            Another writer has the store.
        ConfigError, KeyTypeError, RepeatedKeysError
            The block does not fit; nothing was written.
        StoreWriteError
            The disk refused; the rows before are safe.
        """
        with self.writer() as writer:
            writer.append(block, keys)
        return self.num_rows

    def writer(self) -> StoreWriter:
        """Return a writer for many appends with few commits: ``with store.writer() as writer: ...``."""
        return StoreWriter(self._open.path, self._reopen)

    def close(self) -> None:
        """Let go of the files; gathers that are under way end well."""
        self._opened = None

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Another process opens the store anew, in the commit that it then finds."""
        return type(self), (str(self._path), self._io)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _open(self) -> OpenedStore:
        opened = self._opened
        if opened is None:
            raise StoreClosedError(f"{self._path} was closed; open it again")
        return opened

    def _reopen(self) -> None:
        self._opened = open_store(self._path, self._io)
