"""A CSV file as the TABLE of a command: what a column is, follows from what is written, however large the file is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, KeyTypeError
from rowlock.memory import memory_limit_bytes
from rowlock.sources.csv_header import column_names
from rowlock.tables.csv_table import typed_table
from rowlock.tables.csv_types import check_types, converted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["as_numbers", "read_csv"]

_UNFOLDED = 6
_WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"  # a whole number exactly as Python writes it, so that "007" is never 7


def read_csv(path: Path, key: str | None, key_type: str | None, types: Mapping[str, str]) -> Any:
    """Return the rows of a CSV file, in memory, or mapped where they take more than an eighth of it.

    Parameters
    ----------
    path : Path
    key : str or None
        Its values stay what is written; they are whole numbers only if every one of them is written as one.
    key_type : {"int", "text"} or None
        What the keys are.
    types : dict of str to str
        ``"text"``, ``"int"``, ``"float"`` or ``"bool"``; columns that the file lacks are left to whoever asks for them.

    Returns
    -------
    pyarrow.Table
        The type of a column is that of all its values; in a file that is mapped, that of its first ones.
    """
    there = set(column_names(path))
    named = {name: kind for name, kind in types.items() if name in there}
    try:
        if _may_be_read(path):
            return _whole(path, key if key in there else None, key_type, named)
        return _streamed(path, key if key in there else None, key_type, named)
    except ConfigError as error:
        said = f"types={{{key!r}: 'text'}}"
        if said not in str(error):
            raise
        told = str(error).replace(said + f" or types={{{key!r}: 'float'}}", said)
        raise ConfigError(told.replace(said, "--key-type text")) from error


def as_numbers(table: Any, names: Iterable[str]) -> Any:
    """Return a table whose columns of these names are numbers where they can be: a column without a value, ``007``."""
    import pyarrow as pa

    for name in names:
        place = table.schema.get_field_index(name)
        kind = table.schema.field(place).type if place >= 0 else None
        if kind in (pa.string(), pa.large_string()):
            numbers = converted(table.column(place).cast(pa.string()), "float", named=True)
            table = table if numbers is None else table.set_column(place, name, numbers)
    return table


def _may_be_read(path: Path) -> bool:
    """Return whether a CSV file takes so little memory that it may be read whole; compressed ones unfold."""
    unfolded = 1 if path.suffix.lower() == ".csv" else _UNFOLDED
    return path.stat().st_size * unfolded < memory_limit_bytes() // 8


def _whole(path: Path, key: str | None, key_type: str | None, types: Mapping[str, str]) -> Any:
    if key is None:
        return typed_table(path, check_types(types))
    table = typed_table(path, check_types({**types, key: "text"}))
    place = table.column_names.index(key)
    return table.set_column(place, key, _keys(table.column(place), key_type, f"column {key!r} of {path}"))


def _streamed(path: Path, key: str | None, key_type: str | None, types: Mapping[str, str]) -> Any:
    import pyarrow as pa

    from rowlock.table import Table

    as_text = {key: "text"} if key is not None and key_type == "text" else {}
    table = Table(path, types={**types, **as_text}).take(None)
    if key is not None and key_type == "int" and not pa.types.is_integer(table.schema.field(key).type):
        raise KeyTypeError(f"column {key!r} of {path} holds text, such as {table[key][0]}, and not --key-type int")
    return table


def _keys(column: Any, key_type: str | None, what: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
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
