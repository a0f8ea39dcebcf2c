"""Matrices in formats of others, read as they are: mapped, or a piece at a time."""

from __future__ import annotations

import hashlib
import itertools
import logging
import mmap
import shlex
import threading
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, SourceError, StoreCorruptError
from rowlock.inputs.access import AccessCost, cost_of_pages, cost_of_pieces
from rowlock.inputs.key_join import KeyJoin
from rowlock.inputs.piece_cache import PieceCache
from rowlock.memory import memory_limit_bytes
from rowlock.meter import note_read, note_scratch
from rowlock.sources import FORMATS, PieceSource, open_source, recognise
from rowlock.sources.csv_header import column_names
from rowlock.sources.npy import NpyFile
from rowlock.sources.registry import split_address, table_columns
from rowlock.store.given.cast import copy_cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.keys import Keys
    from rowlock.sources.base import RowSource

__all__ = ["CACHE_BYTES", "ForeignMatrix", "MappedMatrix", "open_foreign"]

CACHE_BYTES = 64 << 20
"""Most that the decoded pieces of one foreign matrix take."""

LARGE_PIECE_BYTES = 32 << 20
"""Of pieces above, one is decoded and held at a time."""

_SAMPLES = 8
_large_piece = threading.Lock()
_log = logging.getLogger("rowlock")


class ForeignMatrix:
    """A matrix whose rows are read a piece at a time: each piece that a gather needs once, in order.

    Parameters
    ----------
    source : PieceSource

    Attributes
    ----------
    keyed : bool
        Whether it is joined by key.
    wanted_bytes : int
        Gathered so far.
    decoded_bytes : int
        Decoded for it.
    """

    def __init__(self, source: PieceSource) -> None:
        source.require_small_pieces()
        self._source = source
        self._cache = PieceCache(CACHE_BYTES)
        self.address = source.address
        self.num_rows, self.num_columns = source.num_rows, source.num_columns
        self.dtype = source.dtype.newbyteorder("=")
        self.columns = None if source.columns is None else list(source.columns)
        self.keyed, self.key_name = source.keyed, source.key_name
        self.wanted_bytes = self.decoded_bytes = 0
        self._counting = threading.Lock()

    keys_identity = None
    """Nothing in a foreign file proves a row to be its key's, so that no join to it is kept."""

    @property
    def access_cost(self) -> AccessCost:
        """What shuffled batches cost, before any was read."""
        source = self._source
        return cost_of_pieces(
            self.address, source.pieces, source.row_bytes, source.piece_row_bytes, self._cache.max_bytes
        )

    @cached_property
    def fingerprint(self) -> str:
        """Shape, type and a digest of three pieces: the first, the middle and the last."""
        digest = hashlib.blake2b(digest_size=8)
        for part in self._source.fingerprint_parts():
            digest.update(part)
        return f"{self.num_rows}x{self.num_columns}:{self.dtype}:{digest.hexdigest()}"

    def extends(self, fingerprint: str) -> bool:
        """Return whether it is the same matrix."""
        return fingerprint == self.fingerprint

    def find(self, keys: Keys, what: str) -> Int64Array:
        """Return the row of every key, -1 where there is none."""
        return self._join.find(keys, what)

    def gather(
        self,
        places: Int64Array,
        out: AnyArray,
        columns: Int64Array | None,
        key_hashes: UInt64Array | None = None,  # noqa: ARG002 - nothing in a foreign file binds a row to its key
    ) -> None:
        """Write row ``places[i]`` into ``out[i]``, or the chosen columns of it."""
        if self._source.reads_rows:
            self._gather_rows(places, out, columns)
        else:
            for piece, at, rows in self._by_piece(places):
                with self._turn(piece):
                    self._gather_piece(piece, at, rows, out, columns)
        self._count(0, out.nbytes)

    def will_need(self, places: Int64Array) -> None:
        """Do nothing: pieces are large, and decoded when they are needed."""

    def close(self) -> None:
        """Let go of the file and of what was decoded."""
        self._cache.clear()
        self._source.close()

    def _turn(self, piece: int) -> AbstractContextManager[Any]:
        """Let one thread at a time decode and hold a large piece, whatever matrix it is of."""
        pieces = self._source.pieces
        num_bytes = (pieces.start(piece + 1) - pieces.start(piece)) * self._source.piece_row_bytes
        return _large_piece if num_bytes > LARGE_PIECE_BYTES else nullcontext()

    def _gather_piece(
        self, piece: int, at: Int64Array, rows: Int64Array, out: AnyArray, columns: Int64Array | None
    ) -> None:
        values = self._piece(piece, columns, rows)
        chosen = values[rows - self._source.pieces.start(piece)]
        note_scratch(values.nbytes + chosen.nbytes)
        out[at] = _cast(chosen, out.dtype)

    def _gather_rows(self, places: Int64Array, out: AnyArray, columns: Int64Array | None) -> None:
        """Read all rows in one call, where pieces are tiny."""
        rows, at = np.unique(places, return_inverse=True)
        if not len(rows):
            return
        with self._as_damage(rows):
            values = self._source.read_rows(rows, columns)
        self._count(len(rows) * self._source.piece_row_bytes, 0)
        note_scratch(2 * values.nbytes)
        out[:] = _cast(values, out.dtype)[at]

    def _by_piece(self, places: Int64Array) -> Iterator[tuple[int, Int64Array, Int64Array]]:
        """Yield each piece that is needed, once, with positions in `places` and the rows there."""
        order = np.argsort(places, kind="stable")
        rows = places[order]
        pieces = self._source.pieces.of_rows(rows)
        edges = [0, *(np.flatnonzero(np.diff(pieces)) + 1).tolist(), len(rows)]
        for start, stop in itertools.pairwise(edges):
            if start < stop:
                yield int(pieces[start]), order[start:stop], rows[start:stop]

    def _piece(self, piece: int, columns: Int64Array | None, rows: Int64Array) -> AnyArray:
        def load() -> AnyArray:
            values = self._source.read(piece, piece + 1, columns)
            note_scratch(2 * values.nbytes)  # what the library decoded, and the array made of it
            self._count(values.nbytes, 0)
            return values

        with self._as_damage(rows):
            return self._cache.get((piece, None if columns is None else columns.tobytes()), load)

    def _count(self, decoded_bytes: int, wanted_bytes: int) -> None:
        note_read(decoded_bytes)
        with self._counting:
            self.decoded_bytes += decoded_bytes
            self.wanted_bytes += wanted_bytes

    @contextmanager
    def _as_damage(self, rows: Int64Array) -> Iterator[None]:
        """Say which rows a damaged source fails; what the disk reports goes up as it is, since it may pass."""
        try:
            yield
        except SourceError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
                raise error.__cause__ from error
            raise StoreCorruptError(str(error), rows=np.unique(rows).tolist()) from error

    @cached_property
    def _join(self) -> KeyJoin:
        keys = self._source.read_keys()
        if keys is None:
            raise ConfigError(f"{self.address} has no keys")
        return KeyJoin(keys, self.address)


