"""The files of a table, as one: their columns, their rows, and what tells them from changed ones."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, SourceError, SourceNotFoundError
from rowlock.sources.arrow import unnamed_index
from rowlock.tables.array_files import digest_of
from rowlock.tables.csv_table import csv_as_parquet
from rowlock.tables.csv_types import check_types
from rowlock.tables.formats import is_csv, open_table_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rowlock.arrays import Int64Array
    from rowlock.tables.formats import ArrowTable, ParquetTable

__all__ = ["TableFiles"]

_PARQUET = (".parquet", ".pq")
_COARSE_NS, _FINE_NS = 2_000_000_000, 20_000_000
_SECOND_NS = 1_000_000_000
_PATIENCE = 100  # a file that is written to without end is found changed later


class TableFiles:
    """A file, or the Parquet files of a folder in the order of their names.

    Parameters
    ----------
    path : Path
    folder : Path
        For what is kept: here the rows of a CSV file, as Parquet.
    types : dict of str to str, optional
        Of columns of a CSV file; see `csv_as_parquet`.

    Attributes
    ----------
    schema : pyarrow.Schema
    num_rows : int
    identity : str
        Digest of names, sizes and times of the files, as they were when they were opened.

    Raises
    ------
    SourceNotFoundError, SourceError, ConfigError
        No such file, damaged files, files that are no table, or of different columns.
    """

    def __init__(self, path: Path, folder: Path, types: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._paths = _files_of(path)
        self._types = check_types(types)
        self._folder = folder
        self.identity = self._identify()
        self._is_csv = is_csv(path)
        if self._types and not self._is_csv:
            raise ConfigError(f"types= is about CSV files; {path} says itself what its columns are. Leave it out.")
        self._files = self._open()
        self.schema = self._files[0].schema
        self._require_one_name_a_column()
        self.num_rows = sum(file.num_rows for file in self._files)
        self._require_one_schema()
        self.require_unchanged()

    def blocks(self, name: str) -> Iterator[Any]:
        """Yield a column as Arrow arrays of bounded size, in order.

        Raises
        ------
        SourceError
            The file is damaged, or not as it was when it was opened.
        """
        self.require_unchanged()
        count = 0
        for file in self._open() if self._is_csv else self._files:  # what was kept of CSV may have been deleted
            for block in file.blocks(name):
                count += len(block)
                yield block
        self.require_unchanged()
        if count != self.num_rows:
            raise SourceError(f"{self.path}: column {name!r} has {count:,} rows, and the table {self.num_rows:,}")

    def require_unchanged(self) -> None:
        """Refuse to go on with files that are not those that were opened: rows would not belong together.

        Raises
        ------
        SourceError
        """
        if self._identify() != self.identity:
            raise SourceError(
                f"{self.path} was written to after the dataset had been made, so its columns would not belong together."
                " Nothing wrong was delivered; make the dataset anew, and leave a table alone while it is in use."
            )

    @cached_property
    def unnamed_index(self) -> set[str]:
        """Columns that hold an index without a name, which pandas stored."""
        return unnamed_index(self.schema)

    def index_range(self) -> Int64Array | None:
        """Return the index that pandas stored as a range, or None."""
        stored = self._pandas_index()
        if len(self._files) > 1 or not isinstance(stored, dict) or stored.get("kind") != "range":
            return None
        found = np.arange(stored["start"], stored["stop"], stored["step"], dtype=np.int64)
        return found if len(found) == self.num_rows else None

    def index_column(self) -> str | None:
        """Return the column that pandas stored its index in, or None."""
        stored = self._pandas_index()
        return stored if isinstance(stored, str) and stored in self.schema.names else None

    def _pandas_index(self) -> Any:
        metadata = self.schema.pandas_metadata or {}
        stored = metadata.get("index_columns", [])
        return stored[0] if len(stored) == 1 else None

    def _open(self) -> list[ParquetTable | ArrowTable]:
        if self._is_csv:
            return [open_table_file(csv_as_parquet(self.path, self._folder, self._types, self._identify))]
        return [open_table_file(file) for file in self._paths]

    def _identify(self) -> str:
        facts = []
        try:
            for file in self._paths:
                status = _settled(file)
                facts.append((file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"there is no table at {str(error.filename)!r}") from None
        return digest_of(os.fspath(self.path), facts, *sorted(self._types.items()))

    def _require_one_name_a_column(self) -> None:
        names = self.schema.names
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ConfigError(f"the table has two columns of one name: {twice[0]!r} in {self.path}. Rename one.")

    def _require_one_schema(self) -> None:
        for file in self._files[1:]:
            if not file.schema.equals(self.schema):
                other = sorted(
                    name for name in {*file.schema.names, *self.schema.names} if not _alike(name, file, self)
                )
                raise ConfigError(
                    f"{file.path} has other columns than {self._files[0].path}: {other[:5] or 'in another order'}."
                    " The files of a folder are one table, so they must have the same columns, of the same types, in"
                    " the same order."
                )


def _alike(name: str, file: Any, table: TableFiles) -> bool:
    here, there = file.schema.get_field_index(name), table.schema.get_field_index(name)
    return min(here, there) >= 0 and bool(file.schema.field(here).type == table.schema.field(there).type)


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "_")))
    folders = [entry.name for entry in inside if entry.is_dir() and not entry.name.endswith(".rowlock")]
    found = [entry for entry in inside if entry.suffix.lower() in _PARQUET and entry.is_file()]
    if folders or not found:
        why = f"holds folders ({folders[0]!r}, ...)" if folders else "holds no .parquet files"
        raise ConfigError(
            f"{path} {why}. A table is a Parquet, Arrow or CSV file, or a folder of Parquet files, which are taken"
            " in the order of their names."
        )
    return found


def _settled(path: Path) -> os.stat_result:
    """Return a file's status once a change from then on would show in its times: clocks of file systems tick."""
    for _ in range(_PATIENCE):
        status = path.stat()
        tick = _FINE_NS if status.st_ctime_ns % _SECOND_NS else _COARSE_NS
        left = status.st_ctime_ns + tick - time.time_ns()
        if not 0 < left <= tick:
            break
        time.sleep(left / _SECOND_NS)
    return status
