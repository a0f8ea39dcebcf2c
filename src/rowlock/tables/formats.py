"""Files of a table as they come: Parquet and Arrow IPC, read a column at a time, in blocks of bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, SourceNotFoundError
from rowlock.sources.base import reading
from rowlock.sources.parquet import buffer_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ArrowTable", "ParquetTable", "is_csv", "open_table_file"]

_BLOCK_ROWS = 1 << 17
_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
_TEXT_TABLES = (".tsv", ".txt", ".tsv.gz", ".jsonl", ".json")


class ParquetTable:
    """A Parquet file; of its columns, only the one that is wanted is read.

    Attributes
    ----------
    path : Path
    schema : pyarrow.Schema
    num_rows : int
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(str(path)):
            import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on use

            file = pq.ParquetFile(path)
            self.schema, self._metadata = file.schema_arrow, file.metadata
            self.num_rows: int = file.metadata.num_rows

    def blocks(self, name: str) -> Iterator[Any]:
        """Yield a column as Arrow arrays, one after the other."""
        with reading(str(self.path)):
            import pyarrow.parquet as pq  # noqa: PLC0415 - loaded on use

            size = buffer_bytes(self._metadata)  # else it would hold what it has read
            with pq.ParquetFile(self.path, buffer_size=size, pre_buffer=False, page_checksum_verification=True) as file:
                for batch in file.iter_batches(_BLOCK_ROWS, columns=[name], use_threads=False):
                    yield batch.column(name)  # a name with a dot may bring a nested column along


class ArrowTable:
    """An Arrow IPC file, which is also called Feather; attributes as `ParquetTable`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(str(path)):
            import pyarrow as pa  # noqa: PLC0415 - loaded on use

            with pa.memory_map(str(path)) as file:
                self.schema = pa.ipc.open_file(file).schema
                reader = self._narrow(file, self.schema.names[:1])
                self.num_rows = sum(reader.get_batch(i).num_rows for i in range(reader.num_record_batches))

    def blocks(self, name: str) -> Iterator[Any]:
        """Yield a column as Arrow arrays, one after the other."""
        with reading(str(self.path)):
            import pyarrow as pa  # noqa: PLC0415 - loaded on use

            with pa.memory_map(str(self.path)) as file:
                reader = self._narrow(file, [name])
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    batch.validate(full=True)  # a file may lie about its own offsets
                    for start in range(0, batch.num_rows, _BLOCK_ROWS):
                        yield batch.slice(start, _BLOCK_ROWS).column(name)

    def _narrow(self, file: Any, names: list[str]) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        places = [self.schema.get_field_index(name) for name in names]
        return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=places, use_threads=False))


def is_csv(path: Path) -> bool:
    """Return whether a file is CSV: by its name, because there is no mark in it, unless it has that of another kind."""
    if path.is_dir() or not path.name.lower().endswith(_CSV):
        return False
    with reading(str(path)), path.open("rb") as file:
        return file.read(6)[:4] not in (b"PAR1", b"ARRO")


def open_table_file(path: Path) -> ParquetTable | ArrowTable:
    """Open a file by its content.

    Raises
    ------
    SourceNotFoundError
        There is none.
    ConfigError
        It is text of another kind than CSV, or something else.
    SourceError
        It is damaged or cut off.
    """
    try:
        with reading(str(path)), path.open("rb") as file:
            magic = file.read(6)
    except Exception:
        if path.exists():
            raise
        raise SourceNotFoundError(f"there is no table at {str(path)!r}") from None
    if magic[:4] == b"PAR1":
        return ParquetTable(path)
    if magic == b"ARROW1":
        return ArrowTable(path)
    if path.name.lower().endswith(_TEXT_TABLES):
        raise ConfigError(
            f"{path} is text that is not read here: only CSV with commas is (.csv). Convert it once, to Parquet,"
            " with pandas or, larger than memory, polars.scan_csv(..., separator=...).sink_parquet(...)."
        )
    raise ConfigError(
        f"{path} is neither Parquet nor an Arrow file (it begins with {magic!r}). If it was one, it is damaged or not"
        " whole; restore it from a copy."
    )
