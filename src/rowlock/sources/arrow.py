"""Arrow record batches as blocks, and Arrow IPC (Feather) files."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.keys import Keys
from rowlock.sources.base import PieceSource, RowSource, block_rows, reading
from rowlock.sources.choice import Choice
from rowlock.sources.pieces import Pieces
from rowlock.store.given.cast import cast_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["ArrowFile", "ArrowStream", "choose", "dense", "keyed_block", "stored_index", "unnamed_index"]


def choose(address: str, schema: Any, key: str | None, columns: Sequence[str | int] | None) -> Choice:
    """Choose columns of an Arrow schema; see `Choice.of`."""
    names = schema.names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ConfigError(f"{address} has several columns of one name: {twice[:5]!r}. Rename them first.")
    dtypes = {field.name: _number_dtype(field.type) for field in schema}
    return Choice.of(address, dtypes, key, columns, unnamed_index(schema))


def unnamed_index(schema: Any) -> set[str]:
    """Return the columns in which pandas stored an index without a name, as its own metadata say."""
    names = stored_index(schema)
    return {name for name in names if isinstance(name, str) and re.fullmatch(r"__index_level_\d+__", name)}


def stored_index(schema: Any) -> list[Any]:
    """Return what pandas' own metadata say of the index, one entry a level: a column's name, or a range's limits."""
    try:
        listed = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError, RecursionError):  # no Arrow schema, another program's, or damaged
        return []
    return listed if isinstance(listed, list) else []


def _number_dtype(kind: Any) -> np.dtype[Any] | None:
    import pyarrow as pa

    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        found: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return found
    return None


def dense(table: Any, names: Sequence[str], dtype: np.dtype[Any]) -> AnyArray:
    """Return columns of a table or record batch as one array; missing values become NaN, and integers floats.

    Of a whole-number dtype, each column is cast on its own; where one does not fit, all come as they are, to be
    refused by whoever stores them.
    """
    columns = table.select(list(names)).columns
    exact = cast_columns(map(_numbers, columns), dtype) if dtype.kind in "iu" else None
    if exact is not None:
        return exact
    gaps = any(column.null_count for column in columns)
    wanted = np.result_type(dtype, np.float64) if gaps and dtype.kind != "f" else dtype
    if dtype.kind in "iu":
        wanted = np.result_type(wanted, *(_number_dtype(column.type) or wanted for column in columns))
    out = np.empty((table.num_rows, len(columns)), wanted)
    for place, column in enumerate(columns):
        out[:, place] = _numbers(column)
    return out


def _numbers(column: Any) -> AnyArray:
    """Return a column as numbers; NaN where it has gaps."""
    import pyarrow as pa

    if column.null_count and not pa.types.is_floating(column.type):
        column = (column.cast("uint8") if pa.types.is_boolean(column.type) else column).cast("float64", safe=False)
    values: AnyArray = np.asarray(column)
    return values


def keyed_block(table: Any, choice: Choice, address: str) -> tuple[Keys | None, AnyArray]:
    """Return the keys and the features of a table or record batch."""
    keys = None if choice.key is None else Keys.of(table.column(choice.key), f"column {choice.key!r} of {address}")
    return keys, dense(table, choice.features, choice.dtype)


class ArrowFile(PieceSource):
    """An Arrow IPC file (also called Feather version 2), mapped into memory; a piece is a record batch."""

    def __init__(self, path: Path, *, key: str | None, columns: Sequence[str | int] | None) -> None:
        self.address = str(path)
        self._path = path
        self._own = threading.local()
        with reading(self.address):
            import pyarrow as pa

            self._map = pa.memory_map(str(path))
            reader = pa.ipc.open_file(self._map)
        self._choice: Choice = choose(self.address, reader.schema, key, columns)
        self._fields = [name for name in reader.schema.names if name in {*self._choice.features, key}]
        with reading(self.address):
            narrow = self._open([self._fields[0]])  # compressed batches are then decompressed in one column only
            lengths = [narrow.get_batch(i).num_rows for i in range(narrow.num_record_batches)]
        if self._choice.dtype.kind != "f" and self._has_gaps():
            self._choice = self._choice.with_gaps()
        self.pieces = Pieces.of_lengths(lengths)
        self.num_rows, self.num_columns = self.pieces.num_rows, len(self._choice.features)
        self.columns, self.dtype = self._choice.features, self._choice.dtype
        self.key_name, self.keyed = key, key is not None
        self.others, self.unnamed_index = self._choice.others, self._choice.unnamed_index

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        names = self._choice.features if columns is None else [self._choice.features[i] for i in columns]
        parts = [dense(self._batch(i), names, self.dtype) for i in range(first, last)]
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def read_keys(self) -> Keys | None:
        if self.key_name is None:
            return None
        with reading(self.address):
            import pyarrow as pa

            narrow = self._open([self.key_name])
            batches = [narrow.get_batch(i) for i in range(narrow.num_record_batches)]
            for batch in batches:
                batch.validate(full=True)
            column = pa.chunked_array([batch.column(self.key_name) for batch in batches])
        return Keys.of(column, f"column {self.key_name!r} of {self.address}")

    def close(self) -> None:
        self._own = threading.local()

    def _has_gaps(self) -> bool:
        """Whether a feature is missing anywhere; compressed files are read once for it."""
        with reading(self.address):
            reader = self._open(self._choice.features)
            for batch in map(reader.get_batch, range(reader.num_record_batches)):
                batch.validate()  # counting what is missing reads as many bits as the file says there are rows
                if any(column.null_count for column in batch.columns):
                    return True
        return False

    def _batch(self, number: int) -> Any:
        with reading(self.address):
            if not hasattr(self._own, "reader"):
                self._own.reader = self._open(self._fields)
            batch = self._own.reader.get_batch(number)
            batch.validate()
            return batch

    def _open(self, fields: Sequence[str]) -> Any:
        """Return a reader of its own for each thread: readers keep state."""
        import pyarrow as pa

        places = [pa.ipc.open_file(self._map).schema.get_field_index(name) for name in fields]
        return pa.ipc.open_file(self._map, options=pa.ipc.IpcReadOptions(included_fields=places, use_threads=False))


class ArrowStream(RowSource):
    """Record batches that come one after the other: an IPC stream, a `RecordBatchReader`; read once.

    Parameters
    ----------
    reader : iterable of pyarrow.RecordBatch, with a schema
    """

    num_rows = None

    def __init__(self, reader: Any, address: str, *, key: str | None, columns: Sequence[str | int] | None) -> None:
        self.address = address
        self._reader = reader
        self._choice: Choice = choose(address, reader.schema, key, columns)
        self.num_columns = len(self._choice.features)
        self.columns, self.dtype, self.key_name = self._choice.features, self._choice.dtype, key
        self.others, self.unnamed_index = self._choice.others, self._choice.unnamed_index

    @staticmethod
    def of_file(path: Path, *, key: str | None, columns: Sequence[str | int] | None) -> ArrowStream:
        """Open a file in the IPC streaming format."""
        with reading(str(path)):
            import pyarrow as pa

            reader = pa.ipc.open_stream(pa.memory_map(str(path)))
        return ArrowStream(reader, str(path), key=key, columns=columns)

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        most = block_rows(self.row_bytes)
        while True:
            with reading(self.address):
                try:
                    batch = self._reader.read_next_batch()
                except StopIteration:
                    return
                batch.validate(full=True)
            for start in range(0, batch.num_rows, most):
                yield keyed_block(batch.slice(start, most), self._choice, self.address)
