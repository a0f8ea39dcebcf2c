"""`Features`: rows of a matrix that lies in a store, or in memory, joined to the table by key."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rowlock.arguments import nearest, number_dtype, whole_number
from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError, RowError, StoreCorruptError, StoreReadError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.joining import key_column, require_no_other_key, rows_by_key, rows_by_number
from rowlock.inputs.matrices import Matrix, StoredMatrix, open_matrix
from rowlock.inputs.scaled import ScaledReader, measure_rows, scaling_of
from rowlock.inputs.scaling import ScalingWish
from rowlock.store import ColumnStatistics
from rowlock.store.disk.ways import require_way

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.access import AccessCost
    from rowlock.keys import Keys
    from rowlock.store import FeatureStore
    from rowlock.table import Table

__all__ = ["Features"]

_BLOCK_ROWS = 1 << 20


class Features(Input):
    """Rows of a feature matrix, far larger than memory if need be.

    Parameters
    ----------
    source : str, Path, FeatureStore, numpy.ndarray or SciPy sparse matrix
        The address of a store, a store, or a two-dimensional matrix. Also the address of an ``.npy``, Parquet, Arrow
        IPC, HDF5 or AnnData file, or of a Zarr or bcolz folder, which is read as it is, at whatever speed its
        layout allows (`rowlock.pack` makes a store of it).
    key : str, optional
        Column of the table whose values are the keys of the store; by default the dataset's key. Naming it
        says that the two are the same thing, whatever the store calls its keys. Many rows of the table may
        share one row of the store.
    columns : sequence of str or int, optional
        The columns of the matrix wanted, in this order; by default all.
    shape : tuple of int, optional
        Shape of one row, such as ``(T, k)`` for a recurrent branch; its product is the number of columns.
    dtype : dtype
        What the batches hold, a floating-point or integer type.
    missing : {"raise", "drop"}, optional
        What becomes of table rows whose key the store does not have; by default what the dataset says.
    standardize : bool, "store" or ColumnStatistics
        Deliver ``(value - mean) / std`` for each column; a column of one value gives 0. True: mean and deviation are
        those of the training rows, which `Dataset.fit_statistics` measures. ``"store"``: those of all rows of the
        source, validation rows included; from an array they take one reading of it whenever a dataset is made.
        A `ColumnStatistics`: these, such as the ones that were saved after training.
    fill_missing : float, one float a column, "mean" or None
        What replaces NaN, before standardising; ``"mean"`` of the rows that `standardize` says, else of the training
        rows. None: NaN stays.
    io : {"mmap", "pread"}, optional
        How the files of a store are read, where `source` is its address; see `FeatureStore.open`.

    Notes
    -----
    A store with keys is joined by key, never by row number; so is a Parquet or Arrow file with a column that is
    called as the key is, and AnnData by its names of rows. A source without keys is joined by the frame's
    integer index as row number (``features[df.index]``); a frame of a library without an index (polars,
    Arrow) must then have as many rows as the source.

    Raises
    ------
    ConfigError
        When the dataset is made: keys that are not there or of another type, row numbers out of range,
        columns or shapes that do not fit.
    """

    def __init__(
        self,
        source: str | Path | FeatureStore | AnyArray | Any,
        *,
        key: str | None = None,
        columns: Sequence[str | int] | None = None,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike = "float32",
        missing: str | None = None,
        standardize: bool | str | ColumnStatistics = False,
        fill_missing: float | Sequence[float] | str | None = None,
        io: str | None = None,
    ) -> None:
        self.source = os.fspath(source) if isinstance(source, os.PathLike) else source
        self.io = None if io is None else require_way(io)
        if io is not None and not isinstance(self.source, str):
            raise ConfigError(
                f"io={io!r} goes with the address of a store, not with {type(source).__name__}; a store that is open"
                " says it itself: rl.FeatureStore.open(path, io=...)"
            )
        self.key = key
        self.columns = None if columns is None else _choice(columns)
        self.shape = None if shape is None else _shape(shape)
        self.dtype = number_dtype("Features", dtype)
        if self.dtype.kind not in "fiu":
            raise ConfigError(f"features are numbers: dtype={dtype!r} is not a floating-point or integer type")
        if missing not in (None, "raise", "drop"):
            raise ConfigError(f"missing must be 'raise' or 'drop', not {missing!r}")
        self.missing = missing
        self.scaling = ScalingWish.of(standardize, fill_missing, self.dtype)

    def __repr__(self) -> str:
        return f"Features({self.source if isinstance(self.source, str) else type(self.source).__name__!r})"

    @override
    def open(self, table: Table, name: str) -> Reader:
        matrix = open_matrix(
            self.source,
            name,
            key=self.key or table.key,
            named_key=self.key is not None,
            columns=self.columns,
            io=self.io,
        )
        try:
            return self._reader(matrix, table, name)
        except BaseException:
            matrix.close()
            raise

    def _reader(self, matrix: Matrix, table: Table, name: str) -> Reader:
        if not np.can_cast(matrix.dtype, self.dtype, "same_kind"):
            raise ConfigError(
                f"{name!r}: {matrix.address} holds {matrix.dtype}, which {self.dtype} would cut; choose another dtype="
            )
        choice = _columns(self.columns, matrix, name)
        num_columns = matrix.num_columns if choice is None else len(choice)
        shape = self.shape or (num_columns,)
        if math.prod(shape) != num_columns or min(shape) < 1:
            raise ConfigError(f"{name!r}: shape={shape} does not hold the {num_columns} columns of {matrix.address}")
        spec = ArraySpec(shape, self.dtype)
        if not matrix.keyed:
            require_no_other_key(self, matrix, table, name)
            reader = FeatureReader(matrix, rows_by_number(self, matrix, table, name), None, choice, spec)
        else:
            column = key_column(self, matrix, table, name)
            keys = table.keys(column)
            reader = FeatureReader(matrix, rows_by_key(self, matrix, table, keys, column, name), keys, choice, spec)
        if self.scaling is None:
            return reader
        return ScaledReader(reader, self.scaling, _statistics(self.scaling, matrix, choice, name), name)

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        names = getattr(reader, "column_names", None)
        named = {"columns": names} if names else {} if self.columns is None else {"columns": tuple(self.columns)}
        return named | scaling_of(reader)


class FeatureReader(Reader):
    """Rows of the table, found in a matrix.

    Parameters
    ----------
    matrix : Matrix
    places : integers, shape (rows of the table,)
        Row of the matrix for each row of the table, -1 where it has none.
    keys : Keys or None
        Of the table's rows: each row that is read is checked against the one that it must belong to.
    columns : int64, shape (k,), or None
        Columns wanted; None: all.
    spec : ArraySpec
    """

    def __init__(
        self,
        matrix: Matrix,
        places: AnyArray,
        keys: Keys | None,
        columns: Int64Array | None,
        spec: ArraySpec,
    ) -> None:
        self._matrix = matrix
        self._places = places
        self._keys = keys
        self._columns = columns
        self.spec = spec
        self.source_dtype = matrix.dtype
        names = matrix.columns and [
            matrix.columns[i] for i in (range(matrix.num_columns) if columns is None else columns)
        ]
        self.column_names = None if names is None else tuple(names)
        self.missing_rows = np.flatnonzero(places < 0) if places.min(initial=0) < 0 else None

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._places))
        places = self._places_of(rows)
        if len(places) and places.min() < 0:
            row = int(rows[places < 0][0])
            raise RowError("its key is not in the store, and the row was to be dropped", row=row)
        flat = out.reshape(len(rows), math.prod(self.spec.shape))
        hashes = None if self._keys is None else self._keys.hash(rows)
        try:
            self._matrix.gather(places, flat, self._columns, hashes)
        except StoreCorruptError as error:
            raise RowError(str(error), row=_first(rows, places, error.rows), path=self._matrix.address) from error
        except StoreReadError as error:  # no damage: it ends an epoch, whatever is to become of bad rows
            error.row = _first(rows, places, error.rows)
            raise

    @property
    def is_joined_by_key(self) -> bool:
        """Whether rows are found by key; else by number, or in their order."""
        return self._keys is not None

    def in_stored_order(self, rows: Int64Array) -> Int64Array:
        """Return rows of the table in the order in which the matrix has them."""
        return rows[np.argsort(self._places[rows], kind="stable")]

    @property
    def access_cost(self) -> AccessCost | None:
        """What shuffled batches cost in a source of another format; None for a store or an array in memory."""
        return getattr(self._matrix, "access_cost", None)

    @property
    def fingerprint(self) -> str:
        """The matrix's own, and a digest of which rows and columns of it are taken."""
        return f"{self._matrix.fingerprint}|{self._join_digest}"

    def extends(self, fingerprint: str) -> bool:
        """Return whether the matrix is that one, or has rows appended to it, and the same of it is taken."""
        matrix, _, join = fingerprint.rpartition("|")
        return join == self._join_digest and self._matrix.extends(matrix)

    @cached_property
    def _join_digest(self) -> str:
        digest = hashlib.blake2b(digest_size=6)
        for start in range(0, len(self._places), _BLOCK_ROWS):
            digest.update(self._places[start : start + _BLOCK_ROWS].astype("<i8").data)
        digest.update(repr((None if self._columns is None else self._columns.tolist(), self.spec)).encode())
        return digest.hexdigest()

    def will_need(self, rows: Int64Array) -> None:
        self._matrix.will_need(self._places_of(rows))

    def close(self) -> None:
        self._matrix.close()

    def _places_of(self, rows: Int64Array) -> Int64Array:
        return self._places[rows].astype(np.int64, copy=False)


