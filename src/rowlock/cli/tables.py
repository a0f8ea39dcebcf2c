"""The TABLE of a command: a Parquet, Arrow or CSV file as a frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rowlock.errors import AlignmentError, ConfigError, KeyTypeError, SourceNotFoundError
from rowlock.memory import memory_limit_bytes
from rowlock.sources.arrow import stored_index
from rowlock.sources.base import reading
from rowlock.sources.csv_header import column_names, require_header
from rowlock.sources.registry import recognise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ROOT_ENTRY", "read_table", "recorded_root"]

ROOT_ENTRY: Final = b"rowlock.root"
"""Under this name, a table made by ``rowlock table`` says where its pictures are."""

_UNFOLDED = 6
_INDEX = "__index_level_0__"
"""What pandas calls the column of an index without a name."""
_WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"  # a whole number exactly as Python writes it, so that "007" is never 7


def read_table(path: Path, *, key: str | None = None, key_type: str | None = None, text: Iterable[str] = ()) -> Any:
    """Return the table in a file.

    Parameters
    ----------
    path : Path
        Parquet (a file, or a folder of them), Arrow IPC (Feather) or CSV with a header line; compressed CSV too.
    key : str, optional
        The column whose values are keys: in a CSV file they stay what is written, and are whole numbers only if
        every one of them is written as one, or if `key_type` says so.
    key_type : {"int", "text"}, optional
        What the keys of a CSV file are.
    text : names
        Other columns of a CSV file that are text, whatever they look like.

    Returns
    -------
    pyarrow.Table
        Mapped where it would take more than an eighth of the memory; see ``docs/tables.md``. What the columns of
        such a large CSV file are, their first values must tell.

    Raises
    ------
    SourceNotFoundError, SourceError
        There is no such file, or it cannot be read.
    ConfigError
        It is no table.
    """
    if not path.exists():
        raise SourceNotFoundError(f"there is nothing at {path}")
    if path.is_dir():
        return _mapped(path)
    kind = recognise(path)
    if kind == "csv":
        read = _read_csv if _may_be_read(path) else _stream_csv
        return read(path, key, key_type, text)
    if key_type is not None:
        raise ConfigError(f"--key-type is about CSV files; {path} says itself what its keys are")
    with reading(str(path)):
        if kind == "parquet":
            from pyarrow import parquet

            return _indexed(parquet.read_table(path)) if _fits(parquet.read_metadata(path)) else _mapped(path)
        if kind in {"arrow", "stream"}:
            import pyarrow as pa

            opened = pa.ipc.open_file if kind == "arrow" else pa.ipc.open_stream
            return _indexed(opened(pa.memory_map(str(path))).read_all())
    raise ConfigError(f"{path} is no table: a TABLE is a Parquet, Arrow (Feather) or CSV file")


def _fits(metadata: Any) -> bool:
    """Return whether a Parquet file takes so little memory that mapping its columns is not worth it."""
    num_bytes = sum(metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups))
    return bool(num_bytes < memory_limit_bytes() // 8)


def _may_be_read(path: Path) -> bool:
    """Return whether a CSV file takes so little memory that it may be read whole; compressed ones unfold."""
    unfolded = 1 if path.suffix.lower() == ".csv" else _UNFOLDED
    return path.stat().st_size * unfolded < memory_limit_bytes() // 8


def _mapped(path: Path, types: Mapping[str, str] | None = None) -> Any:
    from rowlock.table import Table

    table = Table(path, types=types)
    frame = table.take(None)
    try:
        index = table.index()
    except AlignmentError:  # no row numbers
        return frame
    return frame if index is None else _with_index(frame, index)


def _indexed(table: Any) -> Any:
    """Return a table in which an index that pandas stored as a range is a column, which stays with its row."""
    import numpy as np

    stored = stored_index(table.schema)
    if len(stored) != 1 or not isinstance(stored[0], dict) or stored[0].get("kind") != "range":
        return table
    start, stop, step = (stored[0].get(name) for name in ("start", "stop", "step"))
    if not (isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step):
        return table
    index = range(start, stop, step)
    return _with_index(table, np.array(index)) if len(index) == table.num_rows else table


def _with_index(table: Any, index: Any) -> Any:
    notes = json.dumps({"index_columns": [_INDEX], "column_indexes": [], "columns": []})
    metadata = (table.schema.metadata or {}) | {b"pandas": notes.encode()}
    return table.append_column(_INDEX, [index]).replace_schema_metadata(metadata)


def _stream_csv(path: Path, key: str | None, key_type: str | None, text: Iterable[str]) -> Any:
    """Return a large CSV file, mapped; what a column is, its first values tell, or an error does."""
    import pyarrow as pa

    texts = {*text, *([key] if key is not None and key_type == "text" else [])}
    try:
        table = _mapped(
            path, {name: "text" for name in column_names(path) if name in texts}
        )  # who names others, says so
    except ConfigError as error:
        if "types=" not in str(error):
            raise
        cure = "--key-type text" if str(error).startswith(f"column {key!r} ") else "write it as Parquet"
        raise ConfigError(f"{error} (On the command line: {cure}.)") from error
    if key_type == "int" and key in table.column_names and not pa.types.is_integer(table.schema.field(key).type):
        raise KeyTypeError(f"column {key!r} of {path} holds text, such as {table[key][0]}, and not --key-type int")
    return table


def recorded_root(table: Any) -> Path | None:
    """Return the folder that the paths of a table made by ``rowlock table`` start from."""
    found = (table.schema.metadata or {}).get(ROOT_ENTRY)
    return None if found is None else Path(found.decode("utf-8", "surrogateescape"))


def _read_csv(path: Path, key: str | None, key_type: str | None, text: Iterable[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    require_header(path, key, None, may_have_index=True)
    types = {name: pa.string() for name in [*text, *([] if key is None else [key])]}
    with reading(str(path)):
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False))
    for place, field in enumerate(table.schema):
        column = table.column(place)
        if field.name == key:
            table = table.set_column(place, key, _keys(column, key_type, f"column {key!r} of {path}"))
        elif pa.types.is_string(field.type):  # an empty field is a missing value; "NA" may be a name
            known = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
            table = table.set_column(place, field.name, known)
    return table


def _keys(column: Any, key_type: str | None, what: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.any(pc.equal(column, "")).as_py():
        row = pc.index(column, "").as_py()
        raise KeyTypeError(f"{what} has empty fields, the first in row {row}; every row needs a key")
    is_whole = pc.match_substring_regex(column, _WHOLE)
    if key_type == "text" or (key_type is None and not pc.all(is_whole).as_py()):
        return column
    try:
        if pc.all(is_whole).as_py():
            return column.cast(pa.int64())
    except pa.ArrowInvalid:
        if key_type is None:
            return column  # more than 64 bits
    wrong = next(value for value in column.to_pylist() if not (re.match(_WHOLE, value) and abs(int(value)) < 2**63))
    raise KeyTypeError(f"{what}: {wrong!r} is no whole number of 64 bits, as --key-type int wants")
