"""The user's table, in memory or in files: columns by name, and the identity of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.arguments import nearest
from rowlock.codes import codes_of
from rowlock.errors import AlignmentError, ConfigError
from rowlock.keys import Keys
from rowlock.tables import FileColumns, FrameColumns, frame_of, is_address, readable

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array

__all__ = ["Table"]


class Table:
    """A pandas, polars or Arrow frame, or a Parquet, Arrow or CSV file, held as it was when it was given.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ..., or str or path
        Anything that narwhals takes as an eager frame; later changes to it have no effect here. Or the address of a
        file, or of a folder of Parquet files: columns are then mapped when they are first asked for.
    key : str, optional
        Column that identifies the rows, for inputs that name no other.
    missing : {"raise", "drop"}
        What becomes of rows whose key an input does not have, for inputs that say nothing else.
    cache : str or path, optional
        Folder for the mapped columns of a file.
    types : dict of str to str, optional
        Of columns of a CSV file: ``"text"``, ``"int"``, ``"float"`` or ``"bool"``.

    Raises
    ------
    ConfigError
        Not a frame, no rows, two columns of one name, no such key column, or keys that cannot be keys.
    SourceError
        A file that is damaged, or is not there.
    """

    def __init__(
        self,
        frame: Any,
        *,
        key: str | None = None,
        missing: str = "raise",
        cache: str | os.PathLike[str] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        if cache is not None and not is_address(frame):
            raise ConfigError(f"cache={str(cache)!r} is for the columns of a file; a frame is in memory. Leave it out.")
        if types and not is_address(frame):
            raise ConfigError("types= is about CSV files; a frame says itself what its columns are. Leave it out.")
        self._columns = FileColumns(frame, cache, types) if is_address(frame) else FrameColumns(frame)
        self.num_rows = self._columns.num_rows
        if self.num_rows == 0:
            raise ConfigError(f"the table has no rows (columns: {_listed(self.columns)})")
        if key is not None and not isinstance(key, str):
            raise ConfigError(f"key= names one column by text, not {key!r}")
        self.key = key
        self.missing = missing
        self._keys: dict[str, Keys] = {}

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._columns.names

    def column(self, name: str) -> nw.Series[Any]:
        """Return a column as a narwhals Series, or raise a `ConfigError` that suggests the nearest name."""
        return readable(self._column(name))

    def _column(self, name: str) -> nw.Series[Any]:
        if not isinstance(name, str):
            raise ConfigError(f"a column is named by text, not by {type(name).__name__}")
        if name not in self.columns:
            if name in self._index_names:
                raise ConfigError(
                    f"{name!r} is the frame's index, which can be a key, but no other column. Give frame.reset_index()"
                    " to have it as a column."
                )
            raise ConfigError(
                f"the table has no column {name!r}.{nearest(name, self.columns)}"
                f" Its columns are {_listed(self.columns)}."
            )
        return self._columns.series(name)

    def distinct(self, name: str) -> nw.Series[Any]:
        """Return the different values of a column, in any order."""
        self.column(name)  # which says best what is wrong with a name
        return self._columns.distinct(name)

    def kept(self, names: Sequence[str], what: tuple[str, ...], source: Any, make: Callable[[], AnyArray]) -> AnyArray:
        """Return numbers that are computed from columns; beside a file they are kept, and need not be made again.

        Parameters
        ----------
        names : sequence of str
            The columns; of any other content the numbers are made again.
        what : tuple of str
            Which numbers they are: beside a file there is one of each, and another takes its place.
        source : Any
            Whatever else they depend on, a version of the way to compute them included: plain values, told apart by
            their `repr`.
        make : callable
            Returns them, an array of one axis; what it raises passes.
        """
        return self._columns.kept(names, what, source, make) if set(names) <= set(self.columns) else make()

    def keys(self, column: str) -> Keys:
        """Return a column, or the frame's index of that name, as keys; the same column is read once."""
        if column not in self._keys:
            if column not in self.columns and column in self._index_names:
                self._keys[column] = Keys.of(
                    self.frame_index().get_level_values(column), f"the frame's index {column!r}"
                )
            else:
                self._keys[column] = Keys.of(self.column(column), f"the frame's column {column!r}")
        return self._keys[column]

    def row_keys(self) -> Keys:
        """Return what identifies the rows: the key column, else an integer index, else their numbers."""
        if self.key is not None:
            return self.keys(self.key)
        try:
            index = self.index()
        except AlignmentError:
            index = None
        return Keys(np.arange(self.num_rows) if index is None else index)

    def index(self) -> Int64Array | None:
        """Return the frame's integer index, or None where frames of this kind have no index.

        Raises
        ------
        AlignmentError
            The frame has an index, and it is not of integers.
        """
        values = self._columns.index_values()
        if values is None:
            return None
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise AlignmentError(
                f"the frame's index is not of integers (it is {values.dtype}, first {values[0]!r}), so it cannot"
                " give row numbers. Pass key= and a source with keys, or reset the index if the rows are in"
                " the source's order."
            )
        return values.astype(np.int64, copy=False)

    def frame_index(self) -> Any:
        """Return the frame's own index object, or None where frames of this kind have none."""
        return self._columns.index

    @property
    def _index_names(self) -> list[str]:
        """Names of the levels of the frame's index that have one."""
        return [name for name in getattr(self.frame_index(), "names", ()) if isinstance(name, str)]

    def codes(self, column: str, rows: AnyArray | None) -> AnyArray:
        """Return a number for each different value of a column, from 0, for the given rows, or all; see `codes_of`."""
        return codes_of(self.column(column), column, rows)

    def take(self, rows: AnyArray | None) -> Any:
        """Return the chosen rows, or all, as a frame of the user's own kind; a pyarrow.Table, where it is a file."""
        return self._columns.take(rows)

    def take_column(self, name: str, rows: AnyArray | None) -> Any:
        """Return the chosen rows of a column, or all, as a Series of the user's own kind, or a pyarrow.ChunkedArray."""
        series = self._column(name)
        return (series if rows is None else series[rows]).to_native()

    def beside_keys(
        self, rows: AnyArray | None, keys: AnyArray, columns: Mapping[str, AnyArray], missing: BoolArray | None
    ) -> Any:
        """Return values of some rows (None: of all) beside their keys; see `Dataset.frame_of`."""
        name = self.key or "row"
        if name in columns:
            raise ConfigError(f"a column of values has the name of the key, {name!r}: give it another")
        values: Any = keys.tolist()
        if self.key in self.columns:
            values = nw.from_native(self.take_column(name, rows), series_only=True).to_numpy()
        frame = frame_of(self._columns.backend, (name, values), columns, None if missing is None else ~missing)
        index = self.frame_index()
        if index is not None:
            frame.index = index if rows is None else index.take(rows)
            frame = frame.drop(columns=[name]) if self.key is None or name in self._index_names else frame
        return frame


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
