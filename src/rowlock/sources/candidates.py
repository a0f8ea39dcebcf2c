"""Columns of a table that look like keys: what nobody named, and what would be a feature by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.sources.base import reading
from rowlock.sources.registry import recognise, table_columns

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["key_candidates"]


def key_candidates(path: Path) -> list[str]:
    """Return the whole-number columns of a Parquet or Arrow file in which every value is another; else nothing.

    Reads these columns, one at a time.
    """
    found = recognise(path) if path.exists() else None
    if found is None or table_columns(path, found) is None:
        return []
    with reading(str(path)):
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        schema = pq.read_schema(path) if found == "parquet" else pa.ipc.open_file(pa.memory_map(str(path))).schema
        whole = [field.name for field in schema if pa.types.is_integer(field.type)]
        return [name for name in whole if _is_unique(_column(path, found, name), pc)]


def _column(path: Path, found: str, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if found == "parquet":
        return pq.read_table(path, columns=[name], memory_map=True).column(0)
    options = pa.ipc.IpcReadOptions(
        included_fields=[pa.ipc.open_file(pa.memory_map(str(path))).schema.names.index(name)]
    )
    return pa.ipc.open_file(pa.memory_map(str(path)), options=options).read_all().column(0)


def _is_unique(column: Any, compute: Any) -> bool:
    return len(column) > 1 and column.null_count == 0 and compute.count_distinct(column).as_py() == len(column)
