"""The TABLE of a command: a Parquet, Arrow or CSV file as a frame."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rowlock.cli.csv_tables import read_csv
from rowlock.errors import AlignmentError, ConfigError, SourceNotFoundError
from rowlock.memory import memory_limit_bytes
from rowlock.sources.arrow import stored_index
from rowlock.sources.base import reading
from rowlock.sources.registry import recognise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_table"]

_INDEX = "__index_level_0__"
"""What pandas calls the column of an index without a name."""


def read_table(
    path: Path, *, key: str | None = None, key_type: str | None = None, types: Mapping[str, str] | None = None
) -> Any:
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
    types : dict of str to str, optional
        Of other columns of a CSV file: ``"text"``, ``"int"``, ``"float"`` or ``"bool"``; by default what is written.

    Returns
    -------
    pyarrow.Table
        Mapped where it would take more than an eighth of the memory; see ``docs/tables.md``.

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
        return read_csv(path, key, key_type, types or {})
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


def _mapped(path: Path) -> Any:
    from rowlock.table import Table

    table = Table(path)
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
