"""Tables that come out: Parquet, Arrow or CSV by the name's end, whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

__all__ = ["check_place", "write_table"]

_BY_END = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow"}


def check_place(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that cannot be written, before any work.

    Raises
    ------
    ConfigError
        There is something already, no such folder, or an end that names no format.
    """
    if path.suffix.lower() not in _BY_END:
        raise ConfigError(f"{path} ends with none of {', '.join(_BY_END)}, which say what is to be written")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}")
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(f"there is something at {path} already; --overwrite replaces it, once the new one is whole")


def write_table(table: pa.Table, path: Path, *, overwrite: bool = False) -> None:
    """Write a table beside `path`, make it durable, and rename it. Lists become ``a;b`` in CSV."""
    check_place(path, overwrite=overwrite)
    beside = path.with_name(f".{path.name}.partial")
    try:
        with beside.open("wb") as file:
            _write(table, file, _BY_END[path.suffix.lower()])
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write(table: pa.Table, file: Any, kind: str) -> None:
    if kind == "parquet":
        from pyarrow import parquet  # noqa: PLC0415 - loaded on use

        parquet.write_table(table, file)
    elif kind == "csv":
        from pyarrow import csv  # noqa: PLC0415 - loaded on use

        csv.write_csv(_flat(table), file)
    else:
        from pyarrow import ipc  # noqa: PLC0415 - loaded on use

        with ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)


def _flat(table: pa.Table) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
            texts = [None if one is None else ";".join(map(str, one)) for one in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table
