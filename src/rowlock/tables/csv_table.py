"""A CSV file as a table: read once, in a stream, into a Parquet file that is kept beside its columns."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, RowlockError, SourceError
from rowlock.sources.csv_encoding import reading_csv
from rowlock.sources.csv_header import require_header
from rowlock.tables.array_files import ArrayFiles, digest_of
from rowlock.tables.csv_types import arrow_type, converted, first_misfit, type_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rowlock.tables.csv_types import CsvType

__all__ = ["csv_as_parquet", "typed_batches", "typed_table"]

_log = logging.getLogger("rowlock")
_FORMAT = "csv-1"
_BLOCK_BYTES = 8 << 20
_ENDING = ".parquet"


def csv_as_parquet(path: Path, folder: Path, types: Mapping[str, CsvType], identify: Callable[[], str]) -> Path:
    """Return the Parquet file with the rows of a CSV file; it is made where it is not there.

    Parameters
    ----------
    path : Path
        A header line, commas, UTF-8; also compressed.
    folder : Path
        Where it is kept.
    types : dict of str to CsvType
        Of the columns that are not to be judged by their first values.
    identify : callable
        Tells the file as it is from the file when it is changed, or read with other types.

    Raises
    ------
    ConfigError
        Values of a column are not of the type of its first ones, there is no such column, or the folder cannot be
        used.
    SourceError
        The file cannot be read, or was changed meanwhile, or there is no room.
    """
    files = ArrayFiles(folder)
    which, source = digest_of(_FORMAT, os.fspath(path)), identify()
    found = files.find_file(which, source, _ENDING)
    try:
        if found is None:
            files.make_folder()
            with files.lock(which):
                found = files.find_file(which, source, _ENDING)
                if found is None:
                    files.add_file(which, source, lambda beside: _convert(path, beside, types, identify), _ENDING)
                    found = files.find_file(which, source, _ENDING)
    except RowlockError:
        raise
    except OSError as error:
        raise ConfigError(
            f"the rows of {path} are kept in {str(folder)!r}, which cannot be made or written to:"
            f" {error.strerror or error}. Make room, or name another folder: cache=, or the environment variable"
            " ROWLOCK_CACHE."
        ) from error
    if found is None:
        raise SourceError(f"{path} was converted into {folder} and is not there as it was written. See to that disk.")
    return found


def _convert(path: Path, beside: Path, types: Mapping[str, CsvType], identify: Callable[[], str]) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on use

    began, before = time.monotonic(), identify()
    writer = None
    try:
        for batch in typed_batches(path, types):
            if writer is None:
                writer = pq.ParquetWriter(beside, batch.schema, compression="zstd", write_page_checksum=True)
            writer.write_batch(batch)
    finally:
        if writer is not None:
            writer.close()
    if identify() != before:
        raise SourceError(f"{path} was written to while it was read. Nothing was kept; begin again when it is whole.")
    _log.info("%s: read, and written as Parquet, %.1f s", path, time.monotonic() - began)


def typed_batches(path: Path, types: Mapping[str, CsvType]) -> Iterator[Any]:
    """Yield the rows of a CSV file as record batches of one schema, one or more.

    Raises
    ------
    ConfigError
        As `csv_as_parquet`.
    SourceError
        The file cannot be read.
    """
    require_header(path, None, None, is_table=True)
    with reading_csv(path):
        stream = _stream(path)
    _require_columns(path, stream.schema.names, types)
    kinds: dict[str, CsvType] | None = None
    first_row = 0
    with stream:
        while True:
            with reading_csv(path):
                batch = next(stream, None)
            if batch is None:
                break
            if not batch.num_rows:  # it would tell nothing of the types
                continue
            if kinds is None:
                kinds = {name: types.get(name) or type_of(batch.column(name)) for name in batch.schema.names}
            yield _typed(path, batch, kinds, types, first_row)
            first_row += batch.num_rows
    if kinds is None:  # a header and no row
        raise ConfigError(f"{path} has a header line and no rows")


def typed_table(path: Path, types: Mapping[str, CsvType]) -> Any:
    """Return the rows of a CSV file that fits in memory as a table, each column of the type that all its values have.

    Parameters
    ----------
    path, types
        As `csv_as_parquet`.

    Raises
    ------
    ConfigError
        A value is not of the type that `types` names, there is no such column, or no row.
    SourceError
        The file cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    require_header(path, None, None, is_table=True)
    with reading_csv(path), _stream(path) as stream:
        _require_columns(path, stream.schema.names, types)
        texts = stream.read_all().combine_chunks()
    if not texts.num_rows:
        raise ConfigError(f"{path} has a header line and no rows")
    kinds = {name: types.get(name) or type_of(texts.column(name)) for name in texts.column_names}
    return pa.Table.from_batches([_typed(path, texts.to_batches()[0], kinds, types, 0)])


def _typed(path: Path, batch: Any, kinds: dict[str, CsvType], types: Mapping[str, CsvType], first_row: int) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    columns = []
    for name, kind in kinds.items():
        texts = batch.column(name)
        values = converted(texts, kind, named=name in types)
        if values is None:
            raise _misfit(path, name, kind, texts, first_row, named=name in types)
        columns.append(values)
    return pa.record_batch(columns, schema=pa.schema([(name, arrow_type(kind)) for name, kind in kinds.items()]))


def _misfit(path: Path, name: str, kind: CsvType, texts: Any, first_row: int, *, named: bool) -> ConfigError:
    place = first_misfit(texts, kind, named=named)
    row, value = first_row + place, texts[place].as_py()
    what = {"int": "whole numbers", "float": "numbers", "bool": "true or false"}[kind]
    why = f"types= says {kind!r}" if named else f"the first {_BLOCK_BYTES >> 20} MB of the column are {what}"
    cures = ("text", "float") if kind == "int" else ("text",)
    return ConfigError(
        f"column {name!r} of {path} has {value!r} in row {row:,} (near line {row + 2:,}), but {why}. Nothing was kept."
        f" Say what the column is, {' or '.join(f'types={{{name!r}: {cure!r}}}' for cure in cures)} (text: exactly what"
        " is written); or mend the file; or write it as Parquet, which says what its columns are."
    )


def _require_columns(path: Path, names: list[str], types: Mapping[str, CsvType]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ConfigError(f"the table has two columns of one name: {twice[0]!r} in {path}. Rename one.")
    unknown = [name for name in types if name not in names]
    if unknown:
        raise ConfigError(f"types= names the column {unknown[0]!r}, which {path} has not: {', '.join(names[:12])}")


def _stream(path: Path) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use
    from pyarrow import csv  # noqa: PLC0415 - loaded on use

    reading_options = csv.ReadOptions(block_size=_BLOCK_BYTES)
    parsing = csv.ParseOptions(newlines_in_values=True)
    with csv.open_csv(path, read_options=reading_options, parse_options=parsing) as first:
        names = first.schema.names
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return csv.open_csv(path, read_options=reading_options, parse_options=parsing, convert_options=texts)
