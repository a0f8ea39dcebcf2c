"""The columns of a frame in memory, whatever library it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rowlock.arrays import AnyArray

__all__ = ["FrameColumns"]


class FrameColumns:
    """A pandas, polars or Arrow frame, held as it was when it was given.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
        Anything that narwhals takes as an eager frame.

    Attributes
    ----------
    names : list of str
    num_rows : int
    what : str
        What it is called in messages.

    Raises
    ------
    ConfigError
        Not a frame, or two columns of one name.
    """

    what = "the frame"

    def __init__(self, frame: Any) -> None:
        try:
            wrapped = nw.from_native(frame, eager_only=True)
        except TypeError as error:
            raise ConfigError(
                "the table must be a pandas, polars or Arrow frame, or the path of a Parquet, Arrow or CSV file, not"
                f" {type(frame).__name__}"
            ) from error
        except nw.exceptions.DuplicateError as error:
            raise ConfigError(f"the table has two columns of one name: {error}. Rename one.") from error
        self._frame: nw.DataFrame[Any] = _snapshot(wrapped)
        self.names = self._frame.columns
        self.num_rows = len(self._frame)

    def series(self, name: str) -> nw.Series[Any]:
        """Return a column; categories that are numbers, times or booleans are these, as in a file."""
        return _without_codes(self._frame[name])

    def distinct(self, name: str) -> nw.Series[Any]:
        """Return the different values of a column, in any order."""
        return self.series(name).unique()

    def kept(self, names: Sequence[str], what: tuple[str, ...], source: Any, make: Callable[[], AnyArray]) -> AnyArray:  # noqa: ARG002 - as in FileColumns
        """Return what `make` does: beside a frame nothing is kept."""
        return make()

    @property
    def backend(self) -> Any:
        """The library that the frame is of."""
        return nw.get_native_namespace(self._frame)

    @property
    def index(self) -> Any:
        """The frame's own index object, or None where frames of this kind have none."""
        return nw.maybe_get_index(self._frame)

    def index_values(self) -> AnyArray | None:
        """Return the values of the frame's index, or None where it has none."""
        return None if self.index is None else np.asarray(self.index)

    def take(self, rows: AnyArray | None) -> Any:
        """Return the chosen rows, or all, as a frame of the user's own kind."""
        return self._frame[np.arange(self.num_rows) if rows is None else rows].to_native()


def _without_codes(series: nw.Series[Any]) -> nw.Series[Any]:
    """Return categories as their values, unless these are text."""
    native: Any = series.to_native()
    if hasattr(native, "cat") and hasattr(native.cat, "categories"):  # pandas
        kind = native.cat.categories.dtype
        if kind.kind not in "iubfmM":  # text, or names of intervals
            return series
        if isinstance(kind, np.dtype) and kind.kind in "iub" and native.hasnans:  # NumPy's whole numbers know no gaps
            kind = {"bool": "boolean"}.get(kind.name, kind.name.replace("int", "Int").replace("uI", "UI"))
        return nw.from_native(native.astype(kind), series_only=True)
    if hasattr(native, "type") and hasattr(native.type, "value_type") and hasattr(native, "dictionary_encode"):  # Arrow
        kind = native.type.value_type
        is_code = series.dtype == nw.Categorical and not any(part in str(kind) for part in ("string", "binary"))
        return nw.from_native(native.cast(kind), series_only=True) if is_code else series
    return series


def _snapshot(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return what later changes to the frame do not reach; pandas copies a column only when it is changed."""
    native = frame.to_native()
    module, version = (
        nw.get_native_namespace(frame).__name__,
        getattr(nw.get_native_namespace(frame), "__version__", ""),
    )
    if module == "pandas" and int(version.split(".")[0]) >= 3:
        return nw.from_native(native.copy(deep=False), eager_only=True)
    return frame.clone()