def _cast(values: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    if values.dtype == dtype:
        return values
    out = np.empty(values.shape, dtype)
    copy_cast(values, out)
    return out


class MappedMatrix:
    """An ``.npy`` file, mapped: a row costs the pages that it lies in."""

    keyed = False
    key_name = None
    columns = None

    def __init__(self, file: NpyFile) -> None:
        self.values = np.asarray(file.values)
        self._mapped = file.values
        self.address = file.address
        self.num_rows, self.num_columns = file.num_rows, file.num_columns
        self.dtype = file.dtype.newbyteorder("=")
        self._by_row = bool(self.values.flags.c_contiguous)
        memory = getattr(file.values, "_mmap", None)
        if isinstance(memory, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
            memory.madvise(mmap.MADV_RANDOM)

    @property
    def access_cost(self) -> AccessCost:
        """What shuffled batches cost when the file is larger than half of the memory."""
        row_bytes = self.num_columns * self.dtype.itemsize
        run_bytes = row_bytes if self._by_row else self.dtype.itemsize
        return cost_of_pages(self.address, self.num_rows, row_bytes, run_bytes, memory_limit_bytes() // 2)

    @cached_property
    def fingerprint(self) -> str:
        """Shape, type and a digest of a thousand rows."""
        places = np.unique(np.linspace(0, self.num_rows - 1, 1000).astype(np.int64))
        digest = hashlib.blake2b(self.values[places].tobytes(), digest_size=8).hexdigest()
        return f"{self.num_rows}x{self.num_columns}:{self.dtype}:{digest}"

    def extends(self, fingerprint: str) -> bool:
        """Return whether it is the same matrix."""
        return fingerprint == self.fingerprint

    def find(self, keys: Keys, what: str) -> Int64Array:
        """Refuse: there are no keys."""
        raise ConfigError(f"{self.address} has no keys for {what} ({len(keys)})")

    def gather(
        self,
        places: Int64Array,
        out: AnyArray,
        columns: Int64Array | None,
        key_hashes: UInt64Array | None = None,  # noqa: ARG002 - there are none
    ) -> None:
        """Write row ``places[i]`` into ``out[i]``, or the chosen columns of it."""
        if columns is None and self.values.dtype == out.dtype:
            np.take(self.values, places, axis=0, out=out, mode="clip")
        else:
            copy_cast(self.values[places] if columns is None else self.values[places[:, None], columns], out)
        note_read(len(places) * self.num_columns * self.dtype.itemsize)

    def will_need(self, places: Int64Array) -> None:
        """Tell the system which pages are read next."""
        if not (self._by_row and len(places) and hasattr(mmap, "MADV_WILLNEED")):
            return
        from rowlock.store.disk.advice_kernels import advise_pieces  # noqa: PLC0415 - Numba is loaded on first use

        row_bytes = self.num_columns * self.dtype.itemsize
        addresses = np.uint64(self.values.ctypes.data) + (places * row_bytes).astype(np.uint64)
        sizes = np.full(len(places), row_bytes, np.int64)
        advise_pieces(addresses, sizes, mmap.PAGESIZE, mmap.MADV_WILLNEED, _SAMPLES)

    def close(self) -> None:
        """Do nothing: the map goes with the last array that shows it."""


def open_foreign(
    address: str, name: str, *, key: str | None, named_key: bool, columns: Sequence[str | int] | None
) -> ForeignMatrix | MappedMatrix | None:
    """Open a file or folder of another format, or return None where it is a store, or nothing that is known.

    Parameters
    ----------
    address : str
    name : str
        Of the input, for messages.
    key : str or None
        Column of the table that would be joined with. A Parquet or Arrow file with a column of that name is
        joined by it; one without is read by row number.
    named_key : bool
        Whether the input itself names the key, so that a file without that column is a mistake.
    columns : list of str or int, or None
        Features wanted.
    """
    path, _ = split_address(address)
    found = recognise(path) if path.exists() else None
    if found is None or found == "store":
        return None
    if found in {"csv", "stream", "npz"}:
        raise ConfigError(
            f"{name!r}: {address} is {FORMATS[found]}, whose rows can only be read one after the other. Pack it once:"
            f" rowlock pack {address} features.zarr{_key_option(path, found, key)}"
        )
    own_key, chosen = _of_table(path, found, name, key, columns, named_key=named_key)
    source = open_source(address, key=own_key, columns=chosen)
    try:
        matrix = _matrix_of(source, name, address)
    except BaseException:
        source.close()
        raise
    if source.unnamed_index:
        _log.info("%r: %s is pandas' index, which has no name, and is left out", name, ", ".join(source.unnamed_index))
    cost = matrix.access_cost
    if cost.is_large:
        _log.warning("%r: %s", name, cost)
    return matrix


def _matrix_of(source: RowSource, name: str, address: str) -> ForeignMatrix | MappedMatrix:
    if isinstance(source, NpyFile):
        return MappedMatrix(source)
    if isinstance(source, PieceSource):
        return ForeignMatrix(source)
    raise ConfigError(f"{name!r}: {address} cannot be read by row. Pack it: rowlock pack {address} features.zarr")


def _key_option(path: Path, found: str, key: str | None) -> str:
    """Return what a command that packs a CSV file says of its keys, where it has the column of the table's."""
    if key is None or found != "csv" or key not in column_names(path):
        return ""
    return f" --key {shlex.quote(key)}"


def _of_table(
    path: Path, found: str, name: str, key: str | None, columns: Sequence[str | int] | None, *, named_key: bool
) -> tuple[str | None, Sequence[str | int] | None]:
    """Return the key and the features that are taken from a table; nothing for other formats."""
    names = table_columns(path, found)
    if names is None:
        return None, None
    if named_key and key not in names:
        raise ConfigError(
            f"{name!r}: {path} has no column {key!r} to be joined by. Name its column as the table does, or pack it:"
            f" rowlock pack {path} features.zarr --key COLUMN"
        )
    chosen = columns if columns is not None and all(isinstance(column, str) for column in columns) else None
    return (key if key in names else None), None if chosen is None else list(dict.fromkeys(chosen))
