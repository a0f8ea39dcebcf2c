"""The user's frame, whatever library it comes from: columns by name, and the identity of its rows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.errors import AlignmentError, ConfigError
from rowlock.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rowlock.arrays import AnyArray, BoolArray, Int64Array

__all__ = ["Table", "nearest"]


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the name in `names` that is most like `name`, or nothing."""
    found = difflib.get_close_matches(name, [str(other) for other in names], n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


class Table:
    """A pandas, polars or Arrow frame, held as it was when it was given.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
        Anything that narwhals takes as an eager frame. Later changes to it have no effect here.
    key : str, optional
        Column that identifies the rows, for inputs that name no other.
    missing : {"raise", "drop"}
        What becomes of rows whose key an input does not have, for inputs that say nothing else.

    Raises
    ------
    ConfigError
        Not a frame, no rows, two columns of one name, no such key column, or keys that cannot be keys.
    """

    def __init__(self, frame: Any, *, key: str | None = None, missing: str = "raise") -> None:
        try:
            wrapped = nw.from_native(frame, eager_only=True)
        except TypeError as error:
            raise ConfigError(
                f"the table must be a pandas, polars or Arrow frame, not {type(frame).__name__}"
            ) from error
        except nw.exceptions.DuplicateError as error:
            raise ConfigError(f"the table has two columns of one name: {error}. Rename one.") from error
        if len(wrapped) == 0:
            raise ConfigError(f"the table has no rows (columns: {_listed(wrapped.columns)})")
        self._frame: nw.DataFrame[Any] = wrapped.clone()
        self.num_rows = len(wrapped)
        if key is not None and not isinstance(key, str):
            raise ConfigError(f"key= names one column by text, not {key!r}")
        self.key = key
        self.missing = missing
        self._keys: dict[str, Keys] = {}

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._frame.columns

    def column(self, name: str) -> nw.Series[Any]:
        """Return a column as a narwhals Series, or raise a `ConfigError` that suggests the nearest name."""
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
        return self._frame[name]

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
        return Keys.of(np.arange(self.num_rows) if index is None else index, "the frame's index")

    def index(self) -> Int64Array | None:
        """Return the frame's integer index, or None where frames of this kind have no index.

        Raises
        ------
        AlignmentError
            The frame has an index, and it is not of integers.
        """
        index: Any = nw.maybe_get_index(self._frame)
        if index is None:
            return None
        values = np.asarray(index)
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise AlignmentError(
                f"the frame's index is not of integers (it is {index.dtype}, first {index[0]!r}), so it cannot"
                " give row numbers. Pass key= and a source with keys, or reset the index if the rows are in"
                " the source's order."
            )
        return values.astype(np.int64)

    def frame_index(self) -> Any:
        """Return the frame's own index object, or None where frames of this kind have none."""
        return nw.maybe_get_index(self._frame)

    @property
    def _index_names(self) -> list[str]:
        """Names of the levels of the frame's index that have one."""
        return [name for name in getattr(self.frame_index(), "names", ()) if isinstance(name, str)]

    def codes(self, column: str, rows: Int64Array) -> Int64Array:
        """Return a number for each different value of a column, from 0, for the given rows.

        Raises
        ------
        ConfigError
            No such column, missing values, or values that have no order.
        """
        series = self.column(column)
        if series.null_count():
            raise ConfigError(
                f"column {column!r} has {series.null_count()} missing value(s), so it cannot guide a split"
            )
        try:
            present = sorted(series.unique().to_list())
            codes = series.replace_strict(present, list(range(len(present))), return_dtype=nw.Int64)
        except Exception as error:
            raise ConfigError(f"column {column!r} ({series.dtype}) cannot guide a split: {error}") from error
        _, dense = np.unique(codes.to_numpy()[rows], return_inverse=True)
        return np.asarray(dense, np.int64)

    def beside_keys(
        self, rows: Int64Array, keys: AnyArray, columns: Mapping[str, AnyArray], missing: BoolArray | None
    ) -> Any:
        """Return values of some rows beside their keys, as a frame of the user's own kind; see `Dataset.frame_of`."""
        backend = nw.get_native_namespace(self._frame)
        name = self.key or "row"
        values: dict[str, Any] = {name: keys.tolist(), **columns}
        if len(values) != len(columns) + 1:
            raise ConfigError(f"a column of values has the name of the key, {name!r}: give it another")
        if name in self.columns and self.key is not None:
            values[name] = self._frame[name][rows.tolist()].to_native()
            values[name] = nw.new_series(
                name, nw.from_native(values[name], series_only=True).to_numpy(), backend=backend
            )
        frame = nw.from_dict(values, backend=backend)
        if missing is not None and missing.any():
            known = nw.new_series("known", ~missing, nw.Boolean, backend=backend)
            frame = frame.with_columns(**{column: nw.when(known).then(nw.col(column)) for column in columns})
        index = self.frame_index()
        native = frame.to_native()
        if index is not None:
            native.index = index.take(rows)
            native = native.drop(columns=[name]) if self.key is None or name in self._index_names else native
        return native

    def take(self, rows: Int64Array) -> Any:
        """Return the chosen rows as a frame of the user's own kind."""
        return self._frame[rows.tolist()].to_native()


def _listed(names: list[str], most: int = 12) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