def _first(rows: Int64Array, places: Int64Array, bad: Sequence[int]) -> int | None:
    """Return the first row of the table whose row of the matrix is one of `bad`."""
    found = rows[np.isin(places, bad)]
    return int(found[0]) if len(found) else None


def _choice(columns: Any) -> list[str | int]:
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise ConfigError(f"columns is a list of names or numbers, not {columns!r}")
    return [column if isinstance(column, str) else whole_number("a column of features", column) for column in columns]


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, Iterable):
        raise ConfigError(f"shape is a tuple, such as (12, 3), not {shape!r}")
    return tuple(whole_number("a side of shape", side, 1) for side in shape)


def _columns(wanted: list[str | int] | None, matrix: Any, name: str) -> Int64Array | None:
    if wanted is None:
        return None
    names: dict[str, int] = {column: place for place, column in enumerate(matrix.columns or ())}
    places = []
    for column in wanted:
        place = names.get(column, -1) if isinstance(column, str) else column
        if not 0 <= place < matrix.num_columns:
            what = f"{len(names)} named columns" if names else f"{matrix.num_columns} columns without names"
            raise ConfigError(
                f"{name!r}: {matrix.address} has no column {column!r}; it has {what}.{nearest(str(column), names)}"
            )
        places.append(place)
    if not places:
        raise ConfigError(f"{name!r}: columns= names no column")
    return np.array(places, np.int64)


def _statistics(wish: ScalingWish, matrix: Matrix, choice: Int64Array | None, name: str) -> ColumnStatistics | None:
    """Return the statistics of the columns that are taken, where they do not wait for training rows."""
    if not wish.needs_statistics or wish.statistics == "rows":
        return None
    if isinstance(wish.statistics, ColumnStatistics):
        return wish.statistics
    if not isinstance(matrix, StoredMatrix):
        totals = measure_rows(
            lambda rows, out: matrix.gather(rows, out, None, None),
            np.arange(matrix.num_rows), matrix.num_columns, matrix.dtype,
        )  # fmt: skip
        found = totals.statistics()
    else:
        stored = matrix.store.statistics
        if stored is None:
            raise ConfigError(
                f"{name!r}: {matrix.address} has no statistics: it is of an earlier version, or rows were replaced."
                " `store.update_statistics()` reads it once and makes them."
            )
        found = stored
    return found if choice is None else found.take(choice)
