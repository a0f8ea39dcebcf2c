"""Parquet: streamed in batches, or read by row group."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rowlock.keys import Keys
from rowlock.sources.arrow import choose, dense, keyed_block
from rowlock.sources.base import PieceSource, block_rows, reading
from rowlock.sources.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.sources.choice import Choice

__all__ = ["ParquetFile", "buffer_bytes"]

_WHOLE_BYTES = 64 << 20
_READ_AHEAD_BYTES = 32 << 20


class ParquetFile(PieceSource):
    """A Parquet file; a piece is a row group. Of the columns, only those that are wanted are read."""

    def __init__(self, path: Path, *, key: str | None, columns: Sequence[str | int] | None) -> None:
        self.address = str(path)
        self._path = path
        self._own = threading.local()
        with reading(self.address):
            file = self._file()
            self._metadata, schema = file.metadata, file.schema_arrow
            lengths = [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]
        self._choice: Choice = choose(self.address, schema, key, columns)
        if self._choice.dtype.kind != "f" and self._may_have_gaps():
            self._choice = self._choice.with_gaps()
        self.pieces = Pieces.of_lengths(lengths)
        self.num_rows, self.num_columns = self.pieces.num_rows, len(self._choice.features)
        self.columns, self.dtype = self._choice.features, self._choice.dtype
        self.key_name, self.keyed = key, key is not None
        self.others, self.unnamed_index = self._choice.others, self._choice.unnamed_index

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        names = list(self._choice.features if columns is None else [self._choice.features[i] for i in columns])
        with reading(self.address):
            table = self._file().read_row_groups(range(first, last), columns=names, use_threads=False)
            return dense(table, names, self.dtype)

    def read_keys(self) -> Keys | None:
        if self.key_name is None:
            return None
        with reading(self.address):
            column = self._file().read(columns=[self.key_name]).column(self.key_name)
        return Keys.of(column, f"column {self.key_name!r} of {self.address}")

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        """Yield blocks without holding a whole row group: those of some writers are a gigabyte."""
        wanted = [*self._choice.features, *([self.key_name] if self.key_name else [])]
        with reading(self.address):
            batches = self._new_file().iter_batches(block_rows(self.row_bytes), columns=wanted)
        while True:
            with reading(self.address):
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            yield keyed_block(batch, self._choice, self.address)

    def close(self) -> None:
        self._own = threading.local()

    def _may_have_gaps(self) -> bool:
        """Whether a feature is missing anywhere, or the file does not say so."""
        metadata, features = self._metadata, set(self._choice.features)
        columns = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path in features]
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            found = [group.column(i).statistics for i in columns]
            if any(facts is None or not facts.has_null_count or facts.null_count for facts in found):
                return True
        return False

    def _file(self) -> Any:
        """Return this thread's reader: readers keep state."""
        if not hasattr(self._own, "file"):
            self._own.file = self._new_file()
        return self._own.file

    def _new_file(self) -> Any:
        import pyarrow.parquet as pq

        known = getattr(self, "_metadata", None)
        # pre_buffer would hold every row group that was read. Small groups are read whole; of large ones only a
        # buffer for each column is held.
        return pq.ParquetFile(self._path, metadata=known, buffer_size=buffer_bytes(known), pre_buffer=False)


def buffer_bytes(metadata: Any) -> int:
    """Return how much of each column is read at a time; 0: all of it."""
    groups = 0 if metadata is None else metadata.num_row_groups
    largest = max((metadata.row_group(i).total_byte_size for i in range(groups)), default=0)
    if largest <= _WHOLE_BYTES:
        return 0
    return int(min(max(_READ_AHEAD_BYTES // metadata.num_columns, 1 << 14), 1 << 20))
