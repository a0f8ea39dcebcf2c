"""CSV: streamed, each column with the type that its use asks for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, KeyTypeError, SourceError
from rowlock.keys import Keys
from rowlock.sources.arrow import dense
from rowlock.sources.base import RowSource, block_rows
from rowlock.sources.choice import Choice
from rowlock.sources.csv_codes import CodeWatch, is_whole_number
from rowlock.sources.csv_encoding import reading_csv
from rowlock.sources.csv_header import require_header

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["CsvFile"]

_READ_BYTES = 4 << 20
_EXACT = 2.0**53  # float64 has all whole numbers below


class CsvFile(RowSource):
    """A CSV file with a header line; compressed ones (``.csv.gz``) as well.

    Features are read as float64, or as int64 where the store is to hold whole numbers, and float64 again from the
    block on where something else is written ("1.0", "0.5"). Empty fields are missing values. Keys stay what is
    written: they are whole numbers only if all of them are written as Python writes them, so that "007" is never 7.
    A feature with such a code in any of its rows is refused.

    Parameters
    ----------
    path : Path
    key, columns
        As in `Choice.of`.
    dtype : numpy.dtype or None
        What the store will hold.
    key_type : "int", "text" or None
        None: as the first block of keys looks.
    """

    num_rows = None

    def __init__(
        self,
        path: Path,
        *,
        key: str | None,
        columns: Sequence[str | int] | None,
        dtype: Any = None,
        key_type: str | None = None,
    ) -> None:
        self.address = str(path)
        self._path = path
        self._key_type = key_type
        self._asked_for_int = key_type == "int"
        whole = dtype is not None and np.dtype(dtype).kind in "iu"
        self.dtype = np.dtype(np.int64 if whole else np.float64)
        require_header(path, key, columns)
        with reading_csv(self._path), self._stream({}, None) as first:
            schema = first.schema
            self._names: list[str] = schema.names
        watch = self._watch(self._names)
        watch.look(_READ_BYTES)
        watch.close()
        self._choice: Choice = self._choose(schema, key, columns, watch.marked)
        watch.require_numbers(self._choice.features)
        self.columns, self.num_columns = self._choice.features, len(self._choice.features)
        self.others = self._choice.others
        self.key_name = key

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        key, most = self._choice.key, block_rows(self.row_bytes)
        first_row = 0
        for batch, dtype in self._batches():
            for start in range(0, batch.num_rows, most):
                part = batch.slice(start, most)
                keys = None if key is None else self._keys(part.column(key), first_row + start)
                block = dense(part, self._choice.features, dtype)
                if dtype != self.dtype:
                    self._require_exact(block, first_row + start)
                yield keys, block
            first_row += batch.num_rows

    def _watch(self, names: Sequence[str]) -> CodeWatch:
        import pyarrow as pa

        return CodeWatch(self._path, names, lambda which: self._rows(dict.fromkeys(which, pa.string())))

    def _batches(self) -> Iterator[tuple[Any, np.dtype[Any]]]:
        """Yield record batches and the dtype of their features; none before it was looked through for codes."""
        watch, wanted = self._watch(self._names), self._choice.features
        try:
            watch.look(2 * _READ_BYTES)  # the reader is a block ahead
            watch.require_numbers(wanted)
            with ThreadPoolExecutor(1, "rowlock-csv") as beside:
                for found in self._typed_batches():
                    looked = beside.submit(watch.look, _READ_BYTES)
                    yield found
                    looked.result()
                    watch.require_numbers(wanted)
            watch.look()
            watch.require_numbers(wanted)
        finally:
            watch.close()

    def _typed_batches(self) -> Iterator[tuple[Any, np.dtype[Any]]]:
        done = 0
        try:
            for batch in self._read(self.dtype):
                yield batch, self.dtype
                done += batch.num_rows
        except SourceError as error:
            if self.dtype.kind == "f" or "conversion error to int64" not in str(error):
                raise
        else:
            return
        wider = np.dtype(np.float64)
        for batch in self._read(wider):  # from the start again, past what was given
            if batch.num_rows > done:
                yield batch.slice(done), wider
            done = max(0, done - batch.num_rows)

    def _read(self, dtype: np.dtype[Any]) -> Iterator[Any]:
        import pyarrow as pa

        key = self._choice.key
        types = dict.fromkeys(self._choice.features, pa.from_numpy_dtype(dtype))
        types |= {} if key is None else {key: pa.string()}
        return self._rows(types)

    def _rows(self, types: dict[str, Any]) -> Iterator[Any]:
        with reading_csv(self._path):
            batches = self._stream(types, list(types))
        with batches:
            while True:
                with reading_csv(self._path):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch

    def _require_exact(self, block: AnyArray, first_row: int) -> None:
        """Refuse numbers that were read as float64, for the sake of others, and may have lost digits."""
        wrong = np.argwhere((np.abs(block) >= _EXACT) & np.isfinite(block) & (np.trunc(block) == block))
        if len(wrong):
            row, column = wrong[0]
            raise ConfigError(
                f"{self.address}: the number near {block[row, column]:.0f} in row {first_row + row}, column"
                f" {self._choice.features[column]!r}, is 2**53 or more, and others beside it are not written as whole"
                " numbers, so it cannot be read exactly. Write all of them without a point, or choose a float dtype="
                " (--dtype)."
            )

    def _choose(
        self, schema: Any, key: str | None, columns: Sequence[str | int] | None, codes: Collection[str]
    ) -> Choice:
        """Choose columns; those with codes pass here, because `CodeWatch` says better why they are no features."""
        names = schema.names
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ConfigError(f"{self.address} has several columns of one name: {twice[:5]!r}. Rename them first.")
        numbers = {"int64", "double", "null"}
        kinds = [self.dtype if str(kind) in numbers or name in codes else None for name, kind in
                 zip(names, schema.types, strict=True)]  # fmt: skip
        return Choice.of(self.address, dict(zip(names, kinds, strict=True)), key, columns)

    def _stream(self, types: dict[str, Any], columns: list[str] | None) -> Any:
        from pyarrow import csv

        return csv.open_csv(
            self._path,
            read_options=csv.ReadOptions(block_size=_READ_BYTES),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=columns, strings_can_be_null=False),
        )

    def _keys(self, texts: Any, first_row: int) -> Keys:
        what = f"column {self._choice.key!r} of {self.address}"
        listed = texts.to_pylist()
        if "" in listed:
            raise KeyTypeError(
                f"{what} has empty fields, the first in row {first_row + listed.index('')}; every row needs a key"
            )
        if self._key_type is None:
            self._key_type = "int" if all(map(is_whole_number, listed)) else "text"
        if self._key_type == "text":
            return Keys.of(texts, what)
        wrong = next((i for i, text in enumerate(listed) if not is_whole_number(text)), None)
        if wrong is not None and self._asked_for_int:
            raise KeyTypeError(
                f"{what}: {listed[wrong]!r} (row {first_row + wrong}) is no whole number, as key_type='int'"
                ' (--key-type int) wants. If the keys are text, say key_type="text" (--key-type text).'
            )
        if wrong is not None:
            raise KeyTypeError(
                f"{what} holds whole numbers at first, but {listed[wrong]!r} in row {first_row + wrong}. If the keys"
                ' are text, say so: key_type="text" (--key-type text).'
            )
        return Keys.of(np.array(listed, np.int64), what)
