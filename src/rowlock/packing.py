"""`pack`: data in somebody else's format becomes a feature store."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import texts, whole_number
from rowlock.errors import ConfigError
from rowlock.keys import Keys, key_name
from rowlock.sources import open_source
from rowlock.sources.choice import chosen_numbers
from rowlock.sources.key_advice import likely_key
from rowlock.store import FeatureStore
from rowlock.store.commit.addresses import store_path
from rowlock.store.given.cast import storable_dtype
from rowlock.store.progress import reporting
from rowlock.store.writing.creation import unique_keys

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.sources import RowSource
    from rowlock.store.progress import Progress

__all__ = ["pack"]

_log = logging.getLogger(__name__)


def pack(
    source: Any,
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    keys: Any = None,
    columns: Sequence[str | int] | None = None,
    dataset: str | None = None,
    dtype: Any = "float32",
    layout: str = "auto",
    key_type: str | None = None,
    overwrite: bool = False,
    progress: Progress = None,
) -> FeatureStore:
    """Write a feature store from a file, a folder, a frame or a stream, without holding it in memory.

    Parameters
    ----------
    source : str, path, frame, array, sparse matrix, FeatureStore, or iterable of blocks
        Files and folders are told apart by their content (CSV by its name): Parquet, Arrow IPC (Feather), CSV,
        ``.npy``, ``.npz`` (plain arrays, or CSR as SciPy saves it), HDF5, AnnData (``.h5ad`` or Zarr), Zarr arrays,
        bcolz carrays. ``"file.h5::features"`` names an array inside of a file or group. Frames are of pandas,
        polars or Arrow; an iterator gives frames, blocks, or pairs (keys, block).
    path : str or path
        Where the store is made.
    key : str, optional
        The column of a table (or the array beside a matrix) that identifies the rows. It becomes the name of
        the keys. AnnData has its names of rows as keys, unless another column of obs is named.
    keys : n keys, optional
        The keys themselves, for a matrix without them.
    columns : list of str or int, optional
        The features wanted, in this order; by default all columns but the key. Their names are kept.
        Numbers count from 0, and of a table do not count the key.
    dataset : str, optional
        The array inside of an ``.npz``, HDF5 or Zarr group, or AnnData's ``"layers/counts"``; not needed where
        there is only one matrix.
    dtype : dtype or None
        What is stored; None keeps the source's. Values may be rounded to it, but never overflow or lose a
        fraction.
    layout : str
        As in `FeatureStore.write`.
    key_type : {"int", "text"}, optional
        What the keys of a CSV file are; by default what the first block of them looks like ("007" is text).
    overwrite : bool
        Replace a store that is at `path`, once the new one is complete.
    progress : True, callable or None
        True shows a bar; a function gets (rows done, rows in all or None).

    Returns
    -------
    FeatureStore

    Raises
    ------
    ConfigError, KeyTypeError, RepeatedKeysError
        A wrong argument, or values or keys that cannot be stored. Nothing is left at `path`.
    SourceError
        The source is not there, damaged, or cut off. Nothing is left at `path`.
    StoreExistsError, StoreWriteError
        Something is at `path`, or the disk refused.
    KeyboardInterrupt
        Ctrl-C ends packing after the block at hand: the rows so far are committed, and the store at `path` is
        a whole store of those rows. A store that was to be replaced stays as it was instead, unless every row
        was there already; the message says which. A second Ctrl-C ends at once and leaves nothing.
    """
    if key is not None and keys is not None:
        raise ConfigError("key= (--key) names the column that holds the keys, keys= gives them: only one of them")
    if key_type not in {None, "int", "text"}:
        raise ConfigError(f'key_type={key_type!r}: keys are "int" or "text"')
    if dtype is not None:
        storable_dtype(dtype)
    rows = open_source(source, dataset=dataset, key=key, columns=_named(columns), dtype=dtype, key_type=key_type)
    try:
        if dtype is not None and storable_dtype(dtype).kind in "iu":
            rows.read_whole_numbers(storable_dtype(dtype))
        return _write(rows, path, keys, columns, dtype, layout, overwrite=overwrite, progress=progress)
    finally:
        rows.close()


def _write(
    rows: RowSource,
    path: str | os.PathLike[str],
    keys: Any,
    columns: Sequence[str | int] | None,
    dtype: Any,
    layout: str,
    *,
    overwrite: bool,
    progress: Progress,
) -> FeatureStore:
    if rows.unnamed_index:
        _log.info(
            "%s: %s is pandas' index, which has no name, and was left out", rows.address, ", ".join(rows.unnamed_index)
        )
    names, choice = _choose(rows, columns)
    target = store_path(path)
    known = unique_keys(keys, rows.num_rows)
    replaces = target.exists() and (not target.is_dir() or any(target.iterdir()))
    with reporting(progress, f"packing {target.name}", rows.num_rows) as report, _interrupts() as interrupted:
        feed = _Feed(rows, known, choice, interrupted, keeps=not replaces)
        store = FeatureStore.write(
            target,
            feed.blocks(),
            key_name=key_name(keys) if known is not None else rows.key_name,
            columns=names,
            dtype=rows.dtype if dtype is None else dtype,
            layout=layout,
            overwrite=overwrite,
            progress=lambda done, _: report(done),
        )
    if interrupted():
        if feed.is_done or store.num_rows == rows.num_rows:
            which = f"all {store.num_rows:,} rows"
        else:  # of an iterator, nobody knows whether there would have been more
            which = f"the first {store.num_rows:,} rows{' (the source may have had no more)' * (rows.num_rows is None)}"
        message = f"stopped: {target} is a whole store of {which}{', in place of the old one' * replaces}"
        raise KeyboardInterrupt(message)
    return store


class _Feed:
    """The blocks of a source with their keys, up to Ctrl-C.

    Parameters
    ----------
    keys : Keys or None
        Of all rows, where the source has none itself.
    choice : int64, shape (k,), or None
        Columns taken.
    interrupted : callable
        Whether there was a Ctrl-C.
    keeps : bool
        Whether the rows up to then are worth keeping; if not, Ctrl-C is an error, as ever.
    """

    def __init__(
        self,
        rows: RowSource,
        keys: Keys | None,
        choice: Int64Array | None,
        interrupted: Callable[[], bool],
        *,
        keeps: bool,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._choice = choice
        self._interrupted = interrupted
        self._keeps = keeps
        self.is_done = False

    def blocks(self) -> Iterator[Any]:
        """Yield blocks, or pairs (keys, block)."""
        done = 0
        for own, block in self._rows.blocks():
            if own is not None and self._keys is not None:
                raise ConfigError(
                    f"{self._rows.address} has keys of its own, which keys= would replace; leave keys= out"
                )
            if done == 0 and own is None and self._keys is None:
                self._advise(block)
            keys = own if self._keys is None else self._keys.take(slice(done, done + block.shape[0]))
            done += block.shape[0]
            part = block if self._choice is None else block[:, self._choice]
            yield part if keys is None else (keys, part)
            if self._interrupted():
                if self._keeps:
                    return
                message = "stopped: the store that was to be replaced is as it was"
                raise KeyboardInterrupt(message)
        self.is_done = True
        if self._keys is not None and done != len(self._keys):
            raise ConfigError(f"{len(self._keys):,} keys for {done:,} rows")
        if done == 0:
            raise ConfigError(f"{self._rows.address} has no rows")

    def _advise(self, block: AnyArray) -> None:
        """Ask whether a column of a table is the key that nobody named."""
        rows = self._rows
        found = likely_key(rows.columns, rows.others, block) if rows.columns is not None else None
        if found is not None:
            _log.warning("%s: no key was named: rows will be joined by number; is %r the key? key=%r (--key %s)",
                         rows.address, found, found, found)  # fmt: skip


def _named(columns: Any) -> list[str | int] | None:
    """Return the columns as a list of different names, or of numbers."""
    if columns is None:
        return None
    listed = [] if isinstance(columns, str) else list(columns)
    if listed and all(isinstance(column, int | np.integer) for column in listed):
        return [whole_number("a column", column, 0) for column in listed]
    return [*texts("columns", columns)]


def _choose(rows: RowSource, columns: Sequence[str | int] | None) -> tuple[tuple[str, ...] | None, Int64Array | None]:
    """Return the names of the columns taken, and their numbers where not all are taken as they come."""
    if columns is None or rows.is_table:
        return rows.columns, None
    choice = chosen_numbers(rows.address, columns, rows.num_columns, rows.columns)
    return (None if rows.columns is None else tuple(rows.columns[place] for place in choice)), choice


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Note the first Ctrl-C instead of raising, and yield what tells; the second one raises as ever.

    Python delivers signals to the main thread only; elsewhere nothing is changed.
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        if noted.is_set() and callable(before):
            before(number, frame)
        noted.set()

    if before is not signal.default_int_handler:  # the program handles Ctrl-C itself, or ignores it
        yield noted.is_set
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, before)
