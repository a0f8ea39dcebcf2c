"""The columns of a table that lies in files: each is mapped when it is first asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw

from rowlock.arrays import one_arrow_array
from rowlock.errors import ConfigError
from rowlock.memory import memory_limit_bytes
from rowlock.tables.cache import ColumnCache
from rowlock.tables.source import TableFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rowlock.arrays import AnyArray

__all__ = ["FileColumns", "is_address"]


def is_address(frame: Any) -> bool:
    """Return whether a table is given by where it lies."""
    return isinstance(frame, (str, os.PathLike))


class FileColumns:
    """A Parquet, Arrow or CSV file, or a folder of Parquet files; as `FrameColumns`, but for what is in memory.

    Parameters
    ----------
    path : str or path
    cache : str or path, optional
        Folder for the columns; by default what the environment variable ``ROWLOCK_CACHE`` says, else beside the table.
    types : dict of str to str, optional
        Of columns of a CSV file: ``"text"``, ``"int"``, ``"float"`` or ``"bool"``.
    """

    what = "the table"
    backend = "pyarrow"
    index = None

    def __init__(
        self,
        path: str | os.PathLike[str],
        cache: str | os.PathLike[str] | None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        address = Path(os.fspath(path)).absolute()
        chosen = cache or os.environ.get("ROWLOCK_CACHE")
        folder = Path(os.fspath(chosen)).absolute() if chosen else address.with_name(f"{address.name}.rowlock")
        self._files = TableFiles(address, folder, types)
        self._cache = ColumnCache(self._files, folder)
        self.names = [name for name in self._files.schema.names if name not in self._files.unnamed_index]
        self.num_rows = self._files.num_rows
        self._mapped: dict[str, tuple[nw.Series[Any], str]] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Columns are mapped anew where it arrives."""
        return {**self.__dict__, "_mapped": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def series(self, name: str) -> nw.Series[Any]:
        """Return a column, mapped."""
        return self._column(name)[0]

    def distinct(self, name: str) -> nw.Series[Any]:
        """Return the different values of a column, in any order; looked for once, and kept."""
        series, content = self._column(name)
        array = self._cache.kept({name: content}, ("distinct",), 1, lambda: one_arrow_array(series.unique()))
        return _as_series(array)

    def kept(self, names: Sequence[str], what: tuple[str, ...], source: Any, make: Callable[[], AnyArray]) -> AnyArray:
        """Return numbers that `make` computes from columns, mapped where they were kept; see `ColumnCache.kept`."""
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        contents = {name: self._column(name)[1] for name in names}
        values: AnyArray = self._cache.kept(contents, what, source, lambda: pa.array(make())).to_numpy()
        return values

    def _column(self, name: str) -> tuple[nw.Series[Any], str]:
        """Return a column and the digest of its content."""
        with self._lock:
            if name not in self._mapped:
                array, content = self._cache.column(name)
                self._mapped[name] = _as_series(array), content
            return self._mapped[name]

    def index_values(self) -> AnyArray | None:
        """Return the values of the index that pandas stored with the table, or None."""
        column = self._files.index_column()
        if column is None:
            return self._files.index_range()
        series = self.series(column)
        return series.to_numpy() if series.dtype.is_integer() else series.head(1).to_numpy()  # refused by its type

    def take(self, rows: AnyArray | None) -> Any:
        """Return the chosen rows as a pyarrow.Table, in memory; all of them, mapped.

        Raises
        ------
        ConfigError
            So many rows that they would take more than a quarter of the memory.
        """
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        columns = {name: one_arrow_array(self.series(name)) for name in self.names}
        if rows is None:
            notes = {name: text for name, text in (self._files.schema.metadata or {}).items() if name != b"pandas"}
            return pa.table(columns).replace_schema_metadata(notes or None)
        num_bytes = sum(column.nbytes for column in columns.values()) * len(rows) // self.num_rows
        limit = memory_limit_bytes() // 4
        if num_bytes > limit:
            raise ConfigError(
                f"a frame of these {len(rows):,} rows would take about {num_bytes:,} bytes of memory, more than a"
                f" quarter of what there is ({limit:,}). Take fewer rows, data.select(...).frame, or one column of"
                " them, data.column(name)."
            )
        return pa.table({name: column.take(pa.array(rows)) for name, column in columns.items()})


def _as_series(array: Any) -> nw.Series[Any]:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    return nw.from_native(pa.chunked_array([array]), series_only=True)
